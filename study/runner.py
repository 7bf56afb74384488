"""Runs a study: makes its record complete, whatever happened before. The only file that builds a `Tuner`."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune import Callback, CheckpointConfig, FailureConfig, RunConfig, Stopper, TuneConfig
from ray.tune.search import Searcher

from study import provenance
from study.checks import check_data
from study.cluster import Cluster, connect, resources_of_a_trial
from study.dispatcher import Assignment, Dispatcher
from study.progress import Progress
from study.searchers import Outcome, Status
from study.spec import Study
from study.tracking import Tracker
from trainables import artifacts
from trainables.components import files_of
from trainables.trainable import Trainable, forget
from trainables.trial import Record

STORAGE = Path(".lr-study")
ATTEMPTS = 3  # a trial that fails this often by itself is recorded as failed


def run(
    study: Study,
    tracking_uri: str,
    storage: Path = STORAGE,
    cluster: Cluster = Cluster(),  # noqa: B008 — immutable
    show: Callable[[Study, int], Progress] = Progress,
) -> bool:
    """Run what is missing of a study; whether its record is complete afterwards.

    Raises `Refusal` before anything starts where the study cannot run.
    """
    for task in {arm.task for arm in study.arms}:
        task.data()  # downloaded and verified here, or refused, before anything starts
    for arm in study.arms:
        check_data(arm)
    tracker = Tracker(study, tracking_uri, provenance.tags())
    dispatcher = Dispatcher(study, tracker.recorded(), tracker.measured)
    if not dispatcher.done:
        try:
            connect(cluster)
            resources = resources_of_a_trial(study, cluster)
            tracker.open_searches(study.searches())
        except BaseException:  # a refusal, or Ctrl-C: nothing may look as if it still ran
            tracker.close(complete=False)
            raise
        with show(study, dispatcher.num_ended) as progress:
            _tune(tracker, dispatcher, progress, storage.resolve(), resources, cluster)
    else:
        tracker.keep_files()
    tracker.close(complete=dispatcher.done)
    return dispatcher.done


def _tune(
    tracker: Tracker,
    dispatcher: Dispatcher,
    progress: Progress,
    storage: Path,
    resources: Mapping[str, float],
    cluster: Cluster,
) -> None:
    bridge = Bridge(tracker, dispatcher, progress, storage)
    tuner = tune.Tuner(
        tune.with_resources(Trainable, dict(resources)),
        tune_config=TuneConfig(
            search_alg=TuneSearcher(bridge),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.trial_id,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=RunConfig(
            name=tracker.study.name,
            storage_path=str(storage / "tune"),
            callbacks=[bridge],
            stop=Cancellation(tracker),
            failure_config=FailureConfig(max_failures=ATTEMPTS - 1),
            checkpoint_config=CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            verbose=3 if cluster.verbose else 0,
        ),
    )
    tuner.fit()


class Bridge(Callback):
    """Between Tune's events and the study's record: what Tune sees is written down, what ends is told."""

    def __init__(self, tracker: Tracker, dispatcher: Dispatcher, progress: Progress, storage: Path) -> None:
        self._tracker, self._dispatcher, self._progress = tracker, dispatcher, progress
        self._storage = storage
        self._running: dict[str, Assignment] = {}
        self._last: dict[str, Mapping[str, Any]] = {}
        self._scores: dict[str, dict[int, float]] = defaultdict(dict)  # by number of record: resumed, some come twice

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its callbacks to restore them; here MLflow is the only state there is

    def next_config(self, trial_id: str) -> dict[str, Any] | str | None:
        """What Tune's searcher answers: a configuration, nothing now, or the end."""
        assignment = self._dispatcher.next()
        if assignment is None:
            return Searcher.FINISHED if self._dispatcher.exhausted else None
        self._running[trial_id] = assignment
        folder = self._storage / "checkpoints" / assignment.key.path
        trial, files = assignment.trial.flat(), sorted(files_of(assignment.trial))
        told = {"trial": trial, "bars": assignment.bars, "files": files}
        return {"checkpoint": str(folder), **{name: json.dumps(value) for name, value in told.items()}}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        assignment = self._running[trial.trial_id]
        self._tracker.start(assignment.search, assignment.key, assignment.trial)
        self._progress.started(assignment.key)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        assignment = self._running[trial.trial_id]
        for number, flat in enumerate(result["records"], start=result["first"] + 1):
            self._tracker.log(assignment.key, number, Record.parse(flat))
            self._scores[trial.trial_id][number] = flat["valid_score"]
        self._last[trial.trial_id] = result
        self._progress.reported(assignment.key, result["best"])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        result = self._last.get(trial.trial_id, {"finished": False})
        if not result["finished"]:
            return  # stopped by a cancellation: the record leaves it open, to be taken up again
        diverged = bool(result["records"] and result["records"][-1]["diverged"])
        status: Status = "diverged" if diverged else "stopped" if result["stopped"] else "finished"
        scores = [score for _, score in sorted(self._scores[trial.trial_id].items())]
        rungs = self._running[trial.trial_id].search.arm.rungs(scores, diverged=diverged)
        tags = {"host": result["host"], "device": result["device"], "rungs": json.dumps(rungs) if rungs else ""}
        self._ended(trial.trial_id, Outcome(status, result["best"], rungs), tags)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        error = trial.get_error()
        chance = self._running[trial.trial_id].trial.task.chance
        self._ended(trial.trial_id, Outcome("failed", chance), {"error": str(error).strip().splitlines()[-1]})

    def _ended(self, trial_id: str, outcome: Outcome, tags: Mapping[str, str]) -> None:
        assignment = self._running.pop(trial_id)
        self._last.pop(trial_id, None)
        self._scores.pop(trial_id, None)
        self._tracker.keep(assignment.key, self._storage / "checkpoints" / assignment.key.path / artifacts.FILE)
        self._tracker.finish(assignment.key, outcome.status, outcome.score, **tags)
        self._dispatcher.observe(assignment.key, outcome)
        forget(self._storage / "checkpoints" / assignment.key.path)
        self._progress.ended(assignment.key, outcome)


class Cancellation(Stopper):
    """Ends the whole study when `lr-study cancel` has asked for it."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as for the bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._tracker.cancelled()


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
