"""Every write of a trial into MLflow as a value, so that it can wait, and be repeated without harm."""

import sys
from pathlib import Path
from typing import NamedTuple, TypeAlias

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from study.plan.key import Key
from study.tracking.store import PREFIX, is_away, runs_of, shown, without_retries
from trainables.refusal import first_line

Pairs = list[tuple[str, str]]


class Open(NamedTuple):
    """The start of a trial: its run is made, if it is not there, with tags and parameters."""

    key: Key
    tags: dict[str, str]
    params: Pairs  # empty where the run has them


class Points(NamedTuple):
    """Points of metrics (name, value, milliseconds, step), and tags."""

    key: Key
    metrics: list[tuple[str, float, int, int]]
    tags: Pairs


class Artifact(NamedTuple):
    """A file of a trial, to be kept beside its run."""

    key: Key
    path: str


class End(NamedTuple):
    """The end of a trial, or of our work on it: the last that is written of it."""

    key: Key
    status: str
    milliseconds: int


class Mark(NamedTuple):
    """The state of a search, to be written."""

    run: str
    status: str
    milliseconds: int


class Tag(NamedTuple):
    """A tag of a search."""

    run: str
    name: str
    text: str


Item: TypeAlias = Open | Points | Artifact | End | Mark | Tag


class Writer:
    """Writes into one experiment; `runs` is the run of every trial that has one."""

    def __init__(self, client: MlflowClient, experiment: str, runs: dict[Key, str]) -> None:
        self._client, self._experiment, self.runs = client, experiment, runs
        self._in_doubt: set[Key] = set()  # a run was asked for, and no answer came

    def __call__(self, item: Item) -> None:
        """Write it, or raise at once where the store does not answer."""
        with without_retries():
            if isinstance(item, Open):
                self._open(item)
            elif isinstance(item, Points):
                metrics, tags = [Metric(*point) for point in item.metrics], [RunTag(*tag) for tag in item.tags]
                self._client.log_batch(self.runs[item.key], metrics=metrics, tags=tags)
            elif isinstance(item, Artifact):
                self._keep(item)
            elif isinstance(item, Tag):
                self._client.set_tag(item.run, item.name, item.text)
            else:
                run = self.runs[item.key] if isinstance(item, End) else item.run
                self._client.set_terminated(run, item.status, item.milliseconds)

    def _open(self, item: Open) -> None:
        if item.key in self._in_doubt:
            self._adopt(item.key)
        if item.key not in self.runs:
            self._in_doubt.add(item.key)
            run = self._client.create_run(self._experiment, tags=item.tags)
            self.runs[item.key] = run.info.run_id
            self._in_doubt.discard(item.key)
        else:
            run = self._client.get_run(self.runs[item.key])
            if run.info.status != "RUNNING":
                self._client.update_run(run.info.run_id, status="RUNNING")
        changed = [RunTag(name, value) for name, value in item.tags.items() if run.data.tags.get(name) != value]
        if changed or item.params:
            params = [Param(*param) for param in item.params]
            self._client.log_batch(run.info.run_id, params=params, tags=changed)

    def _keep(self, item: Artifact) -> None:
        """Keep a file; one that the store refuses costs neither its trial nor the study."""
        try:
            self._client.log_artifact(self.runs[item.key], item.path)
        except (MlflowException, OSError) as error:
            if is_away(error):
                raise
            why = shown(first_line(error))
            sys.stderr.write(f"trial {item.key.path}: the store does not take {Path(item.path).name}: {why}\n")

    def _adopt(self, key: Key) -> None:
        """The run that was made although no answer came, if it was."""
        found = runs_of(self._client, self._experiment, "trial", f"tags.`{PREFIX}key` = '{key.path}'")
        if found:
            self.runs[key] = found[0].info.run_id
        self._in_doubt.discard(key)
