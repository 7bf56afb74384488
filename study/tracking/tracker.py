"""The writer: one study into MLflow, every write of which can be repeated."""

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from study.controls import Measured
from study.dispatcher import Recorded
from study.key import Key
from study.searchers import Status
from study.spec import Search, Study
from study.tracking.store import CANCEL, PREFIX, client, experiment_of, own_tags, recorded_of, runs_of, shown, text_of
from trainables.refusal import Refusal
from trainables.tasks import Task
from trainables.trial import Record, Trial

BATCH = 1000  # MLflow's limit on the metrics of one call
FLUSH_SECONDS = 2.0
CANCEL_SECONDS = 5.0  # between two looks whether the study has been cancelled


class Tracker:
    """Writes one study into MLflow; every write can be repeated."""

    def __init__(self, study: Study, uri: str, provenance: Mapping[str, str] | None = None) -> None:
        """Open the study's experiment, made if it is not there; refuse one of the same name with other contents."""
        self.study, self.uri, self._hash = study, uri, study.hash
        self._client = client(uri)
        self._experiment = experiment_of(self._client, study.name, uri)
        self._provenance = dict(provenance or {})
        self._parents: dict[tuple[str, int], str] = {}
        self._runs: dict[Key, Recorded] = {}
        self._waiting: dict[Key, list[Metric]] = defaultdict(list)
        self._flushed = self._asked = time.monotonic()
        self._ignored = self._client.get_experiment(self._experiment).tags.get(CANCEL, "")  # of an earlier driver
        self._cancelled = False
        self._load()

    def open_searches(self, searches: Iterable[Search]) -> None:
        """Every search has its parent run, running, with the study file and the files that it names beside it."""
        for search in searches:
            self._client.update_run(self._parent(search), status="RUNNING")
        self.keep_files()

    def keep_files(self) -> None:
        """The files beside every search as they are today: what a study file says of itself may have changed."""
        for search in self.study.searches():
            run = self._parent(search)
            self._client.log_text(run, self.study.text, "study.yaml")
            for file in search.arm.files():
                self._client.log_text(run, file.text, Path(file.path).name)

    def recorded(self) -> dict[Key, Recorded]:
        """Every trial the record knows, finished or not."""
        return dict(self._runs)

    def measured(self, key: Key) -> list[Measured]:
        """What a trial that has ended recorded of its mean scale, in order; the last of repeated points counts."""
        known = self._runs.get(key)
        columns = [self._history(known.run_id, name) for name in Measured._fields] if known else []
        numbers = sorted(set.intersection(*map(set, columns))) if columns else []
        return [Measured(*(column[number] for column in columns)) for number in numbers]

    def start(self, search: Search, key: Key, trial: Trial) -> None:
        """A trial starts, or starts again."""
        known = self._runs.get(key)
        attempts = known.attempts + 1 if known else 1
        if known is None:
            tags = {
                "key": key.path,
                "searcher": search.arm.settings.searcher,
                **_levels(trial.task),
                **self._tags("trial", search),
                "k": str(key.k),
                "seed_number": str(key.seed_number),
            }
            run = self._create(tags, f"{key.arm}-{key.repetition}-{key.k}", self._parent(search))
        else:
            run = known.run_id
            self._client.update_run(run, status="RUNNING")
        if known is None or not known.params:  # a driver may die between the two calls
            params = [Param(name, text_of(value)) for name, value in trial.flat().items()]
            self._client.log_batch(run, params=params)
        self._client.set_tag(run, f"{PREFIX}attempts", attempts)
        versions = self._provenance.get("versions", "")
        self._runs[key] = Recorded(run, trial.flat(), None, float("nan"), attempts, versions)

    def log(self, key: Key, number: int, record: Record) -> None:
        """The `number`-th record of a trial, 1 the first; written with the next flush."""
        now = int(time.time() * 1000)
        self._waiting[key] += [Metric(name, float(v), now, number) for name, v in record.flat().items()]
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def finish(self, key: Key, status: Status, score: float, error: str = "", **tags: str) -> None:
        """A trial has ended: its metrics first, its status last."""
        self._waiting[key].append(Metric("best_valid_score", score, int(time.time() * 1000), 0))
        told = {"status": status, "score": repr(score), "error": error[:5000], **tags}
        self._flush(key, [RunTag(f"{PREFIX}{name}", value) for name, value in told.items() if value])
        run = self._runs[key].run_id
        self._client.set_terminated(run, "FAILED" if status == "failed" else "FINISHED")
        self._runs[key] = self._runs[key]._replace(status=status, score=score)

    def keep(self, key: Key, file: Path) -> None:
        """A file that a trial left behind, beside its run; before its status, so that a finished trial has it."""
        if file.exists():
            self._client.log_artifact(self._runs[key].run_id, str(file))

    def cancelled(self) -> bool:
        """Whether somebody has asked for the end since this driver began; looked up every few seconds."""
        now = time.monotonic()
        if now - self._asked > CANCEL_SECONDS:
            self._asked = now
            tags = self._client.get_experiment(self._experiment).tags
            self._cancelled = tags.get(CANCEL, "") not in ("", self._ignored)
        return self._cancelled

    def flush(self) -> None:
        """Write every metric that is still here."""
        for key in list(self._waiting):
            self._flush(key)
        self._flushed = time.monotonic()

    def close(self, *, complete: bool) -> None:
        """Write what is left; searches are finished where the study is complete, else marked as interrupted."""
        self.flush()
        for run in self._parents.values():
            self._client.set_terminated(run, "FINISHED" if complete else "KILLED")
        for recorded in self._runs.values():
            if recorded.status is None:
                self._client.set_terminated(recorded.run_id, "KILLED")

    # --- inside --------------------------------------------------------------------------------------

    def _load(self) -> None:
        contents = {arm.name: json.dumps(arm.contents(), sort_keys=True) for arm in self.study.arms}
        for run in runs_of(self._client, self._experiment, "search"):
            tags = own_tags(run)
            _refuse_other_contents(self.study.name, tags["arm"], tags["contents"], contents.get(tags["arm"]), self.uri)
            self._parents[tags["arm"], int(tags["repetition"])] = run.info.run_id
            self._client.update_run(run.info.run_id, status="RUNNING")
        for run in runs_of(self._client, self._experiment, "trial"):
            key = Key.of_path(own_tags(run)["key"])
            if key in self._runs:  # a create whose answer was lost, repeated: the first one counts
                self._client.delete_run(run.info.run_id)
            else:
                self._runs[key] = recorded_of(run)

    def _parent(self, search: Search) -> str:
        name = search.arm.name, search.repetition
        if name not in self._parents:
            contents = json.dumps(search.arm.contents(), sort_keys=True)
            tags = {**self._tags("search", search), "contents": contents}
            run = self._create(tags, f"{search.arm.name}-{search.repetition}", None)
            self._parents[name] = run
        return self._parents[name]

    def _tags(self, kind: str, search: Search) -> dict[str, str]:
        settings = search.arm.settings
        planned = {"planned": str(settings.trials * settings.seeds)} if kind == "search" else {}
        own = {"kind": kind, "arm": search.arm.name, "repetition": str(search.repetition), "study": self.study.name}
        return {**own, **planned, "study_hash": self._hash, **self._provenance}

    def _create(self, tags: Mapping[str, str], name: str, parent: str | None) -> str:
        own = {f"{PREFIX}{tag}": value for tag, value in tags.items()}
        above = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
        run = self._client.create_run(self._experiment, tags={**own, **above, MLFLOW_RUN_NAME: name})
        return run.info.run_id

    def _history(self, run: str, name: str) -> dict[int, float]:
        return {point.step: point.value for point in self._client.get_metric_history(run, name)}

    def _flush(self, key: Key, tags: Sequence[RunTag] = ()) -> None:
        """What waits of a trial, in as few calls as may be; tags go with the last of them."""
        metrics = self._waiting.pop(key, [])
        while len(metrics) > BATCH:
            self._client.log_batch(self._runs[key].run_id, metrics=metrics[:BATCH])
            metrics = metrics[BATCH:]
        if metrics or tags:
            self._client.log_batch(self._runs[key].run_id, metrics=metrics, tags=tags)


def _levels(task: Task) -> dict[str, str]:
    """What a report must know of a task, so that it needs no code of other people's."""
    target = {} if task.target is None else {"target": repr(float(task.target))}
    return {"mode": task.mode, "metric": task.metric, "chance": repr(float(task.chance)), **target}


def _refuse_other_contents(study: str, arm: str, before: str, now: str | None, uri: str) -> None:
    if before == now:
        return
    if now is None:
        difference = f"it also has an arm {arm!r}"
    else:
        was, new = json.loads(before), json.loads(now)
        changed = sorted(key for key in was.keys() | new.keys() if was.get(key) != new.get(key))
        told = [f"{key} was {was.get(key, 'not set')}, is now {new.get(key, 'not set')}" for key in changed]
        difference = f"in arm {arm!r}, {'; '.join(told)}"
    raise Refusal(
        f"another study {study!r} with other contents is recorded in {shown(uri)}: {difference}. Copy the study file "
        f"under a new name, or rename the recorded one (`mlflow experiments rename`)"
    )
