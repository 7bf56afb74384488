"""Searches over recorded trials: costs that are known, the stopper's own lengths, and the same bits twice."""

import pandas as pd
import pytest
from gridded import gridded
from stopped import Curve, stopped_lengths

from study import replay
from study.answers.replayed import Found, replay_answers
from study.dispatch.searching import Searching
from study.plan.parse import parse
from study.plan.study import Search
from study.replay.curves import curves_of
from study.replay.searches import search, searches
from study.search.stoppers import STOPPERS
from trainables.refusal import Refusal

OPTIONS = [0.001 * 2**i for i in range(10)]
CHOICES = parse(
    f"{{question: q, common: {{task: digits_mlp, trials: 16, scheme.lr: {{choice: {OPTIONS}}}}}, arms: {{sgd: {{}}}}}}",
    "choices",
)
CURVES = parse("{question: q, common: {task: digits_mlp, trials: 12, epochs: 9}, arms: {sgd: {}}}", "curves")


def record(lrs, curves, status="finished", arm="sgd"):
    """A record as the reader gives it: one row a (trial, record), every record one pass."""
    rows = [
        {
            "arm": arm, "task": "digits_mlp", "repetition": 0, "k": k, "seed_number": 0, "status": status,
            "scheme.lr": lr, "record": number, "valid_score": score, "passes": float(number),
        }
        for k, (lr, curve) in enumerate(zip(lrs, curves, strict=True))
        for number, score in enumerate(curve, 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def one_in_ten():
    """Every option four times; one of them reaches .9, each trial costs one pass."""
    return record(OPTIONS * 4, [[0.95] if lr == OPTIONS[3] else [0.5] for lr in OPTIONS * 4])


def test_where_one_choice_in_ten_reaches_the_target_ten_trials_are_paid(one_in_ten):
    curves = curves_of(one_in_ten, CHOICES.arms[0], "passes")
    found = [one for group in searches(curves, "choices", 0.9, groups=1, size=100) for one in group]
    whole = [search(curves, Search("choices", CHOICES.arms[0], i), 0.9) for i in range(200)]
    assert sum(one.cost for one in whole) / sum(one.reached for one in whole) == pytest.approx(10, rel=0.15)
    assert {one.spent for one in found} == {16.0}


def test_the_interval_is_of_the_record_too(one_in_ten):
    (row,) = replay.replay(one_in_ten, CHOICES, replay.ReplayOptions(target=0.9, repetitions=200))["digits_mlp"]
    assert row.cost.low < 10 < (row.cost.high or float("inf"))
    assert row.trials.estimate == row.cost.estimate


def test_an_arm_that_searches_nothing_is_answered_by_any_of_its_trials():
    """64 trials that differ by their seeds, of which the last 8 reach the target: E[trials] = 8."""
    free = "{question: q, common: {task: digits_mlp, trials: 16}, arms: {free: {rule: packaged, optimizer: prodigy}}}"
    study = parse(free.replace("prodigy", "prodigy, optimizer.d_coef: 1.0"), "free")
    table = record([1.0] * 64, [[0.95] if k >= 56 else [0.5] for k in range(64)], arm="free")
    curves = curves_of(table, study.arms[0], "passes")
    assert curves.space == {}
    found = [search(curves, Search("free", study.arms[0], i), 0.9) for i in range(200)]
    assert sum(one.cost for one in found) / sum(one.reached for one in found) == pytest.approx(8, rel=0.15)
    (row,) = replay.replay(table, study, replay.ReplayOptions(target=0.9, repetitions=100))["digits_mlp"]
    assert row.cost.low < 8 < (row.cost.high or float("inf"))


def test_a_configuration_that_is_recorded_answers_for_itself():
    drawn = Searching(Search("curves", CURVES.arms[0], 0))
    lrs = [drawn.suggest().values["scheme.lr"] for _ in range(12)]
    curves = curves_of(record(lrs, [[k / 20] for k in range(12)]), CURVES.arms[0], "passes")
    found = search(curves, Search("curves", CURVES.arms[0], 0), target=6 / 20)
    assert (found.trials, found.cost, found.best) == (7, 7.0, 11 / 20)


@pytest.mark.parametrize("stopper", STOPPERS)
def test_a_replayed_search_stops_where_the_stopper_says(stopper):
    arm = replay.changed(CURVES.arms[0], replay.ReplayOptions(stopper=stopper))
    drawn = Searching(Search("curves", CURVES.arms[0], 0))
    lrs = [drawn.suggest().values["scheme.lr"] for _ in range(12)]
    scores = [[((7 * k) % 12 + number) / 30 for number in range(9)] for k in range(12)]
    curves = curves_of(record(lrs, scores), arm, "passes")
    lengths = stopped_lengths(arm.stopper, [Curve(curve) for curve in scores])
    assert search(curves, Search("curves", arm, 0), target=None).spent == sum(lengths) < 12 * 9


def test_the_same_question_has_the_same_answer_twice(one_in_ten):
    asked = replay.ReplayOptions(target=0.9, repetitions=40, searcher="tpe", trials=6)
    assert replay.replay(one_in_ten, CHOICES, asked) == replay.replay(one_in_ten, CHOICES, asked)


def test_a_trial_that_was_stopped_cannot_be_replayed(one_in_ten):
    with pytest.raises(Refusal, match="trial 0 was stopped early; only whole curves can be replayed"):
        curves_of(one_in_ten.assign(status="stopped"), CHOICES.arms[0], "passes")


def test_a_diverged_trial_is_worth_chance_and_never_the_best():
    both = pd.concat([record([0.001], [[0.99, float("nan")]], "diverged"), record([5.0], [[0.2, 0.3]]).assign(k=1)])
    curves = curves_of(both, CURVES.arms[0], "passes")
    assert curves.scores[0] == [0.99, 0.1]
    assert search(curves, Search("curves", CURVES.arms[0], 0), target=0.9).best == 0.3


def test_no_stopper_is_told_of_a_trial_that_failed(monkeypatch):
    """As in a study: its scores set no bar, and the searcher hears that it failed."""
    arm = replay.changed(CURVES.arms[0], replay.ReplayOptions(stopper="asha"))
    told, observe = {}, Searching.observe

    def heard(self, k, outcome):
        told[outcome.status] = outcome.rungs
        observe(self, k, outcome)

    monkeypatch.setattr(Searching, "observe", heard)
    for status in ("finished", "failed"):
        search(curves_of(record([0.001], [[0.5] * 9], status), arm, "passes"), Search("curves", arm, 0), target=None)
    assert told["finished"]
    assert told["failed"] == ()


def test_a_trial_that_failed_after_it_had_reached_the_target_has_reached_it_and_is_worth_chance():
    rows = record([0.001], [[0.2, 0.95]], "failed")
    found = search(curves_of(rows, CURVES.arms[0], "passes"), Search("curves", CURVES.arms[0], 0), target=0.9)
    assert (found.reached, found.cost, found.best) == (True, 2.0, 0.1)


@pytest.mark.parametrize("target", [0.05, 0.1, float("nan"), float("inf")])
def test_a_target_that_chance_reaches_or_nobody_is_refused(one_in_ten, target):
    with pytest.raises(Refusal, match=r"is none on digits_mlp, where chance alone gets to 0\.1"):
        replay.replay(one_in_ten, CHOICES, replay.ReplayOptions(target=target))


def test_a_saved_record_needs_its_study_file(lr_study, tmp_path, one_in_ten):
    one_in_ten.to_csv(tmp_path / "mine.csv", index=False)
    (tmp_path / "choices.yaml").write_text(CHOICES.text)
    told = lr_study("replay", "mine.csv")
    assert told.returncode == 2
    assert "name the study's file with --study" in told.stderr
    told = lr_study("replay", "mine.csv", "--study", "choices.yaml", "--target", "0.9", "--repetitions", "100")
    assert told.returncode == 0, told.stderr
    assert "of 100" in told.stdout


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (replay.ReplayOptions(searcher="gp", stopper="asha"), "gp learns nothing from trials that asha stops"),
        (replay.ReplayOptions(searcher="tpee"), "did you mean 'tpe'"),
        (replay.ReplayOptions(baseline="sdg"), "did you mean 'sgd'"),
        (replay.ReplayOptions(unit="pass"), "did you mean 'passes'"),
    ],
)
def test_what_cannot_be_replayed_is_refused(one_in_ten, asked, complaint):
    with pytest.raises(Refusal, match=complaint):
        replay.replay(one_in_ten, CURVES, asked)


