"""What networks compute: labels and weights that trials leave behind, their distances and averages."""

import numpy as np
import pandas as pd
import pytest
import torch

from study.answers import networks as functions
from study.answers.grids.labels import apart, distance
from study.answers.networks import TrialArtifacts, averages, distances
from study.figures.apart import chart
from study.plan.key import Key
from study.plan.parse import parse
from study.reports.networks import network_tables
from study.tracking import Tracker, read_artifacts
from trainables.refusal import Refusal
from trainables.run import artifacts
from trainables.run.loop import Run
from trainables.schedules.wandering import Wandering
from trainables.testing import same
from trainables.trial import Trial

FLAT = {"task": "digits_mlp", "epochs": 4, "scheme.lr": 0.1, "artifacts": True}
NORMALISED = {"task": "fashion_mlp_norm", "task.hidden": 16, "epochs": 0.05, "record_every": 0.0125, "artifacts": True}


# --- a walk that ends where all do -----------------------------------------------------------------------


def test_a_walk_is_constant_on_its_pieces_within_its_decades_and_forgets_its_draw():
    places = torch.linspace(0, 1, 401, dtype=torch.float64)
    walks = [torch.stack([Wandering(draw=draw, decades=0.5)(place) for place in places]) for draw in range(3)]
    for walk in walks:
        early = walk[places < 0.5]
        assert len(early.unique()) == 5
        assert early.min() >= 10**-0.5
        assert early.max() <= 10**0.5
        assert (walk[(places >= 0.5) & (places < 0.8)] == 1).all()
        assert (walk[places >= 0.8] == 0.1).all()
    assert not torch.equal(walks[0], walks[1])
    assert torch.equal(walks[0], torch.stack([Wandering(draw=0, decades=0.5)(place) for place in places]))


# --- what is left behind ---------------------------------------------------------------------------------


def test_labels_are_those_of_every_record_and_the_mean_is_over_the_second_half():
    run, params, labels = Run(Trial.parse(FLAT)), [], []
    for _ in run:
        params.append(run.params)
        rows = run.data.valid.rows
        labels.append(run.predictor(run.params, run.buffers, run.data.valid.inputs[rows]).argmax(-1))
    left = run.artifacts()
    assert torch.equal(left["labels"], torch.stack(labels).to(torch.uint8))
    for name in params[0]:
        assert torch.equal(left[artifacts.FINAL + name], params[-1][name])
        torch.testing.assert_close(left[artifacts.MEAN + name], (params[2][name] + params[3][name]) / 2)


def test_an_interrupted_run_leaves_the_same_behind():
    whole, first, second = (Run(Trial.parse(FLAT)) for _ in range(3))
    for _ in whole:
        pass
    for _ in range(3):
        first.epoch()
    second.load_state_dict(first.state_dict())
    for _ in second:
        pass
    assert same(second.artifacts(), whole.artifacts())


def test_keeping_changes_no_record():
    kept, plain = (list(Run(Trial.parse({**FLAT, "artifacts": keep}))) for keep in (True, False))
    assert [record.valid_loss for record in kept] == [record.valid_loss for record in plain]


def test_a_task_without_labels_is_refused():
    with pytest.raises(Refusal, match="artifacts: true keeps predicted labels, and task 'quadratic' has none"):
        Trial.parse({"task": "quadratic", "artifacts": True})


def test_what_a_trial_leaves_behind_comes_back_from_the_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (
        "{question: q, common: {task: digits_mlp, artifacts: true, scheme.lr: 0.1, epochs: 1}, arms: {a: {trials: 1}}}"
    )
    study, uri = parse(text, "left"), f"sqlite:///{tmp_path}/mlflow.db"
    (search,) = study.searches()
    key, trial = search.key(0), search.arm.trial({}, search.key(0).seed)
    run = Run(trial)
    for _ in run:
        pass
    tracker = Tracker(study, uri)
    with pytest.raises(Refusal, match="no trial of study 'left' has left anything behind"):
        functions.artifacts_of(study, uri)
    tracker.start(search, key, trial)
    tracker.keep(key, artifacts.save(run.artifacts(), tmp_path / "work"))
    tracker.wait()
    assert list(read_artifacts("left", uri, artifacts.FILE)) == []  # not finished yet
    tracker.finish(key, "finished", run.best_score)
    tracker.wait()
    ((arm, values, arrays),) = read_artifacts("left", uri, artifacts.FILE)
    assert (arm, values["seed"]) == ("a", trial.seed)
    assert same({name: torch.from_numpy(array) for name, array in arrays.items()}, run.artifacts())
    assert Key("left", "a", 0, 0, 0) == key


def test_arms_come_in_the_order_of_the_study_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = "{task: digits_mlp, artifacts: true, epochs: 1, trials: 1}"
    study = parse(f"{{question: q, common: {common}, arms: {{late: {{}}, early: {{}}}}}}", "order")
    tracker = Tracker(study, f"sqlite:///{tmp_path}/mlflow.db")
    for search in reversed(list(study.searches())):
        run, key = Run(search.arm.trial({}, 0)), search.key(0)
        run.epoch()
        tracker.start(search, key, run.trial)
        tracker.keep(key, artifacts.save(run.artifacts(), tmp_path / "work"))
        tracker.finish(key, "finished", run.best_score)
    tracker.wait()
    assert [left.arm for left in functions.artifacts_of(study, tracker.uri)] == ["late", "early"]
    shorter = study._replace(arms=study.arms[1:])  # a rerun stores the file of today
    assert [left.arm for left in functions.artifacts_of(shorter, tracker.uri)] == ["early", "late"]


