"""Artifacts of trials beside their records, read back."""

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow.exceptions import MlflowException

from study.tracking.store import find_study, recorded_of, runs_of, shown, trial_runs
from trainables.refusal import Refusal, first_line

UNREADABLE = (MlflowException, OSError, ValueError, zipfile.BadZipFile)  # on another machine, or not what we wrote


def read_artifacts(study: str, uri: str, file: str) -> Iterator[tuple[str, dict[str, Any], Mapping[str, np.ndarray]]]:
    """Read the artifacts of every finished trial that was to keep some, in the order of keys.

    Args:
        study: the study's name.
        uri: of the MLflow store.
        file: the name of the artifact.

    Yields:
        Arm, the values of the trial by dotted key, its seed with them, and the arrays by name.

    Raises:
        Refusal: where the study is not there, or a file cannot be read from here.
    """
    store, experiment = find_study(study, uri)
    runs, _ = trial_runs(store, experiment)
    for key, run in sorted(runs.items()):
        recorded = recorded_of(run)
        if recorded.status != "finished" or not recorded.params.get("artifacts"):
            continue
        with TemporaryDirectory() as folder:
            try:
                path = Path(store.download_artifacts(run.info.run_id, file, folder))
                with np.load(path, allow_pickle=False) as arrays:
                    read = dict(arrays)
            except UNREADABLE as error:
                raise Refusal(
                    f"what trial {key.path} left behind cannot be read ({shown(first_line(error))}): run this where "
                    "the study ran"
                ) from error
        yield key.arm, recorded.params, read


def kept_name(place: str) -> str:
    """The name under which the code of a place is kept beside a search: files of one name in two folders are two.

    >>> kept_name("./mine.py"), kept_name("./v2/mine.py")
    ('mine.py', '1da4faf7/mine.py')
    """
    path = PurePosixPath(place)
    own = hashlib.blake2b(place.encode(), digest_size=4).hexdigest()
    return path.name if path.parent == PurePosixPath() else f"{own}/{path.name}"


def stored_code(study: str, uri: str) -> dict[str, str]:
    """Read, and do not run, the code of other people's that a recorded study names.

    Args:
        study: the study's name.
        uri: of the MLflow store.

    Returns:
        The text of every file that was kept beside its searches, by its name there (`kept_name`).

    Raises:
        Refusal: where a file cannot be read from here.
    """
    store, experiment = find_study(study, uri)
    texts: dict[str, str] = {}
    for search in runs_of(store, experiment, "search"):
        run = search.info.run_id
        beside = store.list_artifacts(run)
        below = [kept for folder in beside if folder.is_dir for kept in store.list_artifacts(run, folder.path)]
        for kept in (*beside, *below):
            if kept.path.endswith(".py") and kept.path not in texts:
                with TemporaryDirectory() as folder:
                    try:
                        path = Path(store.download_artifacts(run, kept.path, folder))
                        texts[kept.path] = path.read_text(encoding="utf-8")
                    except UNREADABLE as error:
                        why = shown(first_line(error))
                        raise Refusal(f"the stored code {kept.path} cannot be read ({why})") from error
    return texts
