"""Ray Tune callbacks: hand out the next trial, record results, decide when the study ends."""

import contextlib
import functools
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ray.tune import Callback, Stopper
from ray.tune.search import Searcher

from study.dispatch.dispatcher import Assignment, Dispatcher
from study.dispatch.outcome import Outcome, Status
from study.execution.failures import Failures, line_of, traceback_of
from study.execution.pricing import NOT_NOW, Pricing
from study.execution.progress import Progress
from study.plan.key import Key
from study.tracking import Tracker
from study.tracking.store import shown
from trainables.components import files_of
from trainables.run import artifacts
from trainables.trial import Record

TRACEBACK_FILE = "traceback.txt"  # what a failed trial leaves behind beside its run

Answer = TypeVar("Answer")


def stop_on_error(callback: Callable[..., Answer]) -> Callable[..., Answer | None]:
    """Store the first exception of a callback and end the study; Tune would only log it."""

    @functools.wraps(callback)
    def keeping(self: "Bridge", *arguments: Any, **named: Any) -> Answer | None:
        try:
            return callback(self, *arguments, **named) if self.broken is None else None
        except Exception as error:
            self.broken = error
            return None

    return keeping


class Bridge(Callback):
    """Ray Tune's callbacks: hand out the next trial, record results, tell the dispatcher what has ended."""

    def __init__(self, tracker: Tracker, dispatcher: Dispatcher, progress: Progress, storage: Path) -> None:
        self._tracker, self._dispatcher, self._progress = tracker, dispatcher, progress
        self.storage = storage
        self._pricing = Pricing(tracker)
        self.hopeless = ""  # why no further trial is worth its cost
        self._running: dict[str, Assignment] = {}
        self._last: dict[str, Mapping[str, Any]] = {}
        self._failures = Failures(dispatcher.failed_first)  # under an earlier driver
        self._notes: set[str] = set()  # that have been shown
        self._up: set[str] = set()  # trials whose present attempt has been recorded
        self._lost: set[str] = set()  # trials whose last attempt has failed, and was counted
        self._tracebacks: dict[str, str] = {}  # of trials that have failed too often
        self.broken: Exception | None = None  # what a callback raised: Tune would only log it
        self._scores: dict[Key, dict[int, float]] = defaultdict(dict)  # by number of record: resumed, some come twice

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks to restore them; here MLflow is the only state there is

    def next_config(self, trial_id: str) -> dict[str, Any] | str | None:
        """Answer Tune's searcher: a configuration, nothing now, or the end."""
        assignment = self._next()
        if assignment is None:  # a trial that is under way may come back (`on_trial_error`)
            return Searcher.FINISHED if self.broken or self._dispatcher.done else None
        self._running[trial_id] = assignment
        lanes = assignment.lanes
        told = {
            "trials": [lane.trial.flat() for lane in lanes],
            "bars": [lane.bars for lane in lanes],
            "files": sorted({file for lane in lanes for file in files_of(lane.trial)}),
            "folders": ["" if lane.recorded else str(self._folder(lane.key)) for lane in lanes],
        }
        mark, priced = self._tracker.searches.mark(assignment.search), self._pricing.asked(trial_id, assignment)
        return {"mark": mark, "priced": priced, **{name: json.dumps(value) for name, value in told.items()}}

    def _folder(self, key: Key) -> Path:
        return self.storage / self._tracker.searches.folder(key)

    @stop_on_error
    def _next(self) -> Assignment | None:
        return self._dispatcher.next()

    @stop_on_error
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        if "error" not in trial.config:  # else it only says that it has failed
            self._started(trial.trial_id)

    @stop_on_error
    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._last[trial.trial_id] = result
        self._pricing.told(trial.trial_id, self._running[trial.trial_id], result["price"])
        trial.config["priced"] = NOT_NOW  # where it is tried again
        for note in result["notes"]:
            self._said(self._running[trial.trial_id].key.path, note)
        for lane, told in _told(self._running[trial.trial_id], result):
            if told["first"] == 0:  # a new attempt: it tells all its records, and may have fewer than the one before
                self._scores[lane.key].clear()
            for number, flat in enumerate(told["records"], start=told["first"] + 1):
                self._tracker.log(lane.key, number, Record.parse(flat))
                self._scores[lane.key][number] = flat["valid_score"]
            self._progress.reported(lane.key, told["best"])

    @stop_on_error
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = self._last.get(trial.trial_id, {"finished": False})
        if not result["finished"]:
            return  # stopped by a cancellation: the record leaves it open, to be taken up again
        if result["error"]:
            self._failed(trial.trial_id, result["error"])
            return
        assignment = self._running[trial.trial_id]
        place = {"host": result["host"], "device": result["device"], "fused": _fused(assignment)}
        records = self._records(trial.trial_id)
        for lane, told in _told(assignment, result):
            if lane.trial.artifacts and not (self._folder(lane.key) / artifacts.FILE).exists():
                self._progress.note(f"trial {lane.key.path} ended, and its artifacts could not be kept")
            outcome, rungs = self._outcome(lane, told)
            self._end(lane, outcome, {**place, "rungs": rungs, "records": records[lane.key]})
        self._forgotten(trial.trial_id)

    def _said(self, path: str, note: str) -> None:
        """Show what a loop of the user's has to say; what one trial said is not said again by the next."""
        if note not in self._notes:
            self._notes.add(note)
            self._progress.note(f"trial {path}: {note}")

    def _records(self, trial_id: str) -> dict[Key, str]:
        """The number of records that the last attempt of each training has told, as a tag."""
        return {lane.key: str(max(self._scores[lane.key], default=0)) for lane in self._running[trial_id].lanes}

    def _outcome(self, lane: Assignment, told: Mapping[str, Any]) -> tuple[Outcome, str]:
        """The outcome of a training that has come to its end, and its rungs as a tag."""
        status: Status = "diverged" if told["diverged"] else "stopped" if told["stopped"] else "finished"
        scores = [score for _, score in sorted(self._scores[lane.key].items())]
        rungs = lane.search.arm.rungs(lane.key.k, scores, diverged=told["diverged"])
        return Outcome(status, told["best"], rungs), json.dumps(rungs) if rungs else ""

    @stop_on_error
    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial has failed, and Tune tries it again: once more to say so where it has failed too often."""
        self._count(trial)

    @stop_on_error
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker that was to be used again failed before the trial began: Tune gives the trial up, we do not."""
        if trial.trial_id not in self._lost:  # else Tune tells one failure twice
            self._count(trial)
        if "error" in trial.config:
            self._failed(trial.trial_id, trial.config["error"])
        else:
            self._dispatcher.requeue(self._forgotten(trial.trial_id))

    def _count(self, trial: Any) -> None:
        """An attempt has failed."""
        trial_id, error = trial.trial_id, _error_of(trial)
        if trial_id not in self._up:  # it failed before Tune called it started
            self._started(trial_id)
        self._up.discard(trial_id)
        self._lost.add(trial_id)
        lanes = _missing(self._running[trial_id])
        num_records = max(max(self._scores[lane.key], default=0) for lane in lanes)
        if not self._failures.may_go_on(lanes[0].key.path, error, num_records):
            trial.config["error"] = shown(line_of(error))
            self._tracebacks[trial_id] = shown(traceback_of(error))

    def _started(self, trial_id: str) -> None:
        for lane in _missing(self._running[trial_id]):
            self._tracker.start(lane.search, lane.key, lane.trial)
            self._progress.started(lane.key)
        self._up.add(trial_id)
        self._lost.discard(trial_id)

    def _forgotten(self, trial_id: str) -> Assignment:
        """What Tune's trial was given; nothing else is kept of it."""
        self._last.pop(trial_id, None)
        self._tracebacks.pop(trial_id, None)
        self._pricing.left(trial_id)
        for lane in self._running[trial_id].lanes:
            self._scores.pop(lane.key, None)
        self._up.discard(trial_id)
        self._lost.discard(trial_id)
        return self._running.pop(trial_id)

    def _failed(self, trial_id: str, error: str) -> None:
        """Every training of what has failed too often ends as failed; the study is given up where no other does."""
        traceback, records = self._tracebacks.get(trial_id, ""), self._records(trial_id)
        for lane in _missing(self._forgotten(trial_id)):
            if traceback:
                with contextlib.suppress(OSError):  # no room: its last line is kept anyway
                    self._folder(lane.key).mkdir(parents=True, exist_ok=True)
                    (self._folder(lane.key) / TRACEBACK_FILE).write_text(traceback, encoding="utf-8")
            self._end(lane, Outcome("failed", lane.trial.task.chance), {"error": error, "records": records[lane.key]})
            self._progress.note(f"trial {lane.key.path} failed: {error}")
        if self._failures.hopeless and not self.hopeless:
            self.hopeless = f"its first {len(self._failures.hopeless)} trials all failed, the last one with: {error}"
            self._tracker.reopen(map(Key.of_path, self._failures.hopeless))  # to be run again, when that is mended

    def _end(self, lane: Assignment, outcome: Outcome, tags: Mapping[str, str]) -> None:
        """Write down the end of a training, and tell whoever waits for it."""
        for name in (artifacts.FILE, TRACEBACK_FILE):
            self._tracker.keep(lane.key, self._folder(lane.key) / name)
        self._tracker.finish(lane.key, outcome.status, outcome.score, **tags)
        self._dispatcher.observe(lane.key, outcome)
        self._progress.ended(lane.key, outcome)
        self._failures.ended(lane.key.path, failed=outcome.status == "failed")


