"""The winner of a record: which trial it is, that its configuration is whole, and what its score owes to chance."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import ray
from hypothesis import given
from hypothesis import strategies as st
from recorded import record, training
from scipy import stats
from simulated import simulate

import study
from study import cost
from study.answers.winners import configuration, start, winners
from study.cost import Interval, NotDefined
from study.plan.parse import parse
from study.plan.plain_yaml import read_plain, write_plain
from study.records.material import Material
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.seeds import seed_of
from trainables.trial import Trial

DIGITS = {"task": "digits_mlp"}


def scores(found):
    return [(winner.key.arm, winner.key.k, winner.score) for winner in found]


def of(*trainings):
    return Material("mine", record(*trainings))


def test_the_best_validation_score_wins_whenever_it_was_told_and_the_first_of_equals():
    material = of(
        training([0.2, 0.7], k=0, **DIGITS),
        training([0.9, 0.1], k=1, **DIGITS),
        training([0.1, 0.9], k=2, arm="b", **DIGITS),
    )
    (winner,) = winners(material)
    assert (winner.key.arm, winner.key.k, winner.score, winner.test_score) == ("a", 1, 0.9, 0.9)  # that of its record
    assert scores(winners(material, top=3)) == [("a", 1, 0.9), ("b", 2, 0.9), ("a", 0, 0.7)]
    assert scores(winners(material, "b", top=3)) == [("b", 2, 0.9)]


def test_searched_values_are_what_another_search_tries_first():
    rates = [
        training([score], k=k, **DIGITS, **{"scheme.lr": rate, "epochs": 3.0})
        for k, (score, rate) in enumerate([(0.2, 0.5), (0.9, 0.1), (0.8, 0.1), (0.7, 0.03)])
    ]
    material = replace(of(*rates), searched={"a": {"scheme.lr"}})
    text = start(winners(material, top=3))
    assert read_plain(text) == {"start": [{"scheme.lr": 0.1}, {"scheme.lr": 0.03}]}
    arm = {"task": "quadratic", "scheme.lr": {"log_normal": [0.1, 1.0]}, **read_plain(text)}
    study = parse(write_plain({"question": "q", "arms": {"other": arm}}), "elsewhere")
    assert study.arms[0].start == ({"scheme.lr": 0.1}, {"scheme.lr": 0.03})
    with pytest.raises(Refusal, match="there is nothing to start from"):
        start(winners(of(*rates)))


def test_winners_that_searched_different_fields_are_no_start_of_one_arm():
    both = [training([score], arm=arm, **DIGITS, **{"scheme.lr": 0.1}) for arm, score in (("sgd", 0.9), ("set", 0.8))]
    material = replace(of(*both), searched={"sgd": ["scheme.lr"]})
    with pytest.raises(Refusal, match="of arms that search different fields: name one of sgd, set"):
        start(winners(material, top=2))


def test_where_lower_is_better_the_lowest_wins():
    level = {"mode": "min", "metric": "loss", "chance": 3.0, "task": "quadratic"}
    material = of(training([0.2, 0.7], k=0, **level), training([0.1, 0.9], k=1, **level))
    assert scores(winners(material)) == [("a", 1, 0.1)]


@pytest.mark.parametrize("status", ["diverged", "failed", "running"])
def test_what_was_lost_or_runs_still_never_wins(status):
    material = of(training([0.9], status, k=0, **DIGITS), training([0.3], k=1, **DIGITS))
    assert scores(winners(material, top=5)) == [("a", 1, 0.3)]
    with pytest.raises(Refusal, match="no trial"):
        winners(of(training([0.9], status, **DIGITS)))


def test_a_trial_of_several_seeds_is_their_mean():
    one = [training([score], k=0, seed_number=n, planned=2, **DIGITS) for n, score in enumerate((0.9, 0.3))]
    two = [training([score], k=1, seed_number=n, planned=2, **DIGITS) for n, score in enumerate((0.7, 0.7))]
    (winner,) = winners(of(*one, *two))
    assert (winner.key.k, winner.seeds, winner.score) == (1, 2, pytest.approx(0.7))


def test_what_fresh_seeds_are_held_against_is_each_seed_at_its_own_best():
    curves = [
        training(scores, k=0, seed_number=n, planned=2, **DIGITS) for n, scores in enumerate([(0.9, 0.5), (0.5, 0.9)])
    ]
    (winner,) = winners(of(*curves))
    assert (winner.score, winner.alone) == (pytest.approx(0.7), pytest.approx(0.9))


def test_an_infinite_number_is_written_in_json_as_study_files_do():
    (winner,) = winners(of(training([0.5], scheme="cprop", **{"scheme.c": float("inf"), "scheme.lr": 0.1}, **DIGITS)))
    told = json.loads(json.dumps(winner.told, allow_nan=False))
    assert told["configuration"]["scheme.c"] == ".inf"
    assert "scheme.c: .inf" in told["yaml"]


def test_each_task_has_its_own_and_a_scheme_is_on_all_of_them():
    other = {"task": "quadratic", "mode": "min", "metric": "loss"}
    material = of(
        training([0.5], arm="adam-digits_mlp", **DIGITS),
        training([0.8], arm="sgd-digits_mlp", k=1, **DIGITS),
        training([0.4], arm="adam-quadratic", k=2, **other),
    )
    assert [winner.key.k for winner in winners(material)] == [1, 2]
    assert [winner.key.k for winner in winners(material, "adam")] == [0, 2]
    assert [winner.key.k for winner in winners(material, "adam-quadratic")] == [2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((of(training([0.5], **DIGITS)), "adma"), "unknown arm 'adma'"),
        ((of(training([math.nan], **DIGITS)),), "no trial that ended with a validation score"),
        ((of(training([0.5], rule="./mine.py:Rule", **DIGITS)),), "belong to rule './mine.py:Rule'"),
        ((of(training([0.5], **{"scheme.old": 1.0}, **DIGITS)),), "another version: it has scheme.old"),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_a_line(arguments, told):
    with pytest.raises(Refusal, match=told):
        winners(*arguments)


# --- the configuration -----------------------------------------------------------------------------------

TEXT = """
question: q
common: {task: digits_mlp, epochs: 2, trials: 3, seeds: 2}
arms:
  adam: {direction: adam, scheme.schedule: cosine, gradient_clip: 3.0, decay: decoupled, decay.on: matrices}
  levels: {scheme: multilevel, batch_size: full, scheme.lr: default, task.hidden: {integer: [8, 16]}}
  prodigy: {rule: packaged, optimizer: prodigy, schedule: cosine}
