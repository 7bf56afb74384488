"""Ray Tune's side of a `Run`: reports, checkpoints, resources. The only file here that knows Ray."""

import contextlib
import json
import math
import os
import pickle
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from ray import tune

from trainables import artifacts
from trainables.components import name_of
from trainables.outside import File, receive
from trainables.refusal import first_line
from trainables.run import Run
from trainables.rungs import Rung
from trainables.trial import Trial

REPORT_SECONDS = 1.0  # short epochs travel together: a report costs Tune several milliseconds
# A trial loses at most this much work, and one shorter than it writes nothing.
CHECKPOINT_SECONDS = float(os.environ.get("LR_STUDY_CHECKPOINT_SECONDS", "10"))
FILE, BEFORE = "run.pt", "before.pt"  # the last checkpoint and the one before it


class Trainable(tune.Trainable):
    """Trains `config["trial"]` (flat, as JSON) and keeps its checkpoint in `config["checkpoint"]`, a folder.

    It ends early where it falls short of one of `config["bars"]` (rungs, as JSON). `config["files"]` (as JSON) are
    other people's files that the trial names.

    The checkpoint carries every record so far. A trial started again finds it, reports all its records again, and
    goes on; whether that happens here or on another node makes no difference.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._error = config.get("error", "")  # it has failed too often: there is nothing left but to say so
        if self._error:
            return
        receive(File(*file) for file in json.loads(config["files"]))
        trial = Trial.parse(json.loads(config["trial"]))
        torch.set_num_threads(trial.threads)
        self._folder = Path(config["checkpoint"])
        bars = [Rung(*bar) for bar in json.loads(config["bars"])]
        with told_what_to_change(trial):
            self._training = Run(trial, "cuda" if torch.cuda.is_available() else "cpu", bars)
            self._resumed = load(self._training, self._folder)
        self._reported = 0
        self._saved = time.monotonic()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._error:
            return {"done": True, "finished": True, "error": self._error, "first": 0, "records": [], "best": math.nan}
        run, started = self._training, time.monotonic()
        while not run.finished and time.monotonic() - started < REPORT_SECONDS:
            with told_what_to_change(run.trial):
                run.epoch()
            if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                self._save()
        if run.finished and run.trial.artifacts:
            artifacts.save(run.artifacts(), self._folder)
        new = [record.flat() for record in run.records[self._reported :]]
        first, self._reported = self._reported, len(run.records)
        place = {"host": socket.gethostname(), "device": device_name(run.device), "resumed": self._resumed}
        return {
            "done": run.finished,
            "finished": run.finished,
            "error": "",
            "stopped": run.stopped,
            "first": first,
            "records": new,
            "best": run.best_score,
            **place,
        }

    def _save(self) -> None:
        """A checkpoint; a storage that is full or away for a while costs its trial nothing but safety."""
        try:
            save(self._training, self._folder)
        except (OSError, RuntimeError) as error:  # torch says the latter where a disk is full
            sys.stderr.write(f"no checkpoint, the trial goes on: {first_line(error)}\n")
        self._saved = time.monotonic()


@contextlib.contextmanager
def told_what_to_change(trial: Trial) -> Iterator[None]:
    """Out of memory on a GPU: which trial needs it, and what takes less."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        size = f"batch_size {trial.batch_size} of {name_of(type(trial.task))}"
        remedy = "give the arm a smaller batch_size, or each trial more of a GPU (--gpus)"
        raise RuntimeError(f"{size} needs more memory than the GPU has: {remedy} ({first_line(error)})") from error


def save(run: Run, folder: Path) -> None:
    """The state of a run into a folder, whole or not at all; the one before it is kept beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        try:
            torch.save(run.state_dict(), file)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:  # no room, for one
            Path(file.name).unlink(missing_ok=True)
            raise
    if (folder / FILE).exists():
        (folder / FILE).replace(folder / BEFORE)
    Path(file.name).replace(folder / FILE)


def load(run: Run, folder: Path) -> int:
    """Continue a run from a folder, if it holds its state; returns the number of records it already has.

    Where the last state cannot be read, because a disk broke, the one before it serves.
    """
    for name in (FILE, BEFORE):
        try:
            state = torch.load(folder / name, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            continue
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            sys.stderr.write(f"the checkpoint {folder / name} cannot be read: {first_line(error)}\n")
            continue
        run.load_state_dict(state)
        break
    return len(run.records)


def forget(folder: Path) -> None:
    """Remove the state of a finished run, and the folder with it."""
    shutil.rmtree(folder, ignore_errors=True)


def device_name(device: torch.device) -> str:
    """What the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
