"""The embedded store: one SQLite file, there whole or not at all."""

import os
import tempfile
from pathlib import Path

from trainables.refusal import Refusal

SCHEME = "sqlite:///"


def sqlite_file(uri: str) -> Path | None:
    """The file that an address names; none where it is a server's.

    >>> sqlite_file("sqlite:///mlflow.db?timeout=60"), sqlite_file("http://127.0.0.1:5000")
    (PosixPath('mlflow.db'), None)
    """
    return Path(uri.removeprefix(SCHEME).partition("?")[0]) if uri.startswith(SCHEME) else None


def refuse_missing(uri: str) -> None:
    """Refuse to read an embedded store whose file is not there."""
    file = sqlite_file(uri)
    if file and not file.exists():
        raise Refusal(f"no MLflow store at {file}: run a study here first, or name another store with --tracking-uri")


def make(uri: str) -> None:
    """Make the file of an embedded store, if it is not there, with MLflow's tables in it.

    MLflow makes them in many steps, seconds long, and cannot go on with the half of them that a killed process leaves.
    So they are made under another name, and the file gets its own when they are complete.
    """
    file = sqlite_file(uri)
    if file is None or file.exists():
        return
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=f"{file.name}-") as folder:
        new = Path(folder) / file.name
        make_tables(new)
        try:
            os.link(new, file)
        except FileExistsError:  # another process was faster
            pass
        except OSError:  # a file system without links
            new.replace(file)


def make_tables(file: Path) -> None:
    """Make a new file with MLflow's tables in it."""
    from mlflow import MlflowClient  # seconds, which a refusal need not wait

    MlflowClient(tracking_uri=f"{SCHEME}{file}").search_experiments(max_results=1)