"""
OWN = """
from pathlib import Path

with (Path(__file__).parent / "ran").open("a") as file:
    file.write("x")
from dataclasses import dataclass

from trainables.schemes.fixed import Fixed
from trainables.tasks.quadratic import Quadratic


@dataclass(frozen=True)
class Bowl(Quadratic):
    depth: int = 3


@dataclass(frozen=True)
class Bold(Fixed):
    grow: float = 1.5
"""
THEIRS = """
question: q
common: {task: './own.py:Bowl', trials: 3, epochs: 2, batch_size: full}
arms: {fixed: {}, bold: {scheme: './own.py:Bold', scheme.lr: {log_uniform: [0.1, 0.9]}}}
"""


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One store for all: a new one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def mine(uri):
    """A recorded study, its trials by key."""
    read, trials = parse(TEXT, "mine"), {}

    def law(arm, trial, rng):
        trials[arm, trial.seed] = trial
        return [0.2, float(rng.uniform(0.3, 0.9))]

    simulate(read, uri, law)
    return trials


@pytest.mark.parametrize("form", ["mlflow", "csv", "parquet"])
def test_the_configuration_is_the_whole_trial_from_wherever_it_is_read(form, uri, mine):
    source = "mine"
    if form != "mlflow":
        source = f"record.{form}"
        table = study.read("mine", tracking_uri=uri)
        if form == "csv":
            table.to_csv(source, index=False)
        else:  # in which a column has one type
            table.astype({"batch_size": str}).to_parquet(source)
    found = [study.best(source, arm, tracking_uri=uri)[0] for arm in ("adam", "levels", "prodigy")]
    for winner in found:
        trials = [trial for (arm, seed), trial in mine.items() if arm == winner.key.arm and seed == winner.key.seed]
        assert {**winner.configuration, "seed": winner.key.seed} == trials[0].flat()


def test_the_yaml_is_a_study_of_one_arm_that_trains_the_same_and_searches_nothing(uri, mine):
    for winner in study.best("mine", top=9, tracking_uri=uri):
        (arm,) = parse(f"question: again\n{winner.yaml}", "again").arms
        assert arm.space == {}
        assert arm.settings.trials == 1
        assert arm.trial({}, winner.key.seed) == mine[winner.key.arm, winner.key.seed]
    names = [winner.yaml.splitlines()[1].strip() for winner in study.best("mine", "adam", top=2, tracking_uri=uri)]
    assert names == ["adam-best:", "adam-best-2:"]


def test_other_peoples_code_is_named_and_not_run(uri, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    simulate(parse(THEIRS, "theirs", folder=tmp_path), uri, lambda *_: [0.5, 0.25])
    (tmp_path / "own.py").unlink()
    runs = (tmp_path / "ran").read_text()
    (winner,) = study.best("theirs", "bold", tracking_uri=uri)
    assert winner.configuration["task"] == "./own.py:Bowl"
    assert winner.configuration["task.depth"] == 3
    assert winner.configuration["scheme.grow"] == 1.5
    assert "scheme: ./own.py:Bold" in winner.yaml
    assert "trusted('./own.py:Bold')" in winner.python
    (fixed,) = study.best("theirs", "fixed", tracking_uri=uri)
    assert "SchemeOptimizer(\n    model,\n    Fixed(" in fixed.python
    assert (tmp_path / "ran").read_text() == runs


@pytest.mark.parametrize("form", ["mlflow", "csv", "parquet"])
def test_an_optimizer_by_its_class_with_a_list_among_its_fields_is_the_same_from_wherever_it_is_read(
    form, uri, tmp_path
):
    text = (
        "question: q\ncommon: {task: quadratic, trials: 1, epochs: 1}\n"
        "arms: {lists: {optimizer: 'torch.optim:Adam', optimizer.betas: [0.5, 0.75]}, none: {optimizer: prodigy}}"
    )
    here = parse(text, f"lists-{form}", folder=tmp_path)
    simulate(here, uri, lambda *_: [0.5, 0.25])
    source, table = f"lists-{form}", study.read(f"lists-{form}", tracking_uri=uri)
    if form != "mlflow":
        source = f"record.{form}"
        table.to_csv(source, index=False) if form == "csv" else table.to_parquet(source)
    (winner,) = study.best(source, "lists", tracking_uri=uri)
    (arm,) = parse(f"question: again\n{winner.yaml}", "again", folder=tmp_path).arms
    values = {"optimizer.lr": winner.configuration["optimizer.lr"]}
    assert arm.trial({}, 0) == here.arms[0].trial(values, 0)
    assert arm.trial({}, 0).rule.optimizer.betas == (0.5, 0.75)


def test_only_the_file_that_was_recorded_is_trained_again(uri, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "own.yaml").write_text(THEIRS)
    simulate(parse(THEIRS, "own", folder=tmp_path), uri, lambda *_: [0.5, 0.25])
    with pytest.raises(Refusal, match=r"name the study file, as in `lr-study best own\.yaml --seeds 2`"):
        study.best("own", "bold", seeds=2, tracking_uri=uri)
    (winner,) = study.best("own.yaml", "bold", seeds=2, tracking_uri=uri)
    assert len(winner.luck.fresh) == 2
    (tmp_path / "own.yaml").write_text(THEIRS.replace("0.9", "0.8"))
    with pytest.raises(Refusal, match=r"own\.yaml has changed since arm 'bold' was recorded"):
        study.best("own.yaml", "bold", seeds=2, tracking_uri=uri)


def test_a_missing_value_is_at_its_default():
    row = pd.Series({"task": "digits_mlp", "scheme": "fixed", "gradient_clip": None, "scheme.lr": 1, "threads": 2.0})
    told = configuration(row)
    assert Trial.parse(told) == Trial.parse({"task": "digits_mlp", "scheme.lr": 1.0, "threads": 2})
    assert isinstance(told["scheme.lr"], float)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("ab:./1 -_e#'\"0", max_size=9)
)


@given(
    st.dictionaries(
        st.text("ab.:1#- ", min_size=1, max_size=5), scalars | st.dictionaries(st.text("ab", min_size=1), scalars)
    )
)
def test_yaml_that_is_written_is_read_back_the_same(value):
    assert read_plain(write_plain(value)) == value


# --- luck ------------------------------------------------------------------------------------------------


def test_luck_is_the_score_minus_the_mean_over_fresh_seeds(uri, mine):
    lines = []
    (winner,) = study.best("mine", "adam", seeds=3, tracking_uri=uri, show=lines.append)
    seeds = [seed_of("fresh", *winner.key, number) for number in (1, 2, 3)]
    assert winner.key.seed not in seeds
    runs = [Run(Trial.parse({**winner.configuration, "seed": seed})) for seed in seeds]
    fresh = [max(record.valid_score for record in run) for run in runs]
    assert winner.luck.fresh == tuple(fresh)
    assert winner.luck.luck == pytest.approx(winner.alone - sum(fresh) / 3)
    assert winner.luck.interval == pytest.approx(
        stats.t.interval(0.95, 2, loc=sum(fresh) / 3, scale=stats.sem(fresh)), abs=1e-12
    )
    assert lines[1] == f"fresh seed 2 of 3: accuracy {fresh[1]:.4g}"
    assert study.best("mine", "adam", seeds=3, tracking_uri=uri)[0].luck == winner.luck


def test_a_fresh_seed_that_diverges_counts_at_chance():
    about = {"task": "quadratic", "mode": "min", "batch_size": "full", "epochs": 400.0, "scheme.lr": 10.0}
    (winner,) = study.best(of(training([0.2], **about)), seeds=2)
    chance = Trial.parse({"task": "quadratic"}).task.chance
    assert winner.luck.fresh == (chance, chance)
    assert winner.luck.diverged == 2


def test_students_interval():
    values = [0.91, 0.95, 0.90, 0.97]
    assert cost.student_interval(values) == pytest.approx(
        stats.t.interval(0.95, 3, loc=sum(values) / 4, scale=stats.sem(values))
    )
    assert cost.student_interval([0.5, 0.5]) == Interval(0.5, 0.5)
    assert isinstance(cost.student_interval([0.5]), NotDefined)


# --- the command -----------------------------------------------------------------------------------------


def test_the_command_prints_yaml_and_python(lr_study, uri, mine):
    done = lr_study("best", "mine", "adam", "--seeds", "2", "--tracking-uri", uri)
    assert done.returncode == 0, done.stderr
    title, luck = done.stdout.splitlines()[:2]
    assert title.startswith("# mine: arm adam, repetition 0, trial ")
    assert "validation accuracy" in title
    assert title.endswith("means over 2 seeds")
    assert luck.startswith("# luck ")
    assert "2 fresh seeds have a mean accuracy of" in luck
    assert "arms:\n  adam-best:\n    trials: 1\n    task: digits_mlp\n" in done.stdout
    assert "\nfrom trainables.optimizer import SchemeOptimizer\n" in done.stdout
    assert done.stderr.count("fresh seed ") == 2
    text = done.stdout.partition("# in a training loop")[0]
    assert parse(f"question: q\n{text}", "again").arms[0].space == {}


def test_as_json_it_is_all_there(lr_study, uri, mine):
    done = lr_study("best", "mine", "--top", "2", "--json", "--tracking-uri", uri)
    first, second = json.loads(done.stdout)
    assert (first["rank"], second["rank"]) == (1, 2)
    assert first["valid_score"] >= second["valid_score"]
    assert Trial.parse(first["configuration"])
    assert {"study", "arm", "repetition", "k", "metric", "test_score", "luck", "yaml", "python"} <= set(first)


def test_what_is_not_there_is_refused_in_one_line(lr_study, uri, mine):
    for words in (["nothing"], ["mine", "adma"], ["nowhere.csv"]):
        done = lr_study("best", *words, "--tracking-uri", uri)
        assert done.returncode == 2, done.stdout
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.ray
def test_a_real_study_from_its_run_to_its_luck(lr_study, tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "real.yaml").write_text(THEIRS)
    ray.shutdown()  # of a test before this one
    assert lr_study("run", "real.yaml", "--cpus", "1").returncode == 0
    assert ray.cluster_resources()["CPU"] == 1
    done = lr_study("best", "real.yaml", "bold", "--seeds", "2", "--json")
    assert done.returncode == 0, done.stderr
    (told,) = json.loads(done.stdout)
    table = study.read("real")
    bold = table[table["arm"] == "bold"]
    assert told["valid_score"] == bold["valid_score"].min()
    assert told["luck"]["luck"] == 0.0  # the whole of the data at every step, from a start that is no seed's
    assert Path("mlflow.db").is_file()
