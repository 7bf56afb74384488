"""Code from outside makes one step in the driver before Ray starts: if it is broken, that costs seconds."""

import re
import threading
import time
from pathlib import Path

import pytest
import ray

from study.execution.rehearsal import rehearse
from study.plan.parse import parse
from study.tracking import client, is_recorded
from trainables.refusal import Refusal
from trainables.tasks.digits_mlp import DigitsMLP

TASKS = """
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from trainables.schemes.fixed import Fixed
from trainables.tasks.quadratic import Quadratic


@dataclass(frozen=True)
class Raises(Quadratic):
    def model(self):
        raise ValueError("no such model")


@dataclass(frozen=True)
class Exits(Quadratic):
    def loss(self, outputs, targets):
        sys.exit(3)


@dataclass(frozen=True)
class NoData(Quadratic):
    def data(self):
        return open("/nowhere/data")


@dataclass(frozen=True)
class Sleeps(Quadratic):
    def loss(self, outputs, targets):
        try:
            time.sleep(100)
        except Exception:
            pass


@dataclass(frozen=True)
class Counts(Quadratic):
    def loss(self, outputs, targets):
        with open("counted", "a") as file:
            file.write("x")
        return super().loss(outputs, targets)


@dataclass(frozen=True)
class Breaks(Fixed):
    def rate(self, known):
        return known.nothing
"""
NORMED = """
from dataclasses import dataclass

from torch import nn

from trainables.tasks.digits_mlp import DigitsMLP


@dataclass(frozen=True)
class Normed(DigitsMLP):
    def model(self):
        return nn.Sequential(nn.BatchNorm1d(64), nn.Linear(64, 10))
"""
STUDY = "{question: q, common: {epochs: 2, batch_size: full, trials: 2, task: quadratic}, arms: {%s}}"


@pytest.fixture(autouse=True)
def _mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.py").write_text(TASKS)


def study_of(arms):
    return parse(STUDY % arms, "mine", folder=Path.cwd())


@pytest.mark.parametrize(
    ("arm", "told"),
    [
        ("task: './tasks.py:Raises'", "./tasks.py:Raises fails: ValueError: no such model (tasks.py, line 14)"),
        ("task: './tasks.py:Exits'", "./tasks.py:Exits fails: SystemExit: 3 (tasks.py, line 20)"),
        ("scheme: './tasks.py:Breaks'", "./tasks.py:Breaks fails: AttributeError: 'Known' object has no attribute"),
    ],
)
def test_what_fails_is_refused_with_its_error_and_the_line_of_the_users_code(arm, told):
    with pytest.raises(Refusal) as refusal:
        rehearse(study_of(f"good: {{}}, broken: {{{arm}}}"))
    assert f"arm 'broken': one step of {told}" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("rule", ["rule: split", "optimizer: muon"])
def test_a_shipped_rule_that_does_not_take_the_model_is_refused(rule):
    with pytest.raises(Refusal, match=r"arm 'broken': .*matri"):
        rehearse(study_of(f"good: {{}}, broken: {{{rule}}}"))


def test_from_the_command_line_it_takes_no_ray_and_v_shows_the_traceback(lr_study, tmp_path):
    (tmp_path / "mine.yaml").write_text(STUDY % "broken: {task: './tasks.py:Raises'}")
    begun = ray.is_initialized()  # by another test of this process
    for words in ([], ["-v"]):
        done = lr_study("run", "mine.yaml", *words)
        assert done.returncode == 2, done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("error: arm 'broken': one step of ./tasks.py:Raises")
        assert ('tasks.py", line 14, in model' in done.stderr) == bool(words)
    assert ray.is_initialized() == begun


def test_data_that_cannot_be_read_are_refused_in_one_line_too(lr_study, tmp_path):
    (tmp_path / "mine.yaml").write_text(STUDY % "broken: {task: './tasks.py:NoData'}")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for recorded in (False, True):  # of a study that is, what is missing is known first
        assert is_recorded("mine", uri) == recorded
        done = lr_study("run", "mine.yaml", "--no-check", "--tracking-uri", uri)
        assert done.returncode == 2
        assert (
            "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/data' (tasks.py, line 26)" in done.stderr
        )
        assert "Traceback" not in done.stderr
        if not recorded:
            client(uri).create_experiment("mine", f"{tmp_path}/artifacts")