# --- what searches come to -------------------------------------------------------------------------------

HIT, MISS = Found(True, 1, 10.0, 0.9, 80.0), Found(False, 8, 80.0, 0.5, 80.0)


def test_a_group_in_which_both_miss_tells_nothing_of_the_share():
    """In 30 of 40 groups neither arm reaches the target: whatever the ratio of the others, it may be anything."""
    cheap = HIT._replace(cost=1.0)
    base, arm = ([[hit]] * 10 + [[MISS]] * 30 for hit in (HIT, cheap))
    share = replay_answers({"base": base, "arm": arm}, "base", 1, "passes", raced=True)[1].share
    assert share.estimate == (10 + 30 * 80) / (10 * 10 + 30 * 80)
    assert (share.low, share.high) == (0.0, None)


def test_an_arm_that_never_reaches_the_target_costs_more_than_a_search():
    base, none = [[HIT]] * 40, [[MISS]] * 40
    one, other = replay_answers({"base": base, "none": none}, "base", 1, "passes", raced=True)
    assert (one.cost.estimate, one.cost.bound) == (10.0, "=")
    assert (other.cost.estimate, other.cost.low, other.cost.high, other.cost.bound) == (80.0, 80.0, None, ">")
    assert (other.share.estimate, other.share.high, other.share.bound) == (80 / 10, None, ">")
    turned = replay_answers({"none": none, "base": base}, "none", 1, "passes", raced=True)[1].share
    assert (turned.estimate, turned.low, turned.bound) == (10 / 80, 0.0, "<")
    nothing = replay_answers({"none": none, "too": none}, "none", 1, "passes", raced=True)[1].share
    assert nothing.estimate is None


