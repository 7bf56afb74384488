"""One trial of a study by hand: values go before the arm's, and what is searched gets a value that is told."""

from pathlib import Path

import pytest

from study.plan.chosen import choose
from trainables.refusal import Refusal
from trainables.space import Choice, Integer, LogUniform, OverLr, Uniform, middle

TASKS = """
from dataclasses import dataclass

from trainables.tasks.quadratic import Quadratic


@dataclass(frozen=True, kw_only=True)
class Wide(Quadratic):
    width: int
"""
STUDY = """
question: q
common: {task: quadratic, epochs: 4, batch_size: 32}
arms:
  first: {searcher: grid, trials: 2, scheme.lr: {choice: [0.1, 0.2]}, stopper: asha}
  second: {direction: adam, scheme.lr: 0.5, epochs: 3}
  wide: {task: './tasks.py:Wide', task.width: {integer: [2, 5]}, decay.weight_decay: {over_lr: {uniform: [0.2, 0.4]}}}
  replay: {control_of: first}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "mine.yaml").write_text(STUDY)


def test_without_an_arm_it_is_the_first_and_the_others_are_told():
    chosen = choose("mine.yaml", [])
    assert (chosen.study, chosen.arm, chosen.others) == ("mine", "first", ("second", "wide", "replay"))
    assert choose("mine.yaml", ["second"]).others == ()


def test_values_go_before_the_arms_in_the_types_of_a_study_file():
    words = ["scheme.lr=1e-2", "second", "batch_size=full", "gradient_clip=null", "compile=false", "seed=3"]
    flat = choose("mine.yaml", words).trial.flat()
    told = {key: flat[key] for key in ("scheme.lr", "batch_size", "gradient_clip", "compile", "seed", "epochs")}
    assert told == {
        "scheme.lr": 0.01,
        "batch_size": "full",
        "gradient_clip": None,
        "compile": False,
        "seed": 3,
        "epochs": 3.0,
    }


def test_another_scheme_is_searched_over_its_own_fields():
    chosen = choose("mine.yaml", ["first", "scheme=cprop"])
    assert chosen.trial.flat()["scheme"] == "cprop"
    assert chosen.taken["scheme.lr"] == f"{chosen.trial.flat()['scheme.lr']:g}, its default"


def test_what_is_searched_takes_its_default_whatever_the_search():
    chosen = choose("mine.yaml", [])
    assert chosen.trial.flat()["scheme.lr"] == 0.1
    assert chosen.taken == {"scheme.lr": "0.1, its default"}
    assert choose("mine.yaml", ["scheme.lr=0.7"]).taken == {}  # a grid of one point, of which two trials were asked


def test_what_has_no_default_takes_the_middle_of_its_domain():
    chosen = choose("mine.yaml", ["wide"])
    assert chosen.trial.flat()["task.width"] == 3
    assert chosen.taken["task.width"] == "3, the middle of integer [2, 5]"
    assert chosen.taken["decay.weight_decay"] == "0, its default"


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (Uniform(1.0, 4.0), 2.5),
        (LogUniform(0.01, 100.0), 1.0),
        (Integer(2, 5), 3),
        (Choice(("a", "b", "c", "d")), "b"),
        (OverLr(Uniform(0.0, 1.0)), 0.5),
    ],
)
def test_the_middle_of_every_domain(domain, value):
    assert middle(domain) == pytest.approx(value) if isinstance(value, float) else middle(domain) == value


def test_a_path_counts_from_the_working_directory_and_that_of_the_file_from_its_folder(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert choose("../mine.yaml", ["wide"]).trial.flat()["task"] == "./tasks.py:Wide"
    Path("tasks.py").write_text(TASKS.replace("Wide", "Here"))
    here = choose("../mine.yaml", ["second", "task=./tasks.py:Here", "task.width=1"])
    assert here.trial.flat()["task"] == "./tasks.py:Here"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["frist"], "unknown arm 'frist': did you mean 'first'? Known: first, replay, second, wide"),
        (["first", "second"], "one trial has one arm, got 'first' and 'second'; a value is written key=value"),
        (["scheme.lrr=1"], "unknown key 'scheme.lrr': did you mean 'scheme.lr'?"),
        (["scheme.lr=-1"], "scheme.lr must lie in"),
        (["scheme=cprob"], "unknown scheme 'cprob': did you mean 'cprop'?"),
        (["seed=-1"], "seed must lie in"),
        (["seed=x"], "seed must be a whole number, got 'x'"),
        (["epochs=020"], "epochs: line 1: 020 has a leading zero"),
        (["trials=3"], "trials belongs to a search, of which nothing is said here: leave it out"),
        (["stopper.reduction=3"], "stopper.reduction belongs to a search"),
        (["replay"], "arm 'replay' replays the rates that a study has measured of 'first': try that arm"),
    ],
)
def test_what_is_none_is_refused_in_one_line(words, told):
    with pytest.raises(Refusal) as refusal:
        choose("mine.yaml", words)
    assert told in str(refusal.value)
    assert "\n" not in str(refusal.value)
