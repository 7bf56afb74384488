"""Our own record as a table of tuning cost."""

from typing import Any

import pandas as pd

from study.plan.tasks import label
from study.records.table import validated
from trainables.refusal import Refusal, unknown

UNITS = {"passes": "passes", "flops": "flops", "steps": "steps", "epochs": "epoch", "seconds": "seconds"}
RATES = "scheme.lr", "optimizer.lr"  # a composed rule's learning rate, and a packaged optimizer's


def read_own(study: str, uri: str, unit: str | None) -> pd.DataFrame:
    """The validated table of a recorded study: see `of_record`."""
    from study.tracking import read

    return of_record(read(study, uri), unit or "passes")


def of_record(record: pd.DataFrame, unit: str) -> pd.DataFrame:
    """The validated table of a record as `study.tracking.read` gives it: its validation score is the score.

    Costs are in `unit`, one of passes (gradient equivalents, the default), flops, steps, epochs and seconds. Trials
    that are still open are left out; a failed trial is charged for what it used.
    """
    if unit not in UNITS:
        raise unknown("unit", unit, UNITS)
    table = ended(record)
    if table.empty:
        raise Refusal("no trial of this study has ended yet")
    named = {
        "task": table["task"],
        "scheme": schemes(table),
        "repetition": table["repetition"],
        "trial": table["k"],
        "seed": table["seed_number"],
        "epoch": table["epoch"],
        "score": table["valid_score"],
        "cost": table[UNITS[unit]],
        "status": table["status"],
        "searcher": table["searcher"],
        "lr": learning_rates(table),
    }
    if "test_score" in table:
        named["test_score"] = table["test_score"]
    return validated(pd.DataFrame(named))


def ended(record: pd.DataFrame) -> pd.DataFrame:
    """The rows of trials that have ended, however they did."""
    kept: Any = record[record["status"] != "running"] if len(record) else record
    return kept


def schemes(record: pd.DataFrame) -> pd.Series:
    """An arm is a scheme; an arm called SCHEME-TASK is that scheme on that task, the same as on any other."""
    pairs = record[["arm", "task"]].drop_duplicates()
    named = {(arm, task): scheme_of(arm, task) for arm, task in pairs.itertuples(index=False)}
    return pd.Series([named[pair] for pair in zip(record["arm"], record["task"], strict=True)], index=record.index)


def scheme_of(arm: str, task: str) -> str:
    """The scheme that an arm tries.

    >>> scheme_of("adam-digits_mlp", "digits_mlp"), scheme_of("adam", "digits_mlp")
    ('adam', 'adam')
    >>> scheme_of("adam-Ring", "./my_task.py:Ring")
    'adam'
    """
    return arm.removesuffix(f"-{label(task)}") or arm


def learning_rates(record: pd.DataFrame) -> pd.Series:
    """The learning rate that each trial was given; NaN where it has none."""
    rates = pd.Series(float("nan"), index=record.index, dtype=float)
    for name in RATES:
        if name in record:
            given: Any = pd.to_numeric(record[name], errors="coerce")
            rates = rates.fillna(given.astype(float))
    return rates
