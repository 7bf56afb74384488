"""Your own task, scheme or direction, without touching this repository; and a new one in it, one file."""

import gc
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import ray
import torch
from conftest import ROOT
from mlflow import MlflowClient

import study
import trainables.directions
from study.plan import parse
from study.plan.catalogue import lines
from study.tracking import Tracker
from trainables import components
from trainables import plugins as outside
from trainables.components import find, members, name_of
from trainables.directions import Direction
from trainables.directions.sgd import SGD
from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.rules import Composed
from trainables.run.loop import Run
from trainables.schemes import Scheme
from trainables.tasks import Task
from trainables.testing import DirectionSuite, SchemeSuite, TaskSuite
from trainables.trial import Trial

DIRECTION = '''
"""Signs."""

from dataclasses import dataclass
from typing import ClassVar

from trainables.directions import Direction
from trainables.space import setting


@dataclass(frozen=True)
class Signum(Direction):
    """d = gain · sign(g)."""

    descends: ClassVar[bool] = True
    gain: float = setting(1.0, valid=(0.0, 10.0))

    def init(self, param):
        return ()

    def apply(self, grad, state, param):
        return self.gain * grad.sign(), state
'''
TASK = """
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from trainables.space import setting
from trainables.tasks import Classification, Data, Split

LOADED = []
LOADED.append(1)


@dataclass(frozen=True)
class Halves(Classification):
    num_classes: ClassVar[int] = 2
    width: int = setting(4, valid=(1, 100))

    def data(self):
        return DATA

    def model(self):
        network = nn.Linear(self.width, 2, bias=False)
        nn.init.zeros_(network.weight)
        return network

    def prepare(self, inputs):
        return inputs[:, : self.width]


points = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
split = Split(points, (points[:, 0] > 0).long(), torch.arange(200))
DATA = Data(split, split, split)
"""
SCHEME = """
from dataclasses import dataclass

import torch

from trainables.schemes import Rate, Scheme
from trainables.space import LogUniform, searched


@dataclass(frozen=True)
class Normalised(Scheme):
    lr: float = searched(LogUniform(1e-4, 1.0), default=0.01)

    def init(self, params):
        return ()

    def rate(self, known):
        norm = torch.stack([grad.square().sum() for grad in known.grads.raw.values()]).sum().sqrt()
        return Rate(self.lr / (norm.double() + 1e-12)), known.state
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of somebody else's, the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_task.py").write_text(TASK)
    (tmp_path / "my_direction.py").write_text(DIRECTION)
    (tmp_path / "my_scheme.py").write_text(SCHEME)
    return tmp_path


@pytest.fixture
def on_path(here, monkeypatch):
    """A package of somebody else's, importable."""
    (here / "their_package").mkdir()
    (here / "their_package" / "tasks.py").write_text(TASK)
    (here / "their_package" / "broken.py").write_text("import a_module_that_nobody_has")
    monkeypatch.syspath_prepend(here)
    yield here
    for name in [name for name in sys.modules if name.startswith("their_package")]:
        del sys.modules[name]


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize("name", ["./my_task.py:Halves", "my_task.py:Halves", "their_package.tasks:Halves"])
def test_a_task_from_outside_trains_and_is_written_as_it_was_named(name):
    trial = Trial.parse({"task": trusted(name), "task.width": 2, "epochs": 2.0, "batch_size": 20})
    assert trial.flat()["task"] == name_of(type(trial.task)) == name
    assert Trial.parse(trial.flat()) == trial
    assert type(Trial.parse(trial.flat()).task) is type(trial.task)
    *_, record = Run(trial)
    assert record.valid_score > 0.8


def test_a_path_may_be_absolute(here):
    name = f"{here}/my_direction.py:Signum"
    keys = {"direction": trusted(name), "direction.gain": 2.0, "scheme": trusted("./my_scheme.py:Normalised")}
    rule = Composed.parse(keys)
    assert rule.flat()["direction"] == name
    assert rule.flat()["scheme"] == "./my_scheme.py:Normalised"
    assert rule.flat()["direction.gain"] == 2.0


