"""Other people's tables: given our column names, and refused with row and column where they are bad."""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from study.records.statuses import in_our_words, of_trainings
from trainables.refusal import Refusal, unknown

REQUIRED = "task", "scheme", "trial", "score"
NUMBERS = "score", "epoch", "cost", "lr", "test_score"
OPTIONAL = "repetition", "seed", "epoch", "cost", "lr", "status", "test_score", "searcher"
KNOWN = (*REQUIRED, *OPTIONAL)
KEY = "task", "scheme", "repetition", "trial", "seed"
MISSING = ["", "nan", "NaN", "NAN", "null", "None", "NA", "N/A"]
DURATION = r"(\d+ days?,? )?\d+:\d\d:\d\d(\.\d+)?"  # as pandas and Python write a timedelta
ALSO = {"state": "status"}  # what others call a column of ours
SECONDS = "seconds"
ALIKE = 0.8  # how near a column's name must be to one of ours for a remark that it is not used


class Given(NamedTuple):
    """A validated table, and what is to be said of it beside its rows."""

    table: pd.DataFrame
    notes: tuple[str, ...] = ()
    unit: str | None = None  # what its costs are counted in; None where the table does not say


def given(raw: pd.DataFrame, columns: Mapping[str, str], unit: str | None = None) -> Given:
    """A table under our names, validated, without the trials that nobody can count.

    Left out, and said so, are trials that still run, and those that were lost before they were given a scheme.

    Args:
        raw: the table as it was read; its index means nothing.
        columns: our name → its name, or `=text` (constant).
        unit: what its costs are counted in.

    Raises:
        Refusal: with row and column (the first data row is row 1), where the table cannot be used.
    """
    table: Any = renamed(raw, columns)
    notes = [*_unused(raw, table, columns)]
    if "status" in table:
        table = table.assign(status=of_trainings(table, [name for name in KEY if name in table]))
        of_trial = [table[name] for name in _trial(table)]
        running = (table["status"] == "running").groupby(of_trial, dropna=False).transform("any")
        nameless = ~running & ~table["status"].isin(["finished", "stopped"]) & _nameless(table)
        notes += _left_out(table[running], "they are still running")
        notes += _left_out(table[nameless], "they were lost before they were given a scheme")
        table = table[~running & ~nameless]
        if table.empty:
            raise Refusal("the table has no trial that has ended")
    if "cost" in table and (seconds := _seconds(pd.Series(table["cost"]))) is not None:
        table, unit = table.assign(cost=seconds), unit or SECONDS
    table, changed = _with_first_rates(validated(table))
    return Given(table, (*notes, *changed), unit)


