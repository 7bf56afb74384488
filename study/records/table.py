"""Other people's tables: read, given our column names, and refused with row and column where they are bad."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from trainables.refusal import Refusal, first_line, unknown

REQUIRED = "task", "scheme", "trial", "score"
NUMBERS = "score", "epoch", "cost", "lr", "test_score"
OPTIONAL = "repetition", "seed", "epoch", "cost", "lr", "status", "test_score", "searcher"
KEY = "task", "scheme", "repetition", "trial", "seed"
STATUSES = {
    "finished": "finished", "complete": "finished", "completed": "finished", "ok": "finished", "": "finished",
    "diverged": "diverged", "failed": "diverged", "fail": "diverged",
    "stopped": "stopped", "pruned": "stopped", "killed": "stopped",
}  # fmt: skip
"""What a status means: a failed trial missed, at what it used; a stopped one was cut short by a rule."""
MISSING = ["", "nan", "NaN", "NAN", "null", "None", "NA", "N/A"]


def read(path: str | Path, columns: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The validated table in a CSV or Parquet file. columns: our name → its name, or `=text` (constant).

    Raises Refusal with row and column: the first data row is row 1.
    """
    path = Path(path)
    if not path.is_file():
        raise Refusal(f"there is no table {str(path)!r}: give a .csv or .parquet file, mlflow:… or optuna:…")
    if path.suffix not in (".csv", ".parquet"):
        raise Refusal(f"cannot read {str(path)!r}: a table ends in .csv or .parquet")
    try:
        raw = pd.read_parquet(path) if path.suffix == ".parquet" else _read_csv(path, columns or {})
    except (ValueError, OSError) as error:  # what pandas and pyarrow raise are ValueErrors
        raise Refusal(f"cannot read {str(path)!r}: {first_line(error)}") from error
    return validated(renamed(raw, columns or {}))


def renamed(raw: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """The table under our names: each mapped column, and every other that already has one of them."""
    known = (*REQUIRED, *OPTIONAL)
    table: dict[str, Any] = {name: raw[name] for name in known if name in raw.columns}
    for ours, theirs in columns.items():
        if ours not in known:
            raise unknown("column", ours, known)
        if theirs.startswith("="):
            table[ours] = theirs[1:]
        elif theirs in raw.columns:
            table[ours] = raw[theirs]
        else:
            raise unknown("column", theirs, map(str, raw.columns))
    missing = [name for name in REQUIRED if name not in table]
    if missing:
        has = ", ".join(map(str, raw.columns))
        raise Refusal(
            f"the table lacks the column {missing[0]!r} (it has: {has}): map one with --column {missing[0]}=NAME"
        )
    return pd.DataFrame(table, index=pd.RangeIndex(len(raw)))


def validated(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with numbers as floats and statuses in our words; refused where it cannot be used."""
    if table.empty:
        raise Refusal("the table has no rows")
    table = table.copy()
    for name in (*NUMBERS,):
        if name in table:
            table[name] = _numbers(pd.Series(table[name]))
    _refuse(table, "cost", lambda c: ~np.isfinite(c) | (c < 0), "must be finite and not negative")
    _refuse(table, "epoch", lambda e: ~np.isfinite(e) | (e < 0), "must be finite and not negative")
    _refuse(table, "lr", lambda lr: ~np.isnan(lr) & (~np.isfinite(lr) | (lr <= 0)), "must be positive")
    for name in KEY:
        if name in table:
            _refuse(table, name, _blank, "must not be empty")
            _refuse(table, name, _unprintable, "must be text that can be printed")
    if "status" in table:
        table["status"] = _statuses(pd.Series(table["status"]))
    _refuse_duplicates(table)
    return table


def _read_csv(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Numbers may be missing; names are text, so that a scheme may be called `None` or `NA`."""
    numbers = {columns.get(name, name) for name in NUMBERS}
    head = pd.read_csv(path, nrows=0).columns
    missing: Any = {name: MISSING for name in head if name in numbers}
    text = {columns.get(name, name): str for name in ("task", "scheme", "status", "searcher")}
    types: Any = {name: kind for name, kind in text.items() if name in head}
    return pd.read_csv(path, keep_default_na=False, na_values=missing, dtype=types, low_memory=False)


def _numbers(values: pd.Series) -> pd.Series:
    """The column as floats; the first value that is text is refused."""
    if values.dtype == bool or values.dtype.kind not in "fiu":
        numbers = pd.Series(pd.to_numeric(values, errors="coerce"))
        said = values.notna() & ~values.astype(str).str.strip().isin([*MISSING, "nan", "<NA>"])
        text = np.flatnonzero((numbers.isna() & said).to_numpy())
        if text.size:
            raise Refusal(f"row {text[0] + 1}, column {values.name!r}: {values.iloc[text[0]]!r} is not a number")
        values = numbers
    return values.astype(float)


def _blank(values: pd.Series) -> Any:
    return (values.isna() | (values == "")).to_numpy()


def _unprintable(values: pd.Series) -> Any:
    codes, names = pd.factorize(values)
    return np.array([isinstance(name, str) and not name.isprintable() for name in names], dtype=bool)[codes]


def _statuses(values: pd.Series) -> pd.Series:
    lower = values.fillna("").astype(str).str.strip().str.lower()
    codes, names = pd.factorize(lower)
    strange = [name for name in names if name not in STATUSES]
    if strange:
        row = int(np.flatnonzero((lower == strange[0]).to_numpy())[0])
        raise Refusal(f"row {row + 1}, column 'status': {unknown('status', strange[0], filter(None, STATUSES))}")
    return pd.Series(np.array([STATUSES[name] for name in names])[codes], index=values.index)


def _refuse(table: pd.DataFrame, name: str, bad: Callable[[Any], Any], why: str) -> None:
    if name in table:
        rows = np.flatnonzero(bad(table[name]))
        if rows.size:
            value = table[name].iloc[rows[0]]
            shown = f"{value:g}" if isinstance(value, float) else repr(value)
            raise Refusal(f"row {rows[0] + 1}, column {name!r}: {name} {why}, got {shown}")


def _refuse_duplicates(table: pd.DataFrame) -> None:
    key = [name for name in (*KEY, "epoch") if name in table]
    again = np.flatnonzero(table.duplicated(key).to_numpy())
    if again.size:
        row = table.iloc[again[0]]
        what = ", ".join(f"{name}={row[name]}" for name in key)
        column = "epoch" if "epoch" in table else "trial"
        raise Refusal(f"row {again[0] + 1}, column {column!r}: a second row for {what}")
