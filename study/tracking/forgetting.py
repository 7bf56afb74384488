"""Forgetting a study: its record leaves the store under another name, so that its own is free again."""

import contextlib
import time
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from study.tracking.store import REPORT, find_study, folder_of_search, own_tags, runs_of

KINDS = ("search", "trial", REPORT)


def forget(study: str, uri: str) -> str:
    """Delete the record of a study: its artifacts at once, its runs as MLflow deletes, which can be restored.

    Args:
        study: the name of a recorded study that nobody is running.
        uri: the MLflow store.

    Returns:
        The name under which MLflow keeps the deleted record until its own garbage collection: NAME@time.

    Raises:
        Refusal: where the store has no such study.
    """
    store, experiment = find_study(study, uri)
    for run in [run for kind in KINDS for run in runs_of(store, experiment, kind)]:
        _remove_artifacts(run.info.artifact_uri, uri)
    return _rename_and_delete(store, experiment, study)


def search_folders(study: str, uri: str) -> list[Path]:
    """The places of a study's checkpoints inside its storage folder, one a search.

    Args:
        study: the study's name.
        uri: of the MLflow store.

    Raises:
        Refusal: where the study is not there.
    """
    store, experiment = find_study(study, uri)
    return [
        folder_of_search(study, tags["arm"], int(tags["repetition"]), run.info.run_id)
        for run in runs_of(store, experiment, "search")
        for tags in [own_tags(run)]
    ]


def _rename_and_delete(store: MlflowClient, experiment: str, study: str) -> str:
    """MLflow's deletion is soft and would keep the name."""
    name = f"{study}@{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}"
    store.rename_experiment(experiment, name)
    store.delete_experiment(experiment)
    return name


def _remove_artifacts(place: str | None, uri: str) -> None:
    """Remove the files of a run; those on another machine stay there."""
    if not place:
        return
    with contextlib.suppress(MlflowException, OSError, NotImplementedError):
        repository = get_artifact_repository(place, tracking_uri=uri)
        repository.delete_artifacts()
        local = getattr(repository, "artifact_dir", None)
        if local:
            Path(local).parent.rmdir()  # the run's own folder, if nothing else is in it
