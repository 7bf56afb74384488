"""A trial that fails is tried again, recorded as failed, or the end of its study; a machine that goes is no failure."""

import contextlib
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import ray
import torch

import study
from study import tracking
from study.dispatch.dispatcher import Dispatcher
from study.dispatch.outcome import Outcome
from study.execution import cluster, failures, tuner
from study.execution.failures import GIVE_UP, Failures, cause_of, line_of
from study.execution.progress import Progress
from study.plan.parse import parse
from trainables import ray_trainable as trainable
from trainables.ray_trainable import Trainable, load, save
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.run.own_loop import OwnLoop
from trainables.training import Training
from trainables.trial import Record, Trial

NODE = "The actor died because its node has died. Node Id: 1f\n\tthe actor's node was terminated unexpectedly: gone"
PROCESS = "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: …"
OWN = "ray::Trainable.train() (pid=7)\n  File x.py, line 1\nValueError: negative variance"
INIT = f"The actor died because of an error raised in its creation task, {OWN}"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (NODE, "node"),
        (PROCESS, "process"),
        (OWN, "trial"),
        (INIT, "trial"),
        ("", "trial"),
        (OWN.replace("negative variance", "the data server is unavailable: HTTP 404"), "trial"),
    ],
)
def test_what_failed_is_read_off_what_ray_says(error, cause):
    assert cause_of(error) == cause


def test_of_a_chain_of_errors_the_last_is_told_whatever_words_stand_before_it():
    chain = "ConnectionError: the data server is unavailable: HTTP 404\n\nDuring handling …\n\nRuntimeError: no data"
    assert line_of(f"ray.exceptions.RayTaskError(RuntimeError): {OWN}\n{chain}") == "RuntimeError: no data"


def test_the_last_line_of_a_traceback_is_what_it_was():
    assert line_of(OWN + "\n\n") == "ValueError: negative variance"
    assert line_of("") == "no error was told"
    assert line_of(f"class_name: Trainable\n{PROCESS}\nThe actor never ran.") == PROCESS


def fates(*errors):
    """Whether the trial is tried again after each of (error, records it had)."""
    counting = Failures()
    return [counting.may_go_on("a", error, records) for error, records in errors]


def test_the_third_failure_of_its_own_is_the_last():
    assert fates((OWN, 5), (INIT, 5), (OWN, 9)) == [True, True, False]


def test_machines_that_go_away_are_no_failures_however_many():
    assert all(fates(*[(NODE, 0)] * 50))
    assert fates((OWN, 0), (NODE, 0), (OWN, 0), (NODE, 0), (OWN, 0)) == [True, True, True, True, False]


def test_a_process_that_dies_counts_where_it_got_no_further_than_the_one_before():
    assert all(fates(*[(PROCESS, records) for records in range(1, 50)]))
    assert fates((PROCESS, 4), (PROCESS, 4), (PROCESS, 3), (PROCESS, 4)) == [True, True, True, False]
    assert fates(*[(PROCESS, 0)] * 3) == [True, True, False]


def test_a_study_is_hopeless_when_its_first_trials_all_failed_and_not_when_one_did_not():
    hopeless, fine = Failures(), Failures()
    fine.ended("good", failed=False)
    for number in range(GIVE_UP):
        assert not hopeless.hopeless
        for each in (hopeless, fine):
            each.ended(str(number), failed=True)
    assert hopeless.hopeless == [str(number) for number in range(GIVE_UP)]
    assert not fine.hopeless


def test_a_driver_knows_of_the_trials_that_ended_well_under_an_earlier_one():
    dispatcher = Dispatcher(parse("{question: q, arms: {a: {task: quadratic, trials: 2}}}", "x"), {})
    for status, known in (("failed", False), ("diverged", True)):
        dispatcher.observe(dispatcher.next().key, Outcome(status, 0.0))
        assert (dispatcher.failed_first is None) == known
        assert known or dispatcher.failed_first == ["x/a/0/0/0"]
    resumed = Failures(dispatcher.failed_first)
    for number in range(GIVE_UP):
        resumed.ended(str(number), failed=True)
    assert not resumed.hopeless


