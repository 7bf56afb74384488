"""MLflow experiments that we did not write, as tables."""

import math
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from study.records.foreign import MLFLOW, of_steps, refuse_other_file
from study.records.table import Given
from study.tracking import store
from trainables.refusal import Refusal, unknown

METRIC = "metrics."
STATES = {"FINISHED", "FAILED", "KILLED"}  # of runs that have ended


def read_experiment(experiment: str, uri: str, columns: Mapping[str, str]) -> Given:
    """The validated table of an MLflow experiment: one row per run and step of the metric mapped to `score`.

    Unless mapped, the task is the experiment, the trial its run's place in time, the epoch the metric's step, the
    status the run's. Left out, and said so: runs that still run, and those that others name as their parent.

    Args:
        experiment: its name.
        uri: the address of the store.
        columns: our name → `metrics.x`, `params.x`, `tags.x`, or `=text`.

    Raises:
        Refusal: for what is not there or was deleted, and where the table cannot be used.
    """
    refuse_other_file(uri, MLFLOW, "experiments")
    score = columns.get("score", "")
    if not score.startswith(METRIC):
        raise Refusal(f"say which metric is the score: --column score={METRIC}NAME")
    client = store.client(uri)
    runs = _runs(client, experiment, uri)
    parents = {run.data.tags.get(MLFLOW_PARENT_RUN_ID) for run in runs}
    kept = [run for run in runs if run.info.run_id not in parents]
    _refuse_unknown_metrics(kept, columns)
    metrics = {name.removeprefix(METRIC) for name in columns.values() if name.startswith(METRIC)}
    ended = [run for run in kept if run.info.status in STATES]
    rows = [row for place, run in enumerate(ended) for row in _rows(client, run, place, metrics, score)]
    if not rows:
        raise Refusal(f"the experiment {experiment!r} has no finished run")
    defaults = {"task": f"={experiment}", "trial": "trial", "status": "state"}
    table = of_steps(pd.DataFrame(rows), {**defaults, **columns})
    notes = {
        "runs left out, because others name them as their parent": len(runs) - len(kept),
        "trials left out, because they are still running": len(kept) - len(ended),
    }
    return table._replace(notes=(*table.notes, *(f"{why}: {number}" for why, number in notes.items() if number)))


def _runs(client: MlflowClient, experiment: str, uri: str) -> list[Run]:
    """All runs of the experiment, the first that started first."""
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise unknown("experiment", experiment, [each.name for each in client.search_experiments()])
    store.refuse_deleted("experiment", found, uri)
    runs: list[Run] = []
    token = None
    while token is None or token:
        page = client.search_runs([found.experiment_id], order_by=["start_time", "run_id"], page_token=token)
        runs, token = [*runs, *page], page.token or ""
    return runs


def _refuse_unknown_metrics(runs: list[Run], columns: Mapping[str, str]) -> None:
    known = {METRIC + name for run in runs for name in run.data.metrics}
    for name in columns.values():
        if runs and name.startswith(METRIC) and name not in known:
            raise unknown("metric", name, known)


def _rows(client: MlflowClient, run: Run, place: int, metrics: set[str], score: str) -> list[dict[str, Any]]:
    """One row a step of the score; of points with the same step the last counts, as MLflow keeps them all.

    Another metric that a run has told once, at whatever step, is of the whole run.
    """
    history: dict[str, dict[float, float]] = {
        METRIC + name: {point.step: _told(point.value) for point in client.get_metric_history(run.info.run_id, name)}
        for name in metrics
    }
    fixed: dict[str, Any] = {"trial": place, "state": run.info.status}
    fixed |= {f"params.{name}": value for name, value in run.data.params.items()}
    fixed |= {f"tags.{name}": value for name, value in run.data.tags.items()}
    steps = sorted(history[score]) or [float("nan")]
    once = {name: next(iter(told.values())) for name, told in history.items() if len(told) == 1 and name != score}
    return [
        {**fixed, "step": step, **{name: told.get(step, float("nan")) for name, told in history.items()}, **once}
        for step in steps
    ]


def _told(value: float) -> float:
    """A number as it was logged: MLflow's databases keep the largest one in the place of an infinite one."""
    return math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value
