"""Ray Tune callbacks: hand out the next trial, record results, decide when the study ends."""

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
        self.hopeless = ""  # why no further trial is worth its cost
        self._running: dict[str, Assignment] = {}
        self._last: dict[str, Mapping[str, Any]] = {}
        self._failures = Failures(one_has_not_failed=dispatcher.one_has_not_failed)  # under an earlier driver
        self._up: set[str] = set()  # trials whose present attempt has been recorded
        self._lost: set[str] = set()  # trials whose last attempt has failed, and was counted
        self._tracebacks: dict[str, str] = {}  # of trials that have failed too often
        self.broken: Exception | None = None  # what a callback raised: Tune would only log it
        self._scores: dict[str, dict[int, float]] = defaultdict(dict)  # by number of record: resumed, some come twice

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks to restore them; here MLflow is the only state there is

    def next_config(self, trial_id: str) -> dict[str, Any] | str | None:
        """Answer Tune's searcher: a configuration, nothing now, or the end."""
        assignment = self._next()
        if assignment is None:  # a trial that is under way may come back (`on_trial_error`)
            return Searcher.FINISHED if self.broken or self._dispatcher.done else None
        self._running[trial_id] = assignment
        folder = self.storage / self._tracker.folder(assignment.key)
        trial, files = assignment.trial.flat(), sorted(files_of(assignment.trial))
        told = {"trial": trial, "bars": assignment.bars, "files": files}
        mark = self._tracker.mark(assignment.search)
        return {"checkpoint": str(folder), "mark": mark, **{name: json.dumps(value) for name, value in told.items()}}

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
        assignment = self._running[trial.trial_id]
        for number, flat in enumerate(result["records"], start=result["first"] + 1):
            self._tracker.log(assignment.key, number, Record.parse(flat))
            self._scores[trial.trial_id][number] = flat["valid_score"]
        self._last[trial.trial_id] = result
        self._progress.reported(assignment.key, result["best"])

    @stop_on_error
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = self._last.get(trial.trial_id, {"finished": False})
        if not result["finished"]:
            return  # stopped by a cancellation: the record leaves it open, to be taken up again
        if result["error"]:
            self._ended(trial.trial_id, self._failed_outcome(trial), {"error": result["error"]})
            return
        diverged = bool(result["records"] and result["records"][-1]["diverged"])
        status: Status = "diverged" if diverged else "stopped" if result["stopped"] else "finished"
        scores = [score for _, score in sorted(self._scores[trial.trial_id].items())]
        search, key, *_ = self._running[trial.trial_id]
        rungs = search.arm.rungs(key.k, scores, diverged=diverged)
        tags = {"host": result["host"], "device": result["device"], "rungs": json.dumps(rungs) if rungs else ""}
        self._ended(trial.trial_id, Outcome(status, result["best"], rungs), tags)

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
            self._ended(trial.trial_id, self._failed_outcome(trial), {"error": trial.config["error"]})
        else:
            self._dispatcher.requeue(self._forgotten(trial.trial_id))

    def _count(self, trial: Any) -> None:
        """An attempt has failed."""
        trial_id, error = trial.trial_id, _error_of(trial)
        if trial_id not in self._up:  # it failed before Tune called it started
            self._started(trial_id)
        self._up.discard(trial_id)
        self._lost.add(trial_id)
        path, num_records = self._running[trial_id].key.path, max(self._scores[trial_id], default=0)
        if not self._failures.may_go_on(path, error, num_records):
            trial.config["error"] = shown(line_of(error))
            self._tracebacks[trial_id] = shown(traceback_of(error))

    def _started(self, trial_id: str) -> None:
        assignment = self._running[trial_id]
        self._tracker.start(assignment.search, assignment.key, assignment.trial)
        self._progress.started(assignment.key)
        self._up.add(trial_id)
        self._lost.discard(trial_id)

    def _forgotten(self, trial_id: str) -> Assignment:
        """What Tune's trial was given; nothing else is kept of it."""
        self._last.pop(trial_id, None)
        self._scores.pop(trial_id, None)
        self._up.discard(trial_id)
        self._lost.discard(trial_id)
        return self._running.pop(trial_id)

    def _failed_outcome(self, trial: Any) -> Outcome:
        return Outcome("failed", self._running[trial.trial_id].trial.task.chance)

    def _ended(self, trial_id: str, outcome: Outcome, tags: Mapping[str, str]) -> None:
        assignment = self._forgotten(trial_id)
        folder = self.storage / self._tracker.folder(assignment.key)
        if text := self._tracebacks.pop(trial_id, ""):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / TRACEBACK_FILE).write_text(text, encoding="utf-8")
        for name in (artifacts.FILE, TRACEBACK_FILE):
            self._tracker.keep(assignment.key, folder / name)
        self._tracker.finish(assignment.key, outcome.status, outcome.score, **tags)
        self._dispatcher.observe(assignment.key, outcome)
        self._progress.ended(assignment.key, outcome)
        self._judge(assignment.key, outcome, tags.get("error", ""))

    def _judge(self, key: Key, outcome: Outcome, error: str) -> None:
        """Tell of a trial that failed; give the study up where none does anything else."""
        failed = outcome.status == "failed"
        self._failures.ended(key.path, failed=failed)
        if failed:
            self._progress.note(f"trial {key.path} failed: {error}")
        if self._failures.hopeless and not self.hopeless:
            self.hopeless = f"its first {len(self._failures.hopeless)} trials all failed, the last one with: {error}"
            for each in self._failures.hopeless:  # to be run again, when what made them fail is mended
                self._tracker.reopen(Key.of_path(each))


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