def test_what_failed_under_an_earlier_driver_is_among_the_first():
    resumed = Failures([f"early {number}" for number in range(GIVE_UP - 1)])
    assert not resumed.hopeless
    resumed.ended("late", failed=True)
    assert len(resumed.hopeless) == GIVE_UP


# --- in the worker's process ----------------------------------------------------------------------------

MARK = "of this study"
TRIAL = {"task": "quadratic", "epochs": 6, "batch_size": "full", "scheme.lr": 0.1}


@pytest.fixture
def config(tmp_path):
    told = {"trials": [TRIAL], "bars": [[]], "files": [], "folders": [str(tmp_path / "here")]}
    return {"mark": MARK, "priced": "null", **{name: json.dumps(value) for name, value in told.items()}}


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(trainable, "CHECKPOINT_SECONDS", -1.0)


def test_out_of_memory_says_which_trial_and_what_to_change(config, monkeypatch):
    running = Trainable(config)

    def full(self):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    monkeypatch.setattr(Run, "epoch", full)
    with pytest.raises(RuntimeError) as told:
        running.step()
    assert str(told.value) == (
        "batch_size full of quadratic needs more memory than the GPU has: give the arm a smaller batch_size, or each "
        "trial more of a GPU (--gpus) (CUDA out of memory. Tried to allocate 2.00 GiB.)"
    )


def test_a_path_that_is_not_whole_says_where_a_trial_runs(config, monkeypatch):
    running = Trainable(config)
    monkeypatch.setattr(Run, "epoch", lambda self: Path("data/train.csv").read_text())
    with pytest.raises(RuntimeError, match=r"directory: 'data/train.csv'; a trial runs in a folder of its own"):
        running.step()


def test_told_that_it_failed_too_often_it_says_so_and_trains_nothing(config, monkeypatch):
    monkeypatch.setattr(trainable, "Run", None)
    result = Trainable({**config, "error": "ValueError: negative"}).step()
    assert (result["done"], result["error"], result["lanes"]) == (True, "ValueError: negative", [])


def epochs(folder, number):
    """A run that has been saved after each of its epochs, and its state at the end."""
    run = Run(Trial.parse(TRIAL), "cpu")
    for _ in range(number):
        run.epoch()
        save(run, folder, MARK)
    return run


def resumed(folder, mark=MARK, trial=TRIAL):
    """The number of records with which a run goes on from a folder."""
    return len(load(lambda: Run(Trial.parse(trial), "cpu"), folder, mark).records)


def test_the_last_two_checkpoints_are_kept(tmp_path):
    epochs(tmp_path, 4)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["before.pt", "run.pt"]
    assert resumed(tmp_path) == 4


@pytest.mark.parametrize("damage", [b"", b"nothing that torch wrote", None])
def test_where_the_last_one_cannot_be_read_the_one_before_it_serves(tmp_path, damage, capsys):
    epochs(tmp_path, 4)
    file = tmp_path / "run.pt"
    file.write_bytes(file.read_bytes()[:-100] if damage is None else damage)
    assert resumed(tmp_path) == 3
    assert "run.pt is not used" in capsys.readouterr().err
    (tmp_path / "before.pt").write_bytes(b"")
    assert resumed(tmp_path) == 0


def test_killed_between_the_two_renames_it_goes_on_from_the_one_before(tmp_path):
    epochs(tmp_path, 4)
    (tmp_path / "run.pt").unlink()
    assert resumed(tmp_path) == 3


def test_what_another_study_of_the_same_name_left_is_not_gone_on_from(tmp_path, capsys):
    epochs(tmp_path, 4)
    assert resumed(tmp_path, mark="of that one") == 0
    assert capsys.readouterr().err.count("is not used: it is of another study of this name") == 2
    assert resumed(tmp_path, trial={**TRIAL, "scheme.lr": 0.2}) == 0
    assert "is not used: the state is of another trial" in capsys.readouterr().err


def test_a_worker_used_again_fails_in_its_first_step_and_has_given_back_what_it_held(config):
    running = Trainable(config)
    running.step()
    assert running.reset_config({**config, "trials": json.dumps([{**TRIAL, "scheme.lr": "no number"}])})
    assert running._training is None
    with pytest.raises(Refusal, match=r"scheme\.lr"):
        running.step()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("unexpected pos 64 vs 0")])