def renamed(raw: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    """The columns of a table under our names: each mapped one, and every other that is called as ours are.

    Args:
        raw: the table as it was read; its index means nothing.
        columns: our name → its name, or `=text` (constant).

    Raises:
        Refusal: for a column that is not there, and for a needed one that is not mapped.
    """
    raw = raw.reset_index(drop=True)
    table: dict[str, Any] = {ours: raw[theirs] for ours, theirs in called_ours(raw.columns, columns).items()}
    for ours, theirs in columns.items():
        if ours not in KNOWN:
            raise unknown("column", ours, KNOWN)
        if theirs.startswith("="):
            table[ours] = theirs[1:]
        elif theirs in raw.columns:
            table[ours] = raw[theirs]
        else:
            line = unknown("column", theirs, map(str, raw.columns))
            raise Refusal(f"{line}; {ours}=={theirs} is that word in all rows")
    missing = [name for name in REQUIRED if name not in table]
    if missing:
        has = ", ".join(map(str, raw.columns))
        raise Refusal(
            f"the table lacks the column {missing[0]!r} (it has: {has}): map one with --column {missing[0]}=NAME, "
            f"or say --column {missing[0]}==WORD, the same in all rows"
        )
    return pd.DataFrame(table, index=raw.index)


def called_ours(names: Iterable[object], columns: Mapping[str, str]) -> dict[str, Any]:
    """Our name → theirs, for every column that has one of our names in any case and is not mapped.

    Args:
        names: the columns of a table.
        columns: those that are mapped already, by our name.

    Raises:
        Refusal: where two columns have the same of our names.

    >>> called_ours(["Task", "scheme", "Test Score", "cost.1"], {"scheme": "name"})
    {'task': 'Task', 'test_score': 'Test Score'}
    """
    found: dict[str, Any] = {}
    for theirs in names:
        ours = _plain(theirs)
        if ours not in KNOWN or ours in columns:
            continue
        if ours in found:
            raise Refusal(f"two columns are called {ours!r}, {found[ours]!r} and {theirs!r}: rename one")
        found[ours] = theirs
    return found


def validated(table: pd.DataFrame) -> pd.DataFrame:
    """The same table with numbers as floats and statuses in our words; refused where it cannot be used."""
    if table.empty:
        raise Refusal("the table has no rows")
    table = table.copy()
    for name in NUMBERS:
        if name in table:
            table[name] = _numbers(pd.Series(table[name]))
    crashed = "must be there, of a run that crashed what it used, or the column must have another name"
    for name in ("cost", "epoch"):
        _refuse(table, name, np.isnan, crashed)
        _refuse(table, name, lambda number: ~np.isfinite(number) | (number < 0), "must be finite and not negative")
    _refuse(table, "lr", lambda lr: ~np.isnan(lr) & (~np.isfinite(lr) | (lr <= 0)), "must be positive")
    for name in KEY:
        if name in table:
            _refuse(table, name, _blank, "must not be empty")
            _refuse(table, name, _unprintable, "must be text that can be printed")
    if "status" in table:
        table["status"] = in_our_words(pd.Series(table["status"]))
    _refuse_duplicates(table)
    return table


def _plain(name: object) -> str:
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def _unused(raw: pd.DataFrame, table: pd.DataFrame, columns: Mapping[str, str]) -> list[str]:
    """Remarks on columns that are called nearly as ours are, and are none of ours."""
    free = [name for name in OPTIONAL if name not in table]
    others = [str(name) for name in raw.columns if name not in columns.values() and _plain(name) not in KNOWN]
    near = {name: get_close_matches(ALSO.get(_plain(name), _plain(name)), free, 1, ALIKE) for name in others}
    return [
        f"the column {name!r} is not used: --column {ours[0]}={name} takes it" for name, ours in near.items() if ours
    ]


def _trial(table: pd.DataFrame) -> list[str]:
    """The columns that tell trials apart."""
    return [name for name in KEY if name in table and name != "seed"]


def _nameless(table: Any) -> Any:
    """The rows that lack the name of a task or a scheme."""
    return _blank(table["task"]) | _blank(table["scheme"])


def _left_out(rows: Any, why: str) -> list[str]:
    number = len(rows[_trial(rows)].drop_duplicates())
    return [f"trials left out, because {why}: {number}"] if number else []


def _seconds(values: pd.Series) -> pd.Series | None:
    """The seconds of a column of durations; None where it is none."""
    if values.dtype.kind == "m":
        return values.dt.total_seconds()
    text: Any = values.dropna().astype(str)
    told = text[~text.str.strip().isin(MISSING)].str.strip()
    if told.empty or not told.str.fullmatch(DURATION).all():
        return None
    return pd.to_timedelta(told.str.replace(",", "")).dt.total_seconds().reindex(values.index)


def _numbers(values: pd.Series) -> pd.Series:
    """The column as floats; the first value that is text is refused."""
    if values.dtype.kind in "mM":
        raise Refusal(f"row {values.index[0] + 1}, column {values.name!r}: {values.iloc[0]} is not a number")
    if values.dtype == bool or values.dtype.kind not in "fiu":
        numbers = pd.Series(pd.to_numeric(values, errors="coerce"))
        said = values.notna() & ~values.astype(str).str.strip().isin([*MISSING, "nan", "<NA>"])
        text = np.flatnonzero((numbers.isna() & said).to_numpy())
        if text.size:
            row, value = values.index[text[0]] + 1, values.iloc[text[0]]
            raise Refusal(f"row {row}, column {values.name!r}: {value!r} is not a number")
        values = numbers
    return values.astype(float)


def _blank(values: pd.Series) -> Any:
    return (values.isna() | (values == "")).to_numpy()


def _unprintable(values: pd.Series) -> Any:
    codes, names = pd.factorize(values)
    return np.array([isinstance(name, str) and not name.isprintable() for name in names], dtype=bool)[codes]


def _with_first_rates(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table with one rate a training, the first; and a remark where a schedule moved it."""
    if "lr" not in table or "epoch" not in table:
        return table, []
    keys = [name for name in KEY if name in table]
    rates: Any = table.sort_values("epoch", kind="stable").groupby(keys, sort=False)["lr"]
    moved = int((rates.nunique() > 1).sum())
    if not moved:
        return table, []
    note = f"trials whose lr changes from row to row: {moved}; the first counts, as the rate that they were given"
    return table.assign(lr=rates.transform("first")), [note]


def _refuse(table: pd.DataFrame, name: str, bad: Callable[[Any], Any], why: str) -> None:
    if name in table:
        rows = np.flatnonzero(bad(table[name]))
        if rows.size:
            value = table[name].iloc[rows[0]]
            shown = f"{value:g}" if isinstance(value, float) else repr(value)
            raise Refusal(f"row {table.index[rows[0]] + 1}, column {name!r}: {name} {why}, got {shown}")


def _refuse_duplicates(table: pd.DataFrame) -> None:
    key = [name for name in (*KEY, "epoch") if name in table]
    again = np.flatnonzero(table.duplicated(key).to_numpy())
    if again.size:
        row = table.iloc[again[0]]
        what = ", ".join(f"{name}={row[name]}" for name in key)
        column = "epoch" if "epoch" in table else "trial"
        raise Refusal(f"row {table.index[again[0]] + 1}, column {column!r}: a second row for {what}")