def test_a_scheme_that_rates_as_schemes_once_did_is_shown_how_they_do_now(here):
    before = "def rate(self, oracle, grads, direction, state, params, progress)"
    (here / "old_scheme.py").write_text(SCHEME.replace("def rate(self, known)", before))
    with pytest.raises(
        Refusal, match=r"old_scheme.py:Normalised: write rate\(self, known\) where it has rate\(self, or"
    ):
        find(Scheme, trusted("./old_scheme.py:Normalised"))


@pytest.mark.usefixtures("here")
def test_a_file_is_run_once_a_process():
    first = find(Task, trusted("./my_task.py:Halves"))
    assert find(Task, trusted("./my_task.py:Halves")) is first
    assert sys.modules[first.__module__].LOADED == [1]


def test_the_same_spelling_elsewhere_is_another_file(here, monkeypatch):
    first = find(Task, trusted("./my_task.py:Halves"))
    (here / "below").mkdir()
    (here / "below" / "my_task.py").write_text(TASK)
    monkeypatch.chdir(here / "below")
    second = find(Task, trusted("./my_task.py:Halves"))
    assert second is not first
    assert name_of(first) == name_of(second)


@pytest.mark.usefixtures("on_path")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("./nowhere.py:Halves", "there is no file .*nowhere.py"),
        ("./my_task.py:Halfs", "unknown task in ./my_task.py: 'Halfs': did you mean 'Halves'"),
        ("./my_task.py:LOADED", "LOADED is no task: it must inherit trainables.tasks.Task"),
        ("./my_direction.py:Signum", "Signum is no task"),
        ("trainables.tasks:Classification", "does not have data, model, prepare"),
        ("not_here_at_all.tasks:Mine", "there is no module 'not_here_at_all': install it"),
        ("their_package.nothing:Mine", "there is no module 'their_package.nothing': install it"),
        ("their_package.broken:Mine", "cannot be loaded: ModuleNotFoundError: No module named 'a_module"),
        ("./wrong.py:Mine", "cannot be loaded: SyntaxError: "),
        ("./raises.py:Mine", "cannot be loaded: ZeroDivisionError: division by zero .raises.py, line 1.$"),
        ("./thawed.py:Mine", "must be a frozen dataclass"),
        ("./bare.py:Mine", "must be a frozen dataclass"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(name, reason, here):
    (here / "wrong.py").write_text("class Mine(:")
    (here / "raises.py").write_text("1 / 0")
    finished = TASK.replace("class Halves", "class Mine")
    (here / "thawed.py").write_text(finished.replace("frozen=True", ""))
    (here / "bare.py").write_text(finished.replace("@dataclass(frozen=True)", ""))
    with pytest.raises(Refusal, match=reason) as refused:
        Trial.parse({"task": trusted(name)})
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.usefixtures("here")
def test_a_component_from_outside_is_no_member_and_hides_none():
    before = members.__wrapped__(Direction)
    type("Louder", (find(Direction, trusted("./my_direction.py:Signum")),), {})
    type("Mine", (SGD,), {})
    assert members.__wrapped__(Direction) == before


STUDY = """
question: Does it know its own folder?
common: {task: ./my_task.py:Halves, task.width: 2, batch_size: 20, epochs: 2, trials: 2}
arms:
  theirs: {scheme: ./my_scheme.py:Normalised, searcher: tpe}
  ours: {scheme.lr: {log_uniform: [0.01, 1.0]}}
"""


@pytest.fixture
def elsewhere(here, tmp_path_factory, monkeypatch):
    """Their folder with a study in it; the working directory is another one."""
    (here / "mine.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    return here


def test_in_a_study_file_a_path_counts_from_its_folder_and_is_recorded_as_written(elsewhere):
    theirs, _ = parse.load(str(elsewhere / "mine.yaml")).arms
    flat = theirs.trial({"scheme.lr": 0.1}, seed=0).flat()
    assert flat["task"] == theirs.contents()["task"] == "./my_task.py:Halves"
    assert flat["scheme"] == theirs.contents()["scheme"] == "./my_scheme.py:Normalised"
    assert type(Trial.parse(flat).task) is type(theirs.task)
    with pytest.raises(Refusal, match="there is no file"):
        find(Task, trusted("./my_task.py:Halves"))  # here, the same words mean another file


def test_two_studies_of_one_process_may_each_have_a_file_of_that_name(elsewhere, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "my_task.py").write_text(TASK.replace("range(200)", "range(100)"))
    (other / "my_scheme.py").write_text(SCHEME)
    (other / "mine.yaml").write_text(STUDY)
    first, second = (parse.load(str(folder / "mine.yaml")).arms[0] for folder in (elsewhere, other))
    assert first.fixed == second.fixed
    assert type(first.task) is not type(second.task)
    assert type(first.task) is type(parse.load(str(elsewhere / "mine.yaml")).arms[1].task)


def test_what_travels_is_the_text_of_the_files_that_a_trial_names(elsewhere, monkeypatch):
    """As on another machine: nothing lies there, under any path."""
    theirs, ours = parse.load(str(elsewhere / "mine.yaml")).arms
    assert [Path(file.path).name for file in theirs.files()] == ["my_scheme.py", "my_task.py"]
    assert [(file.place, file.text) for file in ours.files()] == [("./my_task.py", TASK)]
    monkeypatch.setattr(outside, "_SHIPPED", {})
    outside.receive(file._replace(path=f"/nowhere/{file.place}") for file in theirs.files())
    flat = theirs.trial({"scheme.lr": 0.1}, seed=0).flat()
    there = Trial.parse({key: trusted(value) for key, value in json.loads(json.dumps(flat)).items()})
    assert there.flat() == flat
    *_, record = Run(there)
    assert record.valid_score > 0.8


def test_a_record_is_not_gone_on_with_after_their_file_has_changed(elsewhere, tmp_path_factory):
    changed = tmp_path_factory.mktemp("changed")
    for name in ("mine.yaml", "my_scheme.py"):
        shutil.copy(elsewhere / name, changed)
    (changed / "my_task.py").write_text(TASK.replace("range(200)", "range(100)"))
    uri = f"sqlite:///{elsewhere}/mlflow.db"
    before = parse.load(str(elsewhere / "mine.yaml"))
    Tracker(before, uri).searches.open(before.searches())
    Tracker(before, uri)
    with pytest.raises(Refusal, match=r"in arm '\w+', ./my_task.py was \w{16}, is now \w{16}. Copy the study file"):
        Tracker(parse.load(str(changed / "mine.yaml")), uri)


@pytest.mark.ray
@pytest.mark.usefixtures("one_slot")
@pytest.mark.timeout(300)
def test_a_study_of_their_components_runs_from_any_folder(elsewhere, lr_study_process, tmp_path_factory, monkeypatch):
    """From the command line, then on from Python in another folder; the workers are in a third."""
    uri, storage = f"sqlite:///{elsewhere}/mlflow.db", elsewhere / "storage"
    away = tmp_path_factory.mktemp("away")
    words = "--tracking-uri", uri, "--storage", storage, "--trials", 1
    driver = lr_study_process("run", elsewhere / "mine.yaml", *words, cwd=away)
    out, err = driver.communicate(timeout=200)
    assert driver.returncode == 0, err
    assert "./my_task.py:Halves" in out
    monkeypatch.chdir(away)
    assert study.run(str(elsewhere / "mine.yaml"), tracking_uri=uri, storage=storage)
    ray.shutdown()
    table = study.read("mine", tracking_uri=uri)
    assert set(table["task"]) == {"./my_task.py:Halves"}
    assert set(table["scheme"]) == {"./my_scheme.py:Normalised", "fixed"}
    assert len(table) == 2 * 2 * 2
    client = MlflowClient(uri)
    parent = client.search_runs([client.get_experiment_by_name("mine").experiment_id], "tags.`lr_study.arm` = 'theirs'")
    kept = {file.path for run in parent for file in client.list_artifacts(run.info.run_id)}
    assert kept == {"study.yaml", "my_task.py", "my_scheme.py"}


class TestTheirDirection(DirectionSuite):
    @pytest.fixture
    def direction(self, here):
        return find(Direction, trusted("./my_direction.py:Signum"))()


class TestTheirScheme(SchemeSuite):
    @pytest.fixture
    def scheme(self, here):
        return find(Scheme, trusted("./my_scheme.py:Normalised"))()


class TestTheirTask(TaskSuite):
    @pytest.fixture
    def task(self, here):
        return find(Task, trusted("./my_task.py:Halves"))()


@pytest.fixture
def one_file_more(tmp_path, monkeypatch):
    """A new direction: one file in the folder, which here is a second folder of the same package."""
    (tmp_path / "signum.py").write_text(DIRECTION)
    monkeypatch.setattr(trainables.directions, "__path__", [*trainables.directions.__path__, str(tmp_path)])
    members.cache_clear()
    yield
    sys.modules.pop("trainables.directions.signum", None)
    vars(trainables.directions).pop("signum", None)
    members.cache_clear()
    components._hints.cache_clear()
    gc.collect()  # or `Direction.__subclasses__` would still hold it


@pytest.mark.usefixtures("one_file_more")
def test_a_new_direction_is_one_file_and_nothing_else():
    assert "signum" in members(Direction)
    assert any(line.startswith("signum: d = gain · sign(g).") for line in lines("directions"))
    rule = Composed.parse({"direction": "signum", "direction.gain": 3.0})
    assert rule.flat()["direction"] == "signum"
    grad = torch.tensor([2.0, -1.0])
    assert rule.direction.apply(grad, rule.direction.init(grad), grad)[0].tolist() == [3.0, -3.0]
    suite = DirectionSuite()
    suite.test_fields(rule.direction)
    suite.test_descends_where_it_says_so(rule.direction)
    suite.test_vmap_over_its_numbers_equals_the_loop(rule.direction)


def test_a_new_file_is_in_the_conformance_run(tmp_path):
    """In a copy of the checkout with one file more, and no other change."""
    for name in ("README.md", "pyproject.toml", ".ci", "study", "trainables", "tests"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "trainables" / "directions" / "signum.py").write_text(DIRECTION)
    files = "tests/trainables/directions/test_directions.py", "tests/trainables/test_schemes.py"
    words = "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", "signum", *files
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", *words]
    out = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False).stdout
    asked = set(re.findall(r"::(\w+)\[(\S+?)(?:-dtype\d)?\]$", out, flags=re.MULTILINE))
    for suite, names in (
        (DirectionSuite, ["signum"]),
        (SchemeSuite, [f"{scheme}-signum" for scheme in members(Scheme)]),
    ):
        facts = [fact for fact in dir(suite) if fact.startswith("test_")]
        assert {(fact, name) for fact in facts for name in names} <= asked, out


def test_the_new_direction_is_gone_again():
    assert "signum" not in members(Direction)


def test_the_line_that_is_told_is_the_last_one_of_the_users_own(tmp_path):
    (tmp_path / "late.py").write_text("import json\n\n\njson.loads('no')\n")
    with pytest.raises(Refusal, match=r"Expecting value: line 1 column 1 \(char 0\) \(late\.py, line 4\)"):
        find(Scheme, trusted(f"{tmp_path}/late.py:Mine"))