def test_on_a_full_disk_a_trial_goes_on_and_leaves_nothing_half_written(config, often, monkeypatch, capsys, error):
    running = Trainable(config)

    def full(state, file):
        file.write(b"half of it")
        raise error

    monkeypatch.setattr(torch, "save", full)
    result = running.step()
    assert result["finished"]
    assert len(result["lanes"][0]["records"]) == 6
    assert "no checkpoint, the trial goes on" in capsys.readouterr().err
    folder = running._folder
    assert list(folder.iterdir()) == []


def test_a_trial_that_raises_has_told_what_it_trained_before(config, monkeypatch):
    """However fast it is: it is charged for that, and its record depends on no clock."""
    monkeypatch.setattr(trainable, "REPORT_SECONDS", math.inf)
    running, epoch = Trainable(config), Run.epoch

    def bad(self):
        if len(self.records) == 4:
            raise ValueError("bad batch")
        epoch(self)

    monkeypatch.setattr(Run, "epoch", bad)
    told = running.step()
    assert (told["done"], told["error"], len(told["lanes"][0]["records"])) == (False, "", 4)
    with pytest.raises(ValueError, match="bad batch"):
        running.step()
    running.reset_config(config)
    assert len(running.step()["lanes"][0]["records"]) == 4


def test_a_trial_that_raises_at_its_very_end_has_not_finished(config, monkeypatch):
    """Every step has been made by then: it is the last evaluation that breaks."""
    monkeypatch.setattr(trainable, "REPORT_SECONDS", math.inf)
    running, epoch = Trainable(config), Run.epoch

    def untested(self):
        if len(self.records) == 5:
            self.steps = self.course.num_steps
            raise ValueError("no test data")
        epoch(self)

    monkeypatch.setattr(Run, "epoch", untested)
    told = running.step()
    assert (told["done"], told["finished"], len(told["lanes"][0]["records"])) == (False, False, 5)
    with pytest.raises(ValueError, match="no test data"):
        running.step()


def test_a_loop_of_ones_own_that_raises_has_told_what_it_reported_and_has_not_finished(config, monkeypatch):
    class Odd(Exception):
        pass

    @dataclass(frozen=True)
    class Breaks(Training):
        metric, mode, chance = "accuracy", "max", 0.5

        def train(self, session):
            model = torch.nn.Linear(1, 1)
            optimizer = session.optimizer(model, steps_per_epoch=1)
            for epoch in session.epochs(model=model, optimizer=optimizer):
                if epoch == 2:
                    raise Odd("bad batch")
                model(torch.ones(1, 1)).sum().backward()
                optimizer.step()
                session.report(valid_score=0.6)

    given = Trial(task=Breaks(), rule=Trial.parse(TRIAL).rule, epochs=4.0)
    monkeypatch.setattr(trainable, "REPORT_SECONDS", math.inf)
    monkeypatch.setattr(Trainable, "_fresh", lambda self, *rest: OwnLoop(given))
    running = Trainable(config)
    told = running.step()
    assert (told["done"], told["finished"], len(told["lanes"][0]["records"])) == (False, False, 2)
    with pytest.raises(RuntimeError, match="Odd: bad batch"):
        running.step()


def test_a_lane_that_diverged_says_so_until_the_last_lane_has_ended(config, monkeypatch, tmp_path):
    """However its records fall into reports: how long one takes is a matter of the clock."""
    monkeypatch.setattr(trainable, "REPORT_SECONDS", 0.001)  # an epoch or few a report
    trials = [{**TRIAL, "fuse": 2, "scheme.lr": rate} for rate in (1e9, 0.1)]
    lists = {"trials": trials, "bars": [[], []], "folders": [str(tmp_path / name) for name in "ab"]}
    running = Trainable({**config, **{name: json.dumps(value) for name, value in lists.items()}})
    results = [running.step()]
    while not results[-1]["finished"]:
        results.append(running.step())
    diverged, sound = results[-1]["lanes"]
    assert (diverged["records"], diverged["diverged"]) == ([], True)
    assert (len(sound["records"]) > 0, sound["diverged"]) == (True, False)


