"""The state of a study, from any machine that reaches the store; and the request to end it."""

import time
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run

from study.tracking.store import CANCEL, find_study, own_tags, recorded_of, runs_of, trial_runs


class SearchStatus(NamedTuple):
    """The state of one search."""

    arm: str
    repetition: int
    planned: int  # trials
    ended: int  # finished, diverged or stopped
    failed: int
    running: int
    seconds_left: float  # at the pace so far; NaN before the first trial has ended


def status(study: str, uri: str) -> list[SearchStatus]:
    """The state of every search of a study, in the order in which they were opened.

    Args:
        study: the study's name.
        uri: of the MLflow store.

    Raises:
        Refusal: where the study is not there.
    """
    store, experiment = find_study(study, uri)
    searches = runs_of(store, experiment, "search")
    trials: dict[tuple[str, str], list[Run]] = {}
    for run in trial_runs(store, experiment)[0].values():
        trials.setdefault(_search(run), []).append(run)
    return [_status(search, trials.get(_search(search), [])) for search in searches]


def cancel(study: str, uri: str) -> None:
    """Ask the driver of a study to end; it looks every few seconds, and leaves a record that can be gone on with.

    Args:
        study: the study's name.
        uri: of the MLflow store.

    Raises:
        Refusal: where the study is not there.
    """
    store: MlflowClient
    store, experiment = find_study(study, uri)
    store.set_experiment_tag(experiment, CANCEL, str(time.time()))


def clock(seconds: float) -> str:
    """Minutes and seconds.

    >>> clock(75.2), clock(3700)
    ('1:15', '1:01:40')
    """
    whole = round(seconds)
    minutes, hours = whole // 60 % 60, whole // 3600
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def _search(run: Run) -> tuple[str, str]:
    tags = own_tags(run)
    return tags["arm"], tags["repetition"]


def _status(search: Run, trials: list[Run]) -> SearchStatus:
    arm, repetition = _search(search)
    planned = int(own_tags(search).get("planned", len(trials)))
    states = [recorded_of(run).status for run in trials]
    ended = sum(state not in (None, "failed") for state in states)
    failed = states.count("failed")
    running = sum(run.info.status == "RUNNING" for run in trials)
    return SearchStatus(arm, int(repetition), planned, ended, failed, running, _left(trials, planned))


def _left(trials: list[Run], planned: int) -> float:
    """(planned − done) · the time from the first start to the last end, a finished trial."""
    ends = [run.info.end_time or 0 for run in trials if recorded_of(run).status]
    if not ends:
        return float("nan")
    span = (max(ends) - min(run.info.start_time for run in trials)) / 1000
    return span / len(ends) * max(0, planned - len(ends))
