"""Other people's tables in files: CSV, checked field by field, and Parquet."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet

from study.records.table import MISSING, NUMBERS, Given, called_ours, given
from trainables.refusal import Refusal, first_line

SEPARATORS = {";": "';'", "\t": "a tab", "|": "'|'"}
TEXT = "task", "scheme", "status", "searcher"
ENCODING = "utf-8-sig"  # as spreadsheets write it, with or without their mark at the beginning


def read_table(path: str | Path, columns: Mapping[str, str] | None = None) -> Given:
    """The validated table in a CSV or Parquet file.

    Args:
        path: the file; its suffix says which it is.
        columns: our name → its name, or `=text` (constant).

    Raises:
        Refusal: in one line, with row and column where there is one: the first data row is row 1.
    """
    path = Path(path)
    if not path.is_file():
        raise Refusal(f"there is no table {str(path)!r}: give a .csv or .parquet file, mlflow:… or optuna:…")
    if path.suffix not in (".csv", ".parquet"):
        raise Refusal(f"cannot read {str(path)!r}: a table ends in .csv or .parquet")
    try:
        raw = _parquet(path) if path.suffix == ".parquet" else _csv(path, columns or {})
    except Refusal:
        raise
    except (ValueError, OSError, csv.Error, NotImplementedError) as error:  # as pandas and pyarrow raise them
        raise Refusal(f"cannot read {str(path)!r}: {first_line(error)}") from error
    return given(raw, columns or {})


def columns_of(path: Path) -> list[str]:
    """The names of a file's columns; none where it cannot be read: `read` says why."""
    try:
        if path.suffix == ".parquet":
            return pyarrow.parquet.read_schema(path).names
        with path.open(newline="", encoding=ENCODING) as file:
            return next(csv.reader(file), [])
    except (ValueError, OSError, csv.Error):
        return []


def _parquet(path: Path) -> pd.DataFrame:
    """The columns of the file; an index is one where it has a name."""
    raw = pd.read_parquet(path)
    named = [name for name in raw.index.names if name is not None and name not in raw.columns]
    return raw.assign(**{str(name): raw.index.get_level_values(name) for name in named})


def _csv(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Numbers may be missing; names are text, so that a scheme may be called `None` or `NA`."""
    head = _checked(path)
    ours = {**called_ours(head, columns), **columns}
    for theirs in ours.values():
        if head.count(theirs) > 1:
            raise Refusal(f"two columns are called {theirs!r}: rename one")
    missing: Any = {ours[name]: MISSING for name in NUMBERS if ours.get(name) in head}
    types: Any = {ours[name]: str for name in TEXT if ours.get(name) in head}
    return pd.read_csv(path, keep_default_na=False, na_values=missing, dtype=types, low_memory=False, encoding=ENCODING)


def _checked(path: Path) -> list[str]:
    """The names of the columns; refused where a row has more fields than they are, or fewer."""
    with path.open(newline="", encoding=ENCODING) as file:
        rows = (fields for fields in csv.reader(file) if len(fields) > 1 or "".join(fields).strip())
        head = next(rows, [])
        _refuse_separator(head)
        for row, fields in enumerate(rows, 1):
            if len(fields) != len(head):
                raise Refusal(f"row {row} has {len(fields)} fields, and there are {len(head)} columns")
    return head


def _refuse_separator(head: list[str]) -> None:
    """Spreadsheets save with other separators than commas, and some say so in a first line, as in `sep=;`."""
    if head and head[0].lower().startswith("sep="):
        raise Refusal(f"the first line, {','.join(head)!r}, is no header: delete it, and save the table with commas")
    seen = [name for separator, name in SEPARATORS.items() if len(head) == 1 and separator in head[0]]
    if seen:
        raise Refusal(f"the separator looks like {seen[0]}: save the table with commas, and numbers with points")