# --- distances -------------------------------------------------------------------------------------------


def test_the_distance_is_the_total_variation():
    left, right = np.array([[0, 0, 2], [0, 1, 2]]), np.array([[0, 1, 1], [1, 1, 1]])
    assert distance(left, right, 3) == pytest.approx((0.5 + 0.5 + 1.0) / 3)
    assert distance(left, left, 3) == 0
    assert distance(left, right, 3) == distance(right, left, 3)


def test_two_families_of_one_law_are_as_far_apart_as_expected_and_two_of_two_laws_farther():
    draws = np.random.default_rng(0)
    one, other = (draws.integers(0, 3, (20, 50)) for _ in range(2))
    told = apart(one, other, 3, draws)
    assert told.distance == pytest.approx(told.expected, rel=0.15)
    assert told.chance > 0.05
    biased = np.where(draws.random((20, 50)) < 0.3, 0, other)
    assert apart(one, biased, 3, draws).chance < 0.01


def test_the_chance_is_uniform_where_both_are_one():
    draws = np.random.default_rng(0)
    chances = [apart(draws.integers(0, 2, (4, 8)), draws.integers(0, 2, (4, 8)), 2, draws).chance for _ in range(200)]
    assert np.mean(np.array(chances) <= 0.1) <= 0.16  # ties make it conservative


def test_every_pair_of_arms_is_compared_at_moments_from_the_first_record_to_the_last():
    draws = np.random.default_rng(0)
    left = [
        TrialArtifacts(arm, {"seed": seed}, {"labels": draws.integers(0, 3, (20, 5))})
        for arm in "abc"
        for seed in range(4)
    ]
    table = distances(left, "study")
    assert {(row.first, row.second) for row in table.itertuples()} == {("a", "b"), ("a", "c"), ("b", "c")}
    assert sorted(set(table["record"])) == [1, 4, 6, 9, 12, 15, 17, 20]
    assert table.equals(distances(left, "study"))


def test_the_figure_has_what_was_measured_and_what_was_expected_of_every_arm_against_the_first():
    row = {"first": "a", "distance": 0.5, "expected": 0.25, "chance": 0.01}
    table = pd.DataFrame([{**row, "second": arm, "record": record} for arm in "bc" for record in (1, 2)])
    other = table.assign(first="b", second="c")
    drawn = chart(pd.concat([table, other], ignore_index=True))
    fields = [layer["encoding"]["y"]["field"] for layer in drawn.still["layer"]]
    assert fields == ["expected", "distance"]
    assert drawn.data.groupby("scheme")[fields].agg(list).values.tolist() == [[[0.25, 0.25], [0.5, 0.5]]] * 2
    assert chart(table.iloc[:0]) is None


# --- averages --------------------------------------------------------------------------------------------


def test_averages_are_scored_with_batch_norm_of_their_own():
    common = ", ".join(f"{key}: {str(value).lower()}" for key, value in NORMALISED.items())
    arm = parse(f"{{question: q, common: {{{common}, scheme.lr: 0.5, trials: 1}}, arms: {{a: {{}}}}}}", "x").arms[0]
    left, scores = [], []
    for seed in (1, 2):
        try:
            run = Run(arm.trial({}, seed))
        except Refusal as refusal:
            pytest.skip(f"data is not here: {refusal}")
        for _ in run:
            pass
        scores.append(run.scored({name: param.clone() for name, param in run.params.items()}).score)
        arrays = {name: tensor.numpy() for name, tensor in run.artifacts().items()}
        left.append(TrialArtifacts("a", {"seed": seed}, arrays))
    table = averages(left, arm).set_index("weights")["score"]
    assert table["final"].to_numpy() == pytest.approx(scores, abs=0.02)  # other batches
    assert table["mean inside a run"].min() > 0.5
    twin = averages([left[0], left[0]._replace(values={"seed": 1})], arm).set_index("weights")["score"]
    assert twin["mean across runs"] == twin["final"].iloc[0]  # the mean of two that are one


def test_distances_stand_below_their_records_whatever_other_arms_keep():
    columns = ["first", "second", "record", "distance", "expected", "chance"]
    told = [("a", "b", 1, 0.1, 0.0, 1.0), ("a", "b", 20, 0.2, 0.0, 1.0), ("a", "c", 5, 0.3, 0.0, 1.0)]
    averages = pd.DataFrame(columns=["arm", "weights", "score"])
    table = network_tables(pd.DataFrame(told, columns=columns), averages)[0]
    assert table.columns == ["arms", "record 1", "record 5", "record 20"]
    assert table.rows == [["a, b", "0.100 (0.000)", "", "0.200 (0.000)"], ["a, c", "", "0.300 (0.000)", ""]]


def test_a_network_is_scored_as_the_one_that_was_trained_whatever_was_searched():
    arm = parse(
        "{question: q, arms: {a: {task: digits_mlp, task.hidden: {choice: [4, 8]}, artifacts: true, epochs: 1}}}", "x"
    ).arms[0]
    left, scores = [], []
    for hidden in (4, 8):
        run = Run(arm.trial({"task.hidden": hidden, "scheme.lr": 0.1}, 0))
        scores.append([record.valid_score for record in run][-1])
        arrays = {name: tensor.numpy() for name, tensor in run.artifacts().items()}
        left.append(TrialArtifacts("a", run.trial.flat(), arrays))
    for one, score in zip(left, scores, strict=True):
        assert averages([one], arm).set_index("weights")["score"]["final"] == score
    with pytest.raises(Refusal, match="have several shapes"):
        averages(left, arm)
