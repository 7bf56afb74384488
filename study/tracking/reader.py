"""The reader: one tidy table of a recorded study."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from http import HTTPStatus
from typing import Any

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.utils.rest_utils import http_request, verify_rest_response

from study.plan.key import Key
from study.tracking.embedded import sqlite_file
from study.tracking.store import client, find_study, own_tags, parameter_text, recorded_of, records_of, trial_runs
from trainables.refusal import Refusal
from trainables.trial import Record, Trial

RUNS_A_REQUEST = 100  # MLflow's limits on one request for the metrics of many runs
POINTS_A_REQUEST = 25_000
OWN = [entry.name for entry in fields(Record) if entry.name != "extras"]
NOTHING = {"record": 0, **dict.fromkeys(("epoch", "passes", "flops", "steps", "seconds", "diverged"), 0.0)}


def is_recorded(study: str, uri: str) -> bool:
    """Tell if the store has a study of that name; a store that is not there is not made.

    Args:
        study: the study's name.
        uri: of the MLflow store.
    """
    file = sqlite_file(uri)
    if file and not file.exists():
        return False
    experiment = client(uri).get_experiment_by_name(study)
    return experiment is not None and experiment.lifecycle_stage == "active"


def read(study: str, uri: str) -> pd.DataFrame:
    """One row per (training, record), sorted by key and epoch: key, status, parameters, and the fields of `Record`.

    A training that ended, or is running, without a record has one row: record 0, at no cost.

    Args:
        study: the study's name.
        uri: of the MLflow store.

    Raises:
        Refusal: where the study is not there.
    """
    store, experiment = find_study(study, uri)
    trials, _ = trial_runs(store, experiment)
    runs = {run.info.run_id: run for run in trials.values()}
    keys = {run.info.run_id: key for key, run in trials.items()}
    rows = _rows(store, runs.values())
    silent = {run_id for run_id, run in runs.items() if run.data.params} - {row["run_id"] for row in rows}
    frame = pd.DataFrame([*rows, *({"run_id": run_id, **NOTHING} for run_id in silent)])
    if frame.empty:
        return frame
    about = {run_id: {**keys[run_id]._asdict(), "run_id": run_id, **_about(run)} for run_id, run in runs.items()}
    left = pd.DataFrame([about[run_id] for run_id in frame.pop("run_id")])
    table = pd.concat([left, frame], axis=1).sort_values([*Key._fields, "record"], ignore_index=True)
    return table.reindex(columns=_ordered(left, frame))


def _ordered(left: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    """The columns in an order that does not depend on which trial came first: key, parameters, `Record`, extras."""
    seeds = ["planned"] if "planned" in left else []  # a record of an older version does not say
    errors = ["error"] if "error" in left else []
    first = [*Key._fields, *seeds, "run_id", "status", *errors, "searcher", "mode", "metric", "chance", "target"]
    extras = sorted(set(frame.columns) - set(OWN) - {"record"})
    return [*first, *sorted(set(left.columns) - set(first)), "record", *OWN, *extras]


def _about(run: Run) -> dict[str, Any]:
    recorded, tags = recorded_of(run), own_tags(run)
    about: dict[str, Any] = {"status": recorded.status or "running", "searcher": tags["searcher"]}
    if "seeds" in tags:
        about["planned"] = int(tags["seeds"])
    if recorded.status == "failed":  # the column is there where a trial failed
        about["error"] = tags.get("error", "").partition("\n")[0]
    params = {
        key: parameter_text(value) if isinstance(value, list) else value for key, value in recorded.params.items()
    }
    return {**about, **_levels(tags, recorded.params), **params}  # no list: a table groups by its cells


def _levels(tags: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, Any]:
    """The task's metric and its sense, its chance level and target; from our own task where a record lacks the tags."""
    if "chance" in tags:
        target = float(tags.get("target", "nan"))
        return {"mode": tags["mode"], "metric": tags["metric"], "chance": float(tags["chance"]), "target": target}
    of_task = {key: value for key, value in params.items() if key.split(".")[0] == "task"}
    try:
        task = Trial.parse(of_task).task
    except Refusal:  # other people's task; or the driver died before it wrote any
        return {"mode": "", "metric": "", "chance": math.nan, "target": math.nan}
    target = math.nan if task.target is None else float(task.target)
    return {"mode": task.mode, "metric": task.metric, "chance": float(task.chance), "target": target}


def _rows(store: MlflowClient, runs: Iterable[Run]) -> list[dict[str, Any]]:
    """The metrics of all runs, one dict per (run, record); of repeated points the last one counts.

    What an attempt that was given up recorded beyond the end of the one that counts is left out.
    Metrics are read one after another while trials go on: a record that was not whole when the first was read is left
    out.
    """
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    known = {run.info.run_id: run for run in runs}
    names = {run_id: [name for name in run.data.metrics if name != "best_valid_score"] for run_id, run in known.items()}
    most = {run_id: records_of(run) for run_id, run in known.items()}
    for run_id, metric in _histories(store, names):
        if metric.step > most[run_id]:
            continue
        row = rows.setdefault((run_id, metric.step), {"run_id": run_id, "record": metric.step})
        row[metric.key] = metric.value
    going_on = {run_id for run_id, run in known.items() if recorded_of(run).status is None}
    return [row for row in rows.values() if row["run_id"] not in going_on or row.keys() >= set(OWN)]


def _histories(store: MlflowClient, names: Mapping[str, list[str]]) -> Iterable[tuple[str, Metric]]:
    """Every metric point of every run, in as few queries as the store allows."""
    inner = store._tracking_client.store
    every = sorted({name for wanted in names.values() for name in wanted}, key=lambda name: (name not in OWN, name))
    if hasattr(inner, "get_metric_history_bulk"):  # a database
        for name in every:
            for point in inner.get_metric_history_bulk(list(names), name, 2**31 - 1):
                yield point.run_id, point
        return
    for name in every:
        of_runs = [run_id for run_id, wanted in names.items() if name in wanted]
        for start in range(0, len(of_runs), RUNS_A_REQUEST):
            yield from _from_server(store, of_runs[start : start + RUNS_A_REQUEST], name)


def _from_server(store: MlflowClient, runs: list[str], name: str) -> Iterable[tuple[str, Metric]]:
    """One metric of many runs: in one request, where its answer is whole."""
    points = _asked_at_once(store, runs, name)
    if points is not None:
        for point in points:
            yield point["run_id"], Metric(name, float(point["value"]), int(point["timestamp"]), int(point["step"]))
    elif len(runs) > 1:
        half = len(runs) // 2
        yield from _from_server(store, runs[:half], name)
        yield from _from_server(store, runs[half:], name)
    else:
        for point in store.get_metric_history(runs[0], name):  # page by page
            yield runs[0], point


def _asked_at_once(store: MlflowClient, runs: list[str], name: str) -> list[dict[str, Any]] | None:
    """The answer that MLflow's own pages get, for which `MlflowClient` has no call; None where it is cut or refused."""
    path = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
    asked = {"run_id": runs, "metric_key": name, "max_results": POINTS_A_REQUEST}
    answer: Any = http_request(store._tracking_client.store.get_host_creds(), path, "GET", params=asked)
    if answer.status_code == HTTPStatus.NOT_FOUND:
        return None
    points = verify_rest_response(answer, path).json()["metrics"]
    return points if len(points) < POINTS_A_REQUEST else None