def test_a_scheme_is_the_baseline_on_a_task_of_ones_own(tmp_path, monkeypatch):
    """Its arm is called momentum-Mine, after the task without its file."""
    (tmp_path / "my_task.py").write_text(
        "from dataclasses import dataclass\nfrom trainables.tasks.digits_mlp import DigitsMLP\n\n\n"
        "@dataclass(frozen=True)\nclass Mine(DigitsMLP):\n    pass\n"
    )
    monkeypatch.chdir(tmp_path)
    own = parse(
        "{question: q, baseline: momentum, tasks: {'./my_task.py:Mine': {}}, common: {trials: 4, scheme.lr: "
        f"{{choice: {OPTIONS}}}}}, arms: {{adam: {{direction: adam}}, momentum: {{direction: momentum}}}}}}",
        "own",
        folder=tmp_path,
    )
    table = pd.concat([record(OPTIONS, [[0.95]] * 10, arm=f"{arm}-Mine") for arm in ("adam", "momentum")])
    table["task"] = "./my_task.py:Mine"
    (rows,) = replay.replay(table, own, replay.ReplayOptions(repetitions=40, target=0.9)).values()
    assert {row.arm: row.share.estimate is None for row in rows} == {"adam-Mine": False, "momentum-Mine": True}


# --- other arms than those recorded -----------------------------------------------------------------------

GRID = """{question: q, common: {task: fashion_mlp_norm, epochs: 2, trials: 8}, arms: {
both: {scheme.lr: {log_uniform: [0.0625, 2.0]}, decay.weight_decay: {log_uniform: [0.001953125, 0.0625]}},
product: {scheme.lr: 0.5, decay.weight_decay: {over_lr: {log_uniform: [0.0009765625, 0.03125]}}},
rate: {scheme.lr: {log_uniform: [0.0625, 2.0]}, decay.weight_decay: 0.001953125}}}"""


def test_a_grid_answers_searches_that_hold_one_of_its_axes():
    """Scores are a function of ηλ alone: best where ηλ = 2⁻⁷, which the largest η at the smallest λ misses."""
    record, study = gridded(), parse(GRID, "searches")
    options = replay.ReplayOptions(of="normalised", target=0.895, repetitions=100)
    (rows,) = replay.replay(record, study, options).values()
    both, product, rate = rows
    assert product.best.estimate > both.best.estimate > rate.best.estimate
    assert product.share.estimate < 1
    assert rate.reached == 0
    curves = curves_of(record, study.arms[1], "passes", "normalised")
    assert len(curves.scores) == 6  # those at a rate of ½


