"""Ray Tune's side of a training: reports, checkpoints, resources. The only file here that knows Ray."""

import contextlib
import json
import os
import pickle
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import torch
from ray import tune

from trainables.components import name_of
from trainables.plugins import File, receive, trusted
from trainables.price import written
from trainables.refusal import first_line
from trainables.run import artifacts
from trainables.run.fused import FusedRun
from trainables.run.loop import Run
from trainables.run.own_loop import OwnLoop, begin
from trainables.run.pricing import device_name, price_of
from trainables.run.stopping import Rung
from trainables.trial import Trial

REPORT_SECONDS = 1.0  # short epochs travel together: a report costs Tune several milliseconds
# A trial loses at most this much work and the record under way; one shorter than it writes nothing.
CHECKPOINT_SECONDS = float(os.environ.get("LR_STUDY_CHECKPOINT_SECONDS", "10"))
OWN = "own"  # below a trial's folder: what a trainer that owns its epochs keeps itself
COPIED = "builtins", "torch", __name__.partition(".")[0]  # whose errors come out of a pickle as they went in
FILE, BEFORE = "run.pt", "before.pt"  # the last checkpoint and the one before it

Training: TypeAlias = Run | OwnLoop | FusedRun


class Trainable(tune.Trainable):
    """Trains `config["trials"]` (flat; one, or a group that fuses), whose files lie in `config["folders"]`.

    A trial ends early where it falls short of one of its rungs in `config["bars"]`. The checkpoint, one for all, is in
    the last folder that is named: its trial is recorded last. Trials with no folder are recorded already, and trained
    again because others are trained beside them. `config["files"]` are other people's files that trials name. What a
    step costs is measured first, unless `config["priced"]` has the device's kind, or is null. All of these are JSON.

    The checkpoint carries every record so far, and `config["mark"]`. A trial started again finds it, reports all its
    records again, and goes on; whether that happens here or on another node makes no difference.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Only keeps what it is told: of a process used again, Tune gives a trial up that fails before its first step.

        The trial before gives its memory back here.
        """
        self.cleanup()
        self._told, self._training, self._raised = config, None, None

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        """End a loop that waits in a thread; of ours nothing is left to end."""
        training = getattr(self, "_training", None)
        if isinstance(training, OwnLoop):
            training.close()

    def _begin(self) -> Training:
        told = {name: json.loads(self._told[name]) for name in ("trials", "bars", "files", "folders")}
        receive(File(*file) for file in told["files"])
        trials = [Trial.parse({key: trusted(value) for key, value in flat.items()}) for flat in told["trials"]]
        bars = [[Rung(*bar) for bar in each] for each in told["bars"]]
        torch.set_num_threads(trials[0].threads)
        self._price = self._priced(trials)
        self._folders = [Path(folder) if folder else None for folder in told["folders"]]
        self._folder = next(folder for folder in reversed(self._folders) if folder)
        with told_what_to_change(trials[0]):
            self._training = load(lambda: self._fresh(trials, bars), self._folder, self._told["mark"])
        self._reported = [0] * len(trials)
        self._saved = time.monotonic()
        return self._training

    def _priced(self, trials: list[Trial]) -> str:
        """The price of a step, as a record keeps it; empty where nobody asks."""
        device, known = self._device, json.loads(self._told["priced"])
        return "" if known is None or device in known else written([price_of(trials, device)])

    @property
    def _device(self) -> str:
        """A GPU where this trial was given one: Ray shows those of a machine to trials that were given none, too."""
        given = self.trial_resources.required_resources if self.trial_resources else {}
        return "cuda" if given.get("GPU", 0) and torch.cuda.is_available() else "cpu"

    def _fresh(self, trials: list[Trial], bars: list[list[Rung]]) -> Training:
        if trials[0].fuse is not None:
            return FusedRun(trials, self._device, bars)
        return begin(trials[0], self._device, bars[0], self._folder / OWN)

    def step(self) -> dict[str, Any]:
        error = self._told.get("error", "")  # it has failed too often: there is nothing left but to say so
        if error:
            return {"done": True, "finished": True, "error": error, "lanes": [], "price": "", "notes": []}
        with copyable():
            return self._go_on()

    def _go_on(self) -> dict[str, Any]:
        if self._raised is not None:
            raise self._raised
        run, started = self._training or self._begin(), time.monotonic()
        while not run.finished and time.monotonic() - started < REPORT_SECONDS:
            try:
                with told_what_to_change(lanes(run)[0].trial):
                    run.epoch()
            except (Exception, SystemExit) as error:
                if self._reported == [len(lane.records) for lane in lanes(run)]:
                    raise
                self._raised = error  # in the next step: what was trained before it is told, and charged, first
                break
            own = isinstance(run, OwnLoop) and run.keeps_own  # its checkpoints are worth what is known beside them
            if not run.finished and (own or time.monotonic() - self._saved > CHECKPOINT_SECONDS):
                self._save(run)
        ended = run.finished and self._raised is None
        for lane, folder in zip(lanes(run), self._folders, strict=True):
            if ended and isinstance(lane, Run) and lane.trial.artifacts and folder:
                self._keep(lane, folder)
        place = {"host": socket.gethostname(), "device": device_name(run.device)}
        every = [self._report(number, lane) for number, lane in enumerate(lanes(run))]
        price, self._price = self._price, ""
        told = {"error": "", "lanes": every, "price": price, "notes": _notes(run), **place}
        return {"done": ended, "finished": ended, **told}

    def _keep(self, lane: Run, folder: Path) -> None:
        """A finished trial's artifacts; a storage that has no room for them costs it these, and no more."""
        try:
            artifacts.save(lane.artifacts(), folder)
        except OSError as error:  # the driver sees that they are not there, and tells people
            sys.stderr.write(f"no artifacts are kept, the trial ends without: {first_line(error)}\n")

    def _report(self, number: int, lane: Run | OwnLoop) -> dict[str, Any]:
        """The records of a lane that have not been reported yet, and how it stands."""
        first, self._reported[number] = self._reported[number], len(lane.records)
        new = [record.flat() for record in lane.records[first:]]
        diverged = bool(lane.records) and bool(lane.records[-1].diverged)  # told by then, where others train on
        return {"first": first, "records": new, "best": lane.best_score, "stopped": lane.stopped, "diverged": diverged}

    def _save(self, run: Training) -> None:
        """A checkpoint; a storage that is full or away for a while costs its trial nothing but safety."""
        try:
            save(run, self._folder, self._told["mark"])
        except (OSError, RuntimeError) as error:  # torch says the latter where a disk is full
            sys.stderr.write(f"no checkpoint, the trial goes on: {first_line(error)}\n")
        self._saved = time.monotonic()


