"""A study as its report needs it beside the table, and the summary that goes into the store."""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import quote

from mlflow import MlflowClient
from mlflow.entities import Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME

from study.tracking.pages import pages_of
from study.tracking.store import PREFIX, REPORT, STORAGE, find_study, own_tags, prices_of, runs_of
from trainables.price import Price


class About(NamedTuple):
    """A study beside its trials, as the store knows it."""

    study_file: str  # as it was read by the last driver; empty where it cannot be reached
    planned: dict[str, int]  # trials an arm, in the order of the study file
    arms: dict[str, str]  # arm → the address of its trials in MLflow's pages
    run: str  # the address of one run there; {} stands for its id
    storage: str  # the folder that the last driver was given; empty where it did not say
    contents: dict[str, dict[str, Any]]  # arm → what it fixes and searches, as it was run
    prices: dict[str, list[Price]]  # arm → what a step of it was measured to cost


def about(study: str, uri: str) -> About:
    """Read what the store knows of a recorded study beside its trials.

    Args:
        study: the study's name.
        uri: of the MLflow store.

    Raises:
        Refusal: where the study is not there.
    """
    store, experiment = find_study(study, uri)
    searches = runs_of(store, experiment, "search")
    planned: dict[str, int] = {}
    contents: dict[str, dict[str, Any]] = {}
    for search in searches:
        tags = own_tags(search)
        contents[tags["arm"]] = json.loads(tags["contents"])
        trials = int(tags.get("planned", "0")) // int(contents[tags["arm"]].get("seeds", 1))  # the tag counts trainings
        planned[tags["arm"]] = planned.get(tags["arm"], 0) + trials
    place = f"{pages_of(uri)}/#/experiments/{experiment}"
    arms = {arm: f"{place}/runs?searchFilter={quote(_trials_of(arm))}" for arm in planned}
    storage = store.get_experiment(experiment).tags.get(STORAGE, "")
    run, prices = f"{place}/runs/{{}}", prices_of(searches)
    return About(_study_file(store, searches), planned, arms, run, storage, contents, prices)


def publish(study: str, uri: str, metrics: Mapping[str, Mapping[str, float]], files: Iterable[Path]) -> None:
    """Write a summary into the store: numbers of every arm on its parent runs, the files on a run called `report`.

    Written again, the last numbers count and the files are replaced.

    Args:
        study: the study's name.
        uri: of the MLflow store.
        metrics: numbers by name, by arm.
        files: those of a folder `figures` stay in one of that name.

    Raises:
        Refusal: where the study is not there.
    """
    store, experiment = find_study(study, uri)
    now = int(time.time() * 1000)
    for search in runs_of(store, experiment, "search"):
        told = metrics.get(own_tags(search)["arm"], {})
        store.log_batch(search.info.run_id, metrics=[Metric(name, value, now, 0) for name, value in told.items()])
    before = runs_of(store, experiment, REPORT)
    run = before[0] if before else _report(store, experiment, study)
    for file in files:
        store.log_artifact(run.info.run_id, str(file), file.parent.name if file.parent.name == "figures" else None)


def _report(store: MlflowClient, experiment: str, study: str) -> Run:
    tags = {f"{PREFIX}kind": REPORT, f"{PREFIX}study": study, MLFLOW_RUN_NAME: REPORT}
    run = store.create_run(experiment, tags=tags)
    store.set_terminated(run.info.run_id, "FINISHED")
    return run


def _study_file(store: MlflowClient, searches: list[Run]) -> str:
    if not searches:
        return ""
    with TemporaryDirectory() as folder:
        try:
            path = store.download_artifacts(searches[-1].info.run_id, "study.yaml", folder)
            return Path(path).read_text(encoding="utf-8")
        except (MlflowException, OSError):  # the artifacts may be on another machine
            return ""


def _trials_of(arm: str) -> str:
    return f"tags.`{PREFIX}kind` = 'trial' AND tags.`{PREFIX}arm` = '{arm}'"