def test_each_task_and_rule_makes_one_step_however_many_arms_have_it(tmp_path):
    counts = "task: './tasks.py:Counts'"
    rehearse(study_of(f"a: {{{counts}}}"))
    calls = len((tmp_path / "counted").read_text())
    rehearse(study_of(f"a: {{{counts}}}, b: {{{counts}, scheme.lr: 0.5}}, c: {{{counts}, scheme: cprop}}, d: {{}}"))
    assert len((tmp_path / "counted").read_text()) == 3 * calls > 0


@pytest.mark.parametrize("more", ["", ", fuse: 2"])
def test_a_batch_size_that_leaves_one_example_to_a_batch_norm_is_refused(more, tmp_path):
    (tmp_path / "normed.py").write_text(NORMED)
    examples = len(DigitsMLP().splits().train)
    arms = f"fits: {{task: './normed.py:Normed', batch_size: 400{more}}}, "
    arms += f"one: {{task: './normed.py:Normed', batch_size: %d{more}}}"
    rehearse(study_of(arms % (examples - 2)))
    with pytest.raises(Refusal, match=r"arm 'one': every epoch ends with a mini-batch of one .* another batch_size"):
        rehearse(study_of(arms % (examples - 1)))


def test_a_step_that_takes_long_is_left_out_and_holds_nothing_up(capsys):
    before = time.monotonic()
    rehearse(study_of("slow: {task: './tasks.py:Sleeps'}, broken: {task: './tasks.py:Raises'}"), seconds=1.0)
    assert time.monotonic() - before < 10
    said = (
        r"a step on the CPU takes longer than (1|0\.\d+) s here: it is not tried out\n"  # the first of them takes some
    )
    assert re.fullmatch(said, capsys.readouterr().err)


def test_in_another_thread_it_steps_without_a_clock():
    found = []

    def steps():
        try:
            rehearse(study_of("broken: {task: './tasks.py:Raises'}"))
        except Refusal as refusal:
            found.append(str(refusal))

    thread = threading.Thread(target=steps)
    thread.start()
    thread.join(60)
    assert "no such model" in found[0]


LOOPS = """
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from trainables.training import Training


@dataclass(frozen=True)
class Loop(Training):
    metric, mode, chance = "accuracy", "max", 0.5
    does: str = "steps"

    def train(self, session):
        weight = torch.nn.Parameter(torch.ones(()))  # all of them are one batch
        optimizer, _ = session.optimizer([weight]), session.batch_size
        if self.does == "raises":
            raise KeyError("no such column")
        if self.does == "loads":
            time.sleep(2)
        for _ in session.epochs():
            for _ in range(100):
                weight.square().backward()
                optimizer.step()
                with open("counted", "a") as file:
                    file.write("x")
            if self.does != "forgets":
                session.report(0.5)
"""


@pytest.fixture
def loop(tmp_path, monkeypatch):
    """A study of one arm whose loop does what it is told to."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loops.py").write_text(LOOPS)
    return lambda does: study_of(f"own: {{task: './loops.py:Loop', task.does: {does}, epochs: 3}}")


def test_a_loop_of_the_users_runs_up_to_its_first_step(loop, tmp_path):
    rehearse(loop("steps"))
    assert not (tmp_path / "counted").exists(), "its first step is the last that it makes"


@pytest.mark.parametrize("more", ["gradient_clip: 1.0", "gradient_clip: {choice: [null, 1.0]}", "precision: bfloat16"])
def test_a_loop_that_does_not_heed_what_one_of_several_arms_is_given_is_refused(more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loops.py").write_text(LOOPS)
    arms = f"plain: {{task: './loops.py:Loop'}}, more: {{task: './loops.py:Loop', {more}}}"
    with pytest.raises(Refusal, match=rf"arm 'more': {more.partition(':')[0]} is given, and recorded"):
        rehearse(study_of(arms))


def test_a_loop_that_fails_is_refused_with_the_line_of_the_users_code(loop):
    with pytest.raises(
        Refusal, match=r"one step of \./loops.py:Loop fails: KeyError: 'no such column' \(loops.py, line 20"
    ):
        rehearse(loop("raises"))


def test_a_loop_that_has_not_stepped_in_time_is_let_go_and_ends_at_its_first_step(loop, tmp_path, capsys):
    before, others = time.monotonic(), set(threading.enumerate())  # of tests before this one
    rehearse(loop("loads"), seconds=0.5)
    assert time.monotonic() - before < 2
    assert "it is not tried out" in capsys.readouterr().err
    (own,) = [each for each in threading.enumerate() if each.name.startswith("training") and each not in others]
    own.join(timeout=20)
    assert not own.is_alive()
    assert not (tmp_path / "counted").exists()