def _notes(run: Training) -> list[str]:
    """Take the notes of a loop of the user's that people are to be told."""
    notes, session = list[str](), run.session if isinstance(run, OwnLoop) else None
    if session is not None:
        notes, session.notes = session.notes, []
    return notes


def lanes(run: Training) -> tuple[Run | OwnLoop, ...]:
    """The trainings in a run, one a trial."""
    return run.lanes if isinstance(run, FusedRun) else (run,)


@contextlib.contextmanager
def copyable() -> Iterator[None]:
    """Turn errors of other people's kinds, which Ray may fail to copy, and `sys.exit()`, into one that it copies."""
    try:
        yield
    except BaseException as error:
        known = type(error).__module__.partition(".")[0] in COPIED and isinstance(error, Exception)
        if known or isinstance(error, KeyboardInterrupt):
            raise
        raise RuntimeError("".join(traceback.format_exception(error))) from None


@contextlib.contextmanager
def told_what_to_change(trial: Trial) -> Iterator[None]:
    """Say what takes less where a GPU has no memory left, and where a trial looks for a relative path."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        size = f"batch_size {trial.batch_size} of {name_of(type(trial.task))}"
        size, less = (f"{trial.fuse} trials at {size}", "fuse or batch_size") if trial.fuse else (size, "batch_size")
        remedy = f"give the arm a smaller {less}, or each trial more of a GPU (--gpus)"
        raise RuntimeError(f"{size} needs more memory than the GPU has: {remedy} ({first_line(error)})") from error
    except FileNotFoundError as error:
        if not isinstance(error.filename, str) or not Path(error.filename).suffix or Path(error.filename).is_absolute():
            raise
        remedy = "a trial runs in a folder of its own: name the file by its whole path, as from Path(__file__).parent"
        raise RuntimeError(f"{first_line(error)}; {remedy}") from error


def save(run: Training, folder: Path, mark: str) -> None:
    """Write the state of a run into a folder, whole or not at all; the one before it is kept beside it.

    Args:
        run: whose state is written
        folder: made if it is not there
        mark: says of what the run is: a key alone may mean another trial tomorrow, when a study file has changed
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        try:
            torch.save({"mark": mark, "run": run.state_dict()}, file)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:  # no room, for one
            Path(file.name).unlink(missing_ok=True)
            raise
    if (folder / FILE).exists():
        (folder / FILE).replace(folder / BEFORE)
    Path(file.name).replace(folder / FILE)


def load(fresh: Callable[[], Training], folder: Path, mark: str) -> Training:
    """A run that goes on from its state in a folder, if there is one; else one from the beginning.

    Where the last state cannot be read, because a disk broke, the one before it serves.

    Args:
        fresh: makes a run from the beginning
        folder: where `save` wrote
        mark: of the run; the state of another one is not used
    """
    for file in (folder / FILE, folder / BEFORE):
        state = _read(file, mark)
        if state is None:
            continue
        run = fresh()
        try:
            run.load_state_dict(state)
        except (KeyError, ValueError) as error:
            _say_unused(file, error)
            continue
        return run
    return fresh()


def _read(file: Path, mark: str) -> dict[str, Any] | None:
    """The state in a file; None where there is none, it cannot be read, or it is of something else."""
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
        if saved["mark"] == mark:
            return saved["run"]
        raise ValueError("it is of another study of this name, or of other versions of the parts")
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError, ValueError) as error:
        _say_unused(file, error)
        return None


def _say_unused(file: Path, error: Exception) -> None:
    sys.stderr.write(f"the checkpoint {file} is not used: {first_line(error)}\n")