def test_where_there_is_no_room_for_artifacts_a_trial_ends_without_and_says_so(config, monkeypatch, capsys):
    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    running = Trainable({**config, "trials": json.dumps([{"task": "digits_mlp", "epochs": 1, "artifacts": True}])})
    assert running.step()["finished"]
    assert "no artifacts are kept, the trial ends without: [Errno 28]" in capsys.readouterr().err
    assert list(running._folder.iterdir()) == []


# --- on a real Ray --------------------------------------------------------------------------------------

TASKS = """
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from trainables.tasks.quadratic import Quadratic


@dataclass(frozen=True)
class Raises(Quadratic):
    def model(self):
        raise ValueError("no such model")


@dataclass(frozen=True)
class Dies(Quadratic):
    def model(self):
        os._exit(1)


def used_again(what):
    \"\"\"What becomes of this process when Tune gives it another trial: it makes a folder for that first.\"\"\"
    if sys.argv[0].endswith("default_worker.py"):
        os.makedirs = what


@dataclass(frozen=True)
class Leaves(Quadratic):
    def model(self):
        used_again(lambda *folder, **named: os._exit(1))
        return super().model()


@dataclass(frozen=True)
class Refuses(Quadratic):
    def model(self):
        used_again(lambda *folder, **named: 1 / 0)
        return super().model()
"""
LOOPS = """
from dataclasses import dataclass

import torch

from trainables.training import Training


class Odd(Exception):
    def __init__(self, column, table):
        super().__init__(f"no column {column} in {table}")


@dataclass(frozen=True)
class Raises(Training):
    metric, mode, chance = "accuracy", "max", 0.5

    def train(self, session):
        raise Odd("age", "postgresql://me:secret@db/people")


@dataclass(frozen=True)
class Exits(Training):
    metric, mode, chance = "accuracy", "max", 0.5

    def train(self, session):
        raise SystemExit(3)


@dataclass(frozen=True)
class Trains(Training):
    metric, mode, chance = "accuracy", "max", 0.5

    def train(self, session):
        weight = torch.nn.Parameter(torch.ones(1))
        optimizer = session.optimizer([weight])
        for _ in session.epochs():
            optimizer.zero_grad()
            weight.square().sum().backward()
            optimizer.step()
            session.report(1 - weight.abs())
"""
STUDY = """
question: What becomes of trials that fail?
common: {epochs: 3, trials: 1}
arms:
  raises: {task: "./tasks.py:Raises", batch_size: full}
  dies: {task: "./tasks.py:Dies", batch_size: full}
  fine: {task: quadratic, batch_size: full}
  loop_raises: {task: "./loops.py:Raises", scheme.lr: 0.1}
  loop_exits: {task: "./loops.py:Exits", scheme.lr: 0.1}
  loop_trains: {task: "./loops.py:Trains", scheme.lr: 0.1}
"""
FAILED = {"raises", "dies", "loop_raises", "loop_exits"}


