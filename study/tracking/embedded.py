"""The embedded store: one SQLite file, there whole or not at all."""

import os
import tempfile
from pathlib import Path

from mlflow import MlflowClient

SCHEME = "sqlite:///"


def file_of(uri: str) -> Path | None:
    """The file that an address names; none where it is a server's.

    >>> file_of("sqlite:///mlflow.db"), file_of("http://127.0.0.1:5000")
    (PosixPath('mlflow.db'), None)
    """
    return Path(uri.removeprefix(SCHEME)) if uri.startswith(SCHEME) else None


def make(uri: str) -> None:
    """Make the file of an embedded store, if it is not there, with MLflow's tables in it.

    MLflow makes them in many steps, seconds long, and cannot go on with the half of them that a killed process leaves.
    So they are made under another name, and the file gets its own when they are complete.
    """
    file = file_of(uri)
    if file is None or file.exists():
        return
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f"{file.name}-") as folder:
        new = Path(folder) / file.name
        MlflowClient(tracking_uri=f"{SCHEME}{new}").search_experiments(max_results=1)
        try:
            os.link(new, file)
        except FileExistsError:  # another process was faster
            pass
        except OSError:  # a file system without links
            new.replace(file)