def _missing(assignment: Assignment) -> list[Assignment]:
    """The trials of an assignment whose outcome is not recorded yet."""
    return [lane for lane in assignment.lanes if not lane.recorded]


def _told(assignment: Assignment, result: Mapping[str, Any]) -> list[tuple[Assignment, Mapping[str, Any]]]:
    """The same with what Tune's result says of each; nothing where it says that all of it has failed too often."""
    pairs = zip(assignment.lanes, result["lanes"], strict=not result["error"])
    return [(lane, told) for lane, told in pairs if not lane.recorded]


def _fused(assignment: Assignment) -> str:
    """The tag of trials that were trained as one program; nothing where one was trained by itself."""
    width = len(assignment.group)
    return f"{width} lanes; seconds are those of a shared step, divided by the lanes that still train" if width else ""


def _error_of(trial: Any) -> str:
    """What Tune knows of a trial's last failure: the end of a file on this machine."""
    try:
        return Path(trial.error_file).read_text(encoding="utf-8").rpartition("\nFailure # ")[2]
    except OSError:
        return ""


class Ending(Stopper):
    """Ends the whole study when `lr-study cancel` has asked for it, or when it is hopeless."""

    def __init__(self, tracker: Tracker, bridge: Bridge) -> None:
        self._tracker, self._bridge = tracker, bridge

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as for the bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return bool(self._bridge.broken or self._bridge.hopeless) or self._tracker.cancelled()


class TuneSearcher(Searcher):
    """Tune's view of the dispatcher. Outcomes reach it through the bridge, after they are recorded."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self._bridge = bridge

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as for the bridge

    def suggest(self, trial_id: str) -> Any:
        return self._bridge.next_config(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass
