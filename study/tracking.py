"""MLflow: the record of every trial. `Tracker` writes it, `read` returns it as one tidy table.

An experiment is a study, a parent run a search, a child run a trial. A child holds the trial's flat parameters, every
field of `Record` as a metric at step = number of the record, and tags for its key and status. A trial is finished when
its run is terminal *and* carries the tag `lr_study.status`; everything else is taken up again.
"""

import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from study.dispatcher import Recorded
from study.key import Key
from study.searchers import Status
from study.spec import Search, Study
from trainables.refusal import Refusal, unknown
from trainables.trial import Record, Trial

logging.getLogger("mlflow").setLevel(logging.WARNING)  # its migrations are not news
logging.getLogger("alembic").setLevel(logging.WARNING)

DEFAULT_URI = "sqlite:///mlflow.db"
ARTIFACTS = ".lr-study/artifacts"  # of the embedded store; a server has a place of its own
PREFIX = "lr_study."
BATCH = 1000  # MLflow's limit on the metrics of one call
FLUSH_SECONDS = 2.0
TERMINAL = ("FINISHED", "FAILED")


class Tracker:
    """Writes one study into MLflow; every write can be repeated."""

    def __init__(self, study: Study, uri: str, provenance: Mapping[str, str] | None = None) -> None:
        """Open the study's experiment, made if it is not there; refuse one of the same name with other contents."""
        self.study, self.uri = study, uri
        self._client = client(uri)
        self._experiment = _experiment(self._client, study.name, uri)
        self._provenance = dict(provenance or {})
        self._parents: dict[tuple[str, int], str] = {}
        self._runs: dict[Key, Recorded] = {}
        self._waiting: dict[Key, list[Metric]] = defaultdict(list)
        self._flushed = time.monotonic()
        self._load()

    def open_searches(self, searches: Iterable[Search]) -> None:
        """Every search has its parent run, running, with the study file beside it."""
        for search in searches:
            run = self._parent(search)
            self._client.update_run(run, status="RUNNING")
            self._client.log_text(run, self.study.text, "study.yaml")

    def recorded(self) -> dict[Key, Recorded]:
        """Every trial the record knows, finished or not."""
        return dict(self._runs)

    def start(self, search: Search, key: Key, trial: Trial) -> None:
        """A trial starts, or starts again."""
        known = self._runs.get(key)
        attempts = known.attempts + 1 if known else 1
        if known is None:
            tags = {
                "key": key.path,
                **self._tags("trial", search),
                "k": str(key.k),
                "seed_number": str(key.seed_number),
            }
            run = self._create(tags, f"{key.arm}-{key.repetition}-{key.k}", self._parent(search))
            params = [Param(name, _text(value)) for name, value in trial.flat().items()]
            self._client.log_batch(run, params=params)
        else:
            run = known.run_id
            self._client.update_run(run, status="RUNNING")
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
        self._flush(key)
        run = self._runs[key].run_id
        told = {"status": status, "score": repr(score), "error": error[:5000], **tags}
        written = [RunTag(f"{PREFIX}{name}", value) for name, value in told.items() if value]
        self._client.log_batch(run, tags=written)
        self._client.set_terminated(run, "FAILED" if status == "failed" else "FINISHED")
        self._runs[key] = self._runs[key]._replace(status=status, score=score)

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
        for run in _search(self._client, self._experiment, "search"):
            tags = _own_tags(run)
            _refuse_other_contents(self.study.name, tags["arm"], tags["contents"], contents.get(tags["arm"]), self.uri)
            self._parents[tags["arm"], int(tags["repetition"])] = run.info.run_id
            self._client.update_run(run.info.run_id, status="RUNNING")
        for run in _search(self._client, self._experiment, "trial"):
            key = Key.of_path(_own_tags(run)["key"])
            if key in self._runs:  # a create whose answer was lost, repeated: the first one counts
                self._client.delete_run(run.info.run_id)
            else:
                self._runs[key] = _recorded(run)

    def _parent(self, search: Search) -> str:
        name = search.arm.name, search.repetition
        if name not in self._parents:
            contents = json.dumps(search.arm.contents(), sort_keys=True)
            tags = {**self._tags("search", search), "contents": contents}
            run = self._create(tags, f"{search.arm.name}-{search.repetition}", None)
            self._parents[name] = run
        return self._parents[name]

    def _tags(self, kind: str, search: Search) -> dict[str, str]:
        own = {"kind": kind, "arm": search.arm.name, "repetition": str(search.repetition), "study": self.study.name}
        return {**own, "study_hash": self.study.hash, **self._provenance}

    def _create(self, tags: Mapping[str, str], name: str, parent: str | None) -> str:
        own = {f"{PREFIX}{tag}": value for tag, value in tags.items()}
        above = {MLFLOW_PARENT_RUN_ID: parent} if parent else {}
        run = self._client.create_run(self._experiment, tags={**own, **above, MLFLOW_RUN_NAME: name})
        return run.info.run_id

    def _flush(self, key: Key) -> None:
        metrics = self._waiting.pop(key, [])
        for first in range(0, len(metrics), BATCH):
            self._client.log_batch(self._runs[key].run_id, metrics=metrics[first : first + BATCH])


def client(uri: str) -> MlflowClient:
    """A client of the store, or a refusal that says why it cannot be reached."""
    try:
        reached = MlflowClient(tracking_uri=uri)
        reached.search_experiments(max_results=1)
    except Exception as error:  # sqlalchemy, requests and MLflow each raise their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Refusal(f"the MLflow store {shown(uri)} cannot be reached or written: {shown(reason)}") from error
    return reached


def shown(uri: str) -> str:
    """The text without a user name and password that may stand in a URL.

    >>> shown("postgresql://me:secret@db/mlflow")
    'postgresql://…@db/mlflow'
    """
    import re

    return re.sub(r"(?<=://)[^/@\s]*@", "…@", uri)


def read(study: str, uri: str = DEFAULT_URI) -> pd.DataFrame:
    """One row per (trial, record), sorted by key and epoch: key, status, parameters, and the fields of `Record`."""
    file = uri.removeprefix("sqlite:///")
    if file != uri and not Path(file).exists():
        raise Refusal(f"no MLflow store at {file}: run a study here first, or name another store with --tracking-uri")
    store = client(uri)
    experiment = store.get_experiment_by_name(study)
    if experiment is None:
        raise unknown(f"study in {shown(uri)}:", study, [found.name for found in store.search_experiments()])
    runs = {run.info.run_id: run for run in _search(store, experiment.experiment_id, "trial")}
    keys = {run_id: Key.of_path(_own_tags(run)["key"]) for run_id, run in runs.items()}
    frame = pd.DataFrame(_rows(store, runs.values()))
    if frame.empty:
        return frame
    about = {run_id: {**keys[run_id]._asdict(), "run_id": run_id, **_about(run)} for run_id, run in runs.items()}
    left = pd.DataFrame([about[run_id] for run_id in frame.pop("run_id")])
    table = pd.concat([left, frame], axis=1)
    return table.sort_values([*Key._fields, "record"], ignore_index=True)


def _about(run: Run) -> dict[str, Any]:
    recorded = _recorded(run)
    return {"status": recorded.status or "running", **recorded.params}


def _rows(store: MlflowClient, runs: Iterable[Run]) -> list[dict[str, Any]]:
    """The metrics of all runs, one dict per (run, record); of repeated points the last one counts."""
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    names = {run.info.run_id: [name for name in run.data.metrics if name != "best_valid_score"] for run in runs}
    for run_id, metric in _histories(store, names):
        row = rows.setdefault((run_id, metric.step), {"run_id": run_id, "record": metric.step})
        row[metric.key] = metric.value
    return list(rows.values())


def _histories(store: MlflowClient, names: Mapping[str, list[str]]) -> Iterable[tuple[str, Metric]]:
    """Every metric point of every run: one query a name from a database, one a run and name from a server."""
    inner = store._tracking_client.store
    if hasattr(inner, "get_metric_history_bulk"):
        every = sorted({name for wanted in names.values() for name in wanted})
        for name in every:
            for point in inner.get_metric_history_bulk(list(names), name, 2**31 - 1):
                yield point.run_id, point
        return
    wanted = [(run_id, name) for run_id, of_run in names.items() for name in of_run]
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda pair: store.get_metric_history(*pair), wanted)
        for (run_id, _), points in zip(wanted, found, strict=True):
            for point in points:
                yield run_id, point


def _experiment(store: MlflowClient, name: str, uri: str) -> str:
    found = store.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage != "active":
            raise Refusal(
                f"study {name!r} is deleted in {shown(uri)}: restore it (`mlflow experiments restore`) or rename it"
            )
        return found.experiment_id
    try:
        return store.create_experiment(name, ARTIFACTS if uri.startswith("sqlite:") else None)
    except MlflowException:
        found = store.get_experiment_by_name(name)  # another driver was faster
        if found is None:
            raise
        return found.experiment_id


def _search(store: MlflowClient, experiment: str, kind: str) -> list[Run]:
    """All runs of a kind, oldest first."""
    runs: list[Run] = []
    token = None
    while True:
        page = store.search_runs(
            [experiment],
            f"tags.`{PREFIX}kind` = '{kind}'",
            ViewType.ACTIVE_ONLY,
            max_results=1000,
            order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
            page_token=token,
        )
        runs += page
        token = page.token
        if not token:
            return runs


def _own_tags(run: Run) -> dict[str, str]:
    return {tag.removeprefix(PREFIX): value for tag, value in run.data.tags.items() if tag.startswith(PREFIX)}


def _recorded(run: Run) -> Recorded:
    tags = _own_tags(run)
    status: Any = tags.get("status") if run.info.status in TERMINAL else None
    params = {name: _value(text) for name, text in run.data.params.items()}
    score = float(tags["score"]) if status else float("nan")
    return Recorded(run.info.run_id, params, status, score, int(tags.get("attempts", "0")), tags.get("versions", ""))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _value(text: str) -> Any:
    """The inverse of `_text`: numbers, truth values and null as themselves, anything else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


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