@pytest.fixture(scope="module", autouse=True)
def one_ray():
    """The tests of this file run their studies on one, which the first of them starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 1}')
        yield
    ray.shutdown()


def write_study(folder):
    """A study with its tasks, and where it is to be recorded."""
    (folder / "tasks.py").write_text(TASKS)
    (folder / "loops.py").write_text(LOOPS)
    (folder / "failing.yaml").write_text(STUDY)
    return {"tracking_uri": f"sqlite:///{folder}/mlflow.db", "storage": folder}


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_study(tmp_path)


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """The study as it was recorded: its store, its trials by arm, and what was said of them."""
    folder = tmp_path_factory.mktemp("failing")
    store, said = write_study(folder), io.StringIO()
    with contextlib.redirect_stderr(said), pytest.MonkeyPatch.context() as patch:
        patch.setattr(failures, "ATTEMPTS", 2)  # each is a process that imports torch
        assert study.run(str(folder / "failing.yaml"), **store, check=False)
    client = tracking.client(store["tracking_uri"])
    runs = client.search_runs([client.get_experiment_by_name("failing").experiment_id])
    trials = {run.data.tags["lr_study.arm"]: run for run in runs if run.data.tags["lr_study.kind"] == "trial"}
    return SimpleNamespace(uri=store["tracking_uri"], client=client, trials=trials, said=said.getvalue())


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_trials_that_fail_by_themselves_are_recorded_with_their_error_and_the_study_goes_on(failing):
    ended = {arm: run.info.status for arm, run in failing.trials.items()}
    assert {arm for arm, status in ended.items() if status == "FAILED"} == FAILED
    assert set(ended) - FAILED == {arm for arm, status in ended.items() if status == "FINISHED"}
    tags = {arm: run.data.tags for arm, run in failing.trials.items()}
    assert tags["raises"]["lr_study.error"] == "ValueError: no such model"
    assert "its worker process has died" in tags["dies"]["lr_study.error"]
    assert int(tags["raises"]["lr_study.attempts"]) == 2
    assert "trial failing/raises/0/0/0 failed: ValueError: no such model" in failing.said
    assert {of.arm for of in tracking.status("failing", failing.uri) if of.failed} == FAILED


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_a_loop_that_raises_leaves_its_own_traceback_without_secrets_and_one_that_exits_ends_no_worker(
    failing, tmp_path
):
    runs = failing.trials
    assert runs["loop_exits"].data.tags["lr_study.error"] == "SystemExit: 3"
    error = runs["loop_raises"].data.tags["lr_study.error"]
    assert error.endswith("Odd: no column age in postgresql://…@db/people")
    kept = failing.client.download_artifacts(runs["loop_raises"].info.run_id, "traceback.txt", str(tmp_path))
    text = Path(kept).read_text()
    assert "secret" not in text
    assert text.startswith("Traceback (most recent call last):")
    assert 'raise Odd("age", "postgresql://…@db/people")' in text
    table = study.report("failing", "csv", tracking_uri=failing.uri)
    assert {"./loops.py:Trains", "quadratic"} <= set(table.replace("\n", ",").split(",")), "both kinds in one table"


@pytest.mark.ray
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("failing")
def test_no_process_is_started_that_waits_for_work_which_only_others_get():
    names = [process.name() for process in psutil.Process().children(recursive=True)]
    assert "raylet" in names
    assert not [name for name in names if name.startswith("ray::IDLE")]


@pytest.mark.ray
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("failing")
def test_no_process_is_started_that_serves_people_or_other_machines():
    running = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
    assert any("raylet" in line for line in running)
    assert not [line for line in running if "monitor.py" in line or "dashboard.py" in line]


def test_whatever_breaks_a_study_off_nothing_of_it_looks_as_if_it_ran(mine, tmp_path, monkeypatch):
    def asked(self):
        raise Refusal("asked again, it is another trial")

    def breaks(bridge, *rest):
        bridge.next_config("first")
        bridge.on_trial_start(0, [], SimpleNamespace(trial_id="first", config={}))
        monkeypatch.setattr(Dispatcher, "next", asked)
        assert bridge.next_config("second") == "FINISHED"
        raise bridge.broken

    monkeypatch.setattr(cluster, "connect", lambda *_: None)
    monkeypatch.setattr(cluster, "resources_of_a_trial", lambda *_: {})
    monkeypatch.setattr(tuner, "fit", breaks)
    with pytest.raises(Refusal, match="asked again"):
        study.run("failing.yaml", **mine, check=False)
    client = tracking.client(mine["tracking_uri"])
    runs = client.search_runs([client.get_experiment_by_name("failing").experiment_id])
    assert {run.info.status for run in runs} == {"KILLED"}
    assert len(runs) == 7


NUMBERS = "train_loss", "train_score", "valid_loss", "lr", "passes", "flops", "steps", "seconds"


def told(first, records, **about):
    """A result of one training, as Tune gets it: records of these scores, the first of them after so many."""
    flat = [
        Record(**dict.fromkeys(NUMBERS, 1.0), epoch=float(number), valid_score=score, diverged=False).flat()
        for number, score in enumerate(records, first + 1)
    ]
    lane = {"first": first, "records": flat, "best": max(records), "stopped": False, "diverged": False}
    return {
        "finished": False,
        "error": "",
        "price": "",
        "notes": [],
        "host": "",
        "device": "cpu",
        "lanes": [lane],
        **about,
    }


def test_the_records_of_a_trial_are_those_of_its_last_attempt(tmp_path):
    """Four records, and its machine goes; two, and it fails by itself until it may not any more; or it ends."""
    study = parse("{question: q, common: {task: quadratic, trials: 2}, arms: {sgd: {}}}", "attempts")
    tracker = tracking.Tracker(study, f"sqlite:///{tmp_path}/mlflow.db")
    tracker.searches.open(study.searches())
    bridge = tuner.Bridge(tracker, Dispatcher(study, {}, tracker.measured), Progress(study), tmp_path)
    for name in ("ends", "fails"):
        one = SimpleNamespace(trial_id=name, config=bridge.next_config(name), error_file="")
        bridge.on_trial_start(0, [], one)
        bridge.on_trial_result(0, [], one, told(0, [0.1, 0.2, 0.3, 0.9]))
        bridge.on_trial_recover(0, [], one)
        bridge.on_trial_start(0, [], one)
        bridge.on_trial_result(0, [], one, told(0, [0.1]))
        bridge.on_trial_result(0, [], one, told(1, [0.2], finished=name == "ends"))
        if name == "fails":
            bridge.on_trial_result(0, [], one, told(2, [0.2], error="ValueError: no", finished=True) | {"lanes": []})
        bridge.on_trial_complete(0, [], one)
        assert bridge.broken is None
    tracker.wait()
    table = tracking.read("attempts", tracker.uri)
    assert table["status"].tolist() == ["finished"] * 2 + ["failed"] * 2
    assert table["valid_score"].tolist() == [0.1, 0.2] * 2


def test_what_a_loop_has_to_say_is_shown_once_a_study(tmp_path):
    study = parse("{question: q, common: {task: quadratic, trials: 2}, arms: {sgd: {}}}", "notes")
    tracker, shown = tracking.Tracker(study, f"sqlite:///{tmp_path}/mlflow.db"), list[str]()
    tracker.searches.open(study.searches())
    progress = Progress(study)
    progress.note = shown.append
    bridge = tuner.Bridge(tracker, Dispatcher(study, {}, tracker.measured), progress, tmp_path)
    for name in ("first", "second"):
        one = SimpleNamespace(trial_id=name, config=bridge.next_config(name), error_file="")
        bridge.on_trial_start(0, [], one)
        bridge.on_trial_result(0, [], one, told(0, [0.1], notes=["the schedule ends early"]))
    tracker.wait()
    assert shown == ["trial notes/sgd/0/0/0: the schedule ends early"]


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_a_worker_that_is_gone_when_it_is_to_be_used_again_costs_no_trial(mine, tmp_path, monkeypatch):
    """However often a trial comes upon such a worker: four of them are there, and each is one attempt of a trial."""
    monkeypatch.setattr(failures, "ATTEMPTS", 5)
    (tmp_path / "again.yaml").write_text(
        "question: q\ncommon: {epochs: 3, batch_size: full, trials: 2}\n"
        'arms: {leaves: {task: "./tasks.py:Leaves"}, refuses: {task: "./tasks.py:Refuses"}}'
    )
    assert study.run("again.yaml", **mine, check=False)
    for of in tracking.status("again", mine["tracking_uri"]):
        assert (of.ended, of.failed, of.running) == (2, 0, 0)


@pytest.mark.ray
@pytest.mark.timeout(400)
def test_a_study_whose_first_trials_all_fail_stops_says_why_and_runs_them_again(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(failures, "GIVE_UP", 1)
    monkeypatch.setattr(failures, "ATTEMPTS", 1)
    (tmp_path / "hopeless.yaml").write_text(
        'question: q\ncommon: {epochs: 3, trials: 9, batch_size: full}\narms: {raises: {task: "./tasks.py:Raises"}}'
    )
    told = r"'hopeless' is stopped: its first 1 trials all failed, the last one with: .*no su"
    with pytest.raises(failures.Hopeless, match=told) as given_up:
        study.run("hopeless.yaml", **mine, check=False)
    assert given_up.value.exit_code == 1  # nothing was wrong with what was asked
    (of,) = tracking.status("hopeless", mine["tracking_uri"])
    assert (of.ended, of.failed, of.running) == (0, 0, 0)
