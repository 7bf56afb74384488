"""Other people's records, as tables: MLflow experiments and Optuna storages that we did not write."""

import shlex
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from study.records.statuses import STATUSES
from study.records.table import KNOWN, Given, given
from trainables.refusal import Refusal, unknown

SQLITE = "sqlite:///"
FILE = "file://"
MLFLOW = "MLflow store"
MIGRATION = "mlflow.store.fs2db"  # in an MLflow that reads its folders no more
MAGIC = b"SQLite format 3"


def mapping(pairs: tuple[str, ...]) -> dict[str, str]:
    """Our column → theirs, from words like `score=metrics.accuracy` and `task==digits`.

    >>> mapping(("score=metrics.accuracy", "task==digits"))
    {'score': 'metrics.accuracy', 'task': '=digits'}
    """
    columns = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or not theirs:
            raise Refusal(f"--column takes OURS=THEIRS, got {pair!r}")
        if ours not in KNOWN:
            raise unknown("column", ours, KNOWN)
        columns[ours] = theirs
    return columns


def of_steps(rows: pd.DataFrame, columns: Mapping[str, str]) -> Given:
    """The validated table of rows with a step each, as a tracker keeps them: what a trial costs is read off its steps.

    Steps that follow one another are epochs, counted from 1 where the first is 0; others are called steps, as they were
    logged. Where no trial tells more than step 0, each costs one trial.

    Args:
        rows: `step` is NaN where a trial told no score; `trial` says which rows belong together, `state` how it ended.
        columns: our name → theirs. What is mapped to `epoch` or `cost` stays.

    Raises:
        Refusal: where the table cannot be used, or a trial that finished has no step while others have.
    """
    if "epoch" in columns:
        return given(rows, columns)
    step: Any = rows["step"]
    status: Any = rows["state"].str.lower().map(STATUSES)
    if not step.fillna(0).any():
        return given(rows, columns)
    silent = step.isna() & (status == "finished")
    if silent.any() and "cost" not in columns:
        number = rows.loc[silent, "trial"].iloc[0]
        raise Refusal(f"trial {number} finished and told no step, as others did: say what it cost, --column cost=NAME")
    told: Any = rows.dropna(subset="step")
    gaps: Any = told.groupby("trial", sort=False)["step"].diff().dropna()
    gaps = gaps if len(gaps) else told["step"]
    one_by_one = gaps[gaps > 0].min() == 1
    first = 1 if one_by_one and (step == 0).any() else 0
    unit = None if "cost" in columns else "epochs" if one_by_one else "steps"
    table = given(rows.assign(step=(step + first).fillna(0)), {**columns, "epoch": "step"}, unit)
    unheard = int(step[table.table.index].isna().sum())
    note = f"trials that were lost before their first score, and so cost nothing here: {unheard}"
    return table._replace(notes=(*table.notes, note)) if unheard and "cost" not in columns else table


def refuse_other_file(uri: str, kind: str, holds: str) -> None:
    """Refuse the address of an SQLite file that is not there, or is not of that kind: reading it would make tables.

    Args:
        uri: as it was given.
        kind: of store, in words.
        holds: a table that such a store has.

    Raises:
        Refusal: in one line.
    """
    if Path(uri.removeprefix(FILE)).is_dir():
        raise Refusal(_of_folder(uri.removeprefix(FILE), kind))
    if "://" not in uri:
        raise Refusal(f"{uri!r} is no address: give --uri {SQLITE}{uri}")
    if not uri.startswith(SQLITE):
        return
    file = Path(uri.removeprefix(SQLITE))
    if not file.is_file():
        raise Refusal(f"there is no database {str(file)!r}: give --uri {SQLITE}FILE")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as reading:
            found = reading.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (holds,)).fetchone()
    except sqlite3.Error as error:
        raise Refusal(f"cannot read {str(file)!r}: {error}") from error
    if found is None:
        raise Refusal(f"{str(file)!r} is no {kind}: it lacks the table {holds!r}")


def _of_folder(folder: str, kind: str) -> str:
    """Advise on a folder that was given for a store; for MLflow's own, name its own tool."""
    database = f"{SQLITE}FILE"
    is_mlflows = any(found.name.isdigit() or found.name == "mlruns" for found in Path(folder).iterdir())
    if kind != MLFLOW or not is_mlflows or find_spec(MIGRATION) is None:
        return f"{folder!r} is a folder and no {kind}: give --uri {database}"
    return (
        f"{folder!r} is a folder of MLflow's file store, which MLflow reads no more: "
        f"`mlflow migrate-filestore --source {shlex.quote(folder)} --target {database}` copies it into a database; "
        f"then give --uri {database}"
    )