def test_a_recorded_arm_must_be_there_and_hold_what_the_arm_fixes():
    with pytest.raises(Refusal, match="unknown recorded arm 'normal'"):
        replay.replay(gridded(), parse(GRID, "searches"), replay.ReplayOptions(of="normal"))
    elsewhere = parse(GRID.replace("scheme.lr: 0.5", "scheme.lr: 0.3"), "searches")
    with pytest.raises(Refusal, match=r"no recorded trial of arm 'normalised' has the scheme.lr=0.3 of arm 'product'"):
        replay.replay(gridded(), elsewhere, replay.ReplayOptions(of="normalised", target=0.895, repetitions=40))


def test_a_record_as_mlflow_gives_it_has_what_an_arm_leaves_out():
    """A trial has every field: none is none, and a list is a text."""
    told = gridded().assign(gradient_clip=None, fuse=float("nan"))
    options = replay.ReplayOptions(of="normalised", target=0.895, repetitions=40)
    assert replay.replay(told, parse(GRID, "searches"), options)
    betas, first = {"task": "digits_mlp", "optimizer.betas": (0.9, 0.99)}, CHOICES.arms[0]
    arm = first._replace(fixed=betas, level=first.task)
    rows = record([0.001] * 2, [[0.5], [0.6]]).assign(**{"optimizer.betas": ["[0.9, 0.99]", "[0.9, 0.999]"]})
    assert curves_of(rows, arm, "passes").scores == [[0.5]]
    rows = record([0.001] * 2, [[0.5], [0.6]]).assign(batch_size=["64", "full"])  # as a CSV has them
    for size, score in ((64, 0.5), ("full", 0.6)):
        arm = first._replace(fixed={"task": "digits_mlp", "batch_size": size}, level=first.task)
        assert curves_of(rows, arm, "passes").scores == [[score]]
    settled = first._replace(fixed={"task": "digits_mlp", "scheme.recipe": "auto"}, level=first.task)
    rows = record([0.001], [[0.5]]).assign(**{"scheme.recipe": "adjoints"})
    assert curves_of(rows, settled, "passes").scores == [[0.5]]


def test_what_a_study_file_fixes_is_compared_with_the_record_of_the_arm_too():
    fixed = "decay.weight_decay: 0.5, scheme.lr: {log_uniform: [0.0625, 2.0]}"
    study = parse(f"{{question: q, common: {{task: fashion_mlp_norm}}, arms: {{normalised: {{{fixed}}}}}}}", "s")
    with pytest.raises(Refusal, match=r"no recorded trial of arm 'normalised' has the decay.weight_decay=0.5"):
        curves_of(gridded(), study.arms[0], "passes")
    searched = parse(CHOICES.text.replace(f"scheme.lr: {{choice: {OPTIONS}}}", "batch_size: {choice: [64, 128]}"), "s")
    with pytest.raises(Refusal, match=r"the record does not have the batch_size that arm 'sgd' searches"):
        curves_of(record(OPTIONS, [[0.5]] * 10), searched.arms[0], "passes")


def test_a_search_of_bad_trials_is_worth_chance():
    """On a loss that blows up without end the mean over searches would be that of one of them."""
    losses = parse("{question: q, common: {task: shakespeare_transformer, trials: 2}, arms: {sgd: {}}}", "losses")
    rows = record([0.1, 0.2, 5.0, 6.0], [[3.0], [3.0], [1e6], [float("nan")]]).assign(task="shakespeare_transformer")
    curves = curves_of(rows, losses.arms[0], "passes")
    found = [one.best for group in searches(curves, "losses", None, groups=20, size=10) for one in group]
    chance = -losses.arms[0].task.chance
    assert {round(best, 9) for best in found} == {-3.0, round(chance, 9)}


def test_null_is_an_option_like_others():
    text = "{question: q, common: {task: digits_mlp, trials: 8, gradient_clip: {choice: [null, 1.0]}}, arms: {sgd: {}}}"
    arm = parse(text, "clips").arms[0]
    rows = record([0.1, 0.1], [[0.5], [0.6]]).assign(gradient_clip=[float("nan"), 1.0])
    curves = curves_of(rows, arm, "passes")
    assert [list(place[-2:].round(3)) for place in curves.places] == [[0.707, 0.0], [0.0, 0.707]]
