"""Errors of failed trials: every distinct one of a record with the number of trials it ended."""

from typing import Any, NamedTuple

import pandas as pd

from study.plan.key import Key

UNTOLD = "no error was recorded"
SHOWN = 5  # distinct errors; more are counted


class Failure(NamedTuple):
    """One error, and the trainings that it ended."""

    error: str
    number: int
    arms: list[str]


def failures(record: pd.DataFrame) -> list[Failure]:
    """Every distinct error of a record, the most frequent first; none where no training failed."""
    rows = _failed(record)
    found: dict[str, list[str]] = {}
    for row in rows.to_dict("records"):
        told = row.get("error")
        found.setdefault(told if isinstance(told, str) and told else UNTOLD, []).append(str(row["arm"]))
    every = [Failure(error, len(arms), list(dict.fromkeys(arms))) for error, arms in found.items()]
    return sorted(every, key=lambda failure: -failure.number)


def all_failed(record: pd.DataFrame) -> bool:
    """Tell a record in which trainings ended, and every one of them failed."""
    return bool(len(record)) and bool((record["status"] == "failed").all())


def failure_lines(record: pd.DataFrame) -> list[str]:
    """Lines about failures: how many trainings failed, then one an error; none where none did.

    >>> rows = {"study": "s", "arm": "a", "repetition": 0, "k": [0, 1], "seed_number": 0}
    >>> failure_lines(pd.DataFrame({**rows, "status": ["failed", "finished"], "error": ["KeyError: 'x'", ""]}))
    ['1 of 2 trainings failed:', "1 × KeyError: 'x' (arm a)"]
    """
    every = failures(record)
    if not every:
        return []
    count, num_trainings = sum(failure.number for failure in every), len(_trainings(record))
    lines = [f"{count} of {num_trainings} trainings failed:"]
    for error, number, arms in every[:SHOWN]:
        where = f"arm{'s' if len(arms) > 1 else ''} {', '.join(arms[:SHOWN])}{' …' if len(arms) > SHOWN else ''}"
        lines.append(f"{number} × {error} ({where})")
    more = every[SHOWN:]
    return [*lines, *([f"{sum(failure.number for failure in more)} × {len(more)} other errors"] if more else [])]


def _failed(record: pd.DataFrame) -> pd.DataFrame:
    rows = _trainings(record)
    failed: Any = rows[rows["status"] == "failed"] if len(rows) else rows
    return failed


def _trainings(record: pd.DataFrame) -> pd.DataFrame:
    """The last row of every training."""
    names = [name for name in Key._fields if name in record]
    return record.drop_duplicates(names, keep="last") if len(record) else record
