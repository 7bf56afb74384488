"""Ray Tune's side of a `Run`: reports, checkpoints, resources. The only file here that knows Ray."""

import json
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from ray import tune

from trainables import artifacts
from trainables.outside import File, receive
from trainables.run import Run
from trainables.rungs import Rung
from trainables.trial import Trial

REPORT_SECONDS = 1.0  # short epochs travel together: a report costs Tune several milliseconds
# A trial loses at most this much work, and one shorter than it writes nothing.
CHECKPOINT_SECONDS = float(os.environ.get("LR_STUDY_CHECKPOINT_SECONDS", "10"))
FILE = "run.pt"


class Trainable(tune.Trainable):
    """Trains `config["trial"]` (flat, as JSON) and keeps its checkpoint in `config["checkpoint"]`, a folder.

    It ends early where it falls short of one of `config["bars"]` (rungs, as JSON). `config["files"]` (as JSON) are
    other people's files that the trial names.

    The checkpoint carries every record so far. A trial started again finds it, reports all its records again, and
    goes on; whether that happens here or on another node makes no difference.
    """

    def setup(self, config: dict[str, Any]) -> None:
        receive(File(*file) for file in json.loads(config["files"]))
        trial = Trial.parse(json.loads(config["trial"]))
        torch.set_num_threads(trial.threads)
        self._folder = Path(config["checkpoint"])
        bars = [Rung(*bar) for bar in json.loads(config["bars"])]
        self._training = Run(trial, "cuda" if torch.cuda.is_available() else "cpu", bars)
        self._resumed = load(self._training, self._folder)
        self._reported = 0
        self._saved = time.monotonic()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.setup(new_config)
        return True

    def step(self) -> dict[str, Any]:
        run, started = self._training, time.monotonic()
        while not run.finished and time.monotonic() - started < REPORT_SECONDS:
            run.epoch()
            if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
                save(run, self._folder)
                self._saved = time.monotonic()
        if run.finished and run.trial.artifacts:
            artifacts.save(run.artifacts(), self._folder)
        new = [record.flat() for record in run.records[self._reported :]]
        first, self._reported = self._reported, len(run.records)
        place = {"host": socket.gethostname(), "device": device_name(run.device), "resumed": self._resumed}
        return {
            "done": run.finished,
            "finished": run.finished,
            "stopped": run.stopped,
            "first": first,
            "records": new,
            "best": run.best_score,
            **place,
        }


def save(run: Run, folder: Path) -> None:
    """The state of a run into a folder, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        torch.save(run.state_dict(), file)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(folder / FILE)


def load(run: Run, folder: Path) -> int:
    """Continue a run from a folder, if it holds its state; returns the number of records it already has."""
    if (folder / FILE).exists():
        run.load_state_dict(torch.load(folder / FILE, map_location="cpu", weights_only=True))
    return len(run.records)


def forget(folder: Path) -> None:
    """Remove the state of a finished run, and the folder with it."""
    shutil.rmtree(folder, ignore_errors=True)


def device_name(device: torch.device) -> str:
    """What the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
