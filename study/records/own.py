"""Our own record as a table of tuning cost."""

from typing import Any

import pandas as pd

from study.plan.tasks import label
from study.records.table import validated
from trainables.refusal import unknown

UNITS = {"passes": "passes", "flops": "flops", "steps": "steps", "epochs": "epoch", "seconds": "seconds"}
BESIDE = "test_score", "arm", "run_id", "planned", "passes", "flops", "steps", "seconds"
RATES = "scheme.lr", "optimizer.lr"  # a composed rule's learning rate, and a packaged optimizer's


def of_record(record: pd.DataFrame, unit: str) -> pd.DataFrame:
    """The validated table of a record: its validation score is the score, an arm is a scheme.

    Args:
        record: as `study.tracking.read` gives it.
        unit: of the costs: passes (gradient equivalents), flops, steps, epochs or seconds. A failed trial is charged
            for what it used.

    Returns:
        The columns of `study.records.table`, and beside them `arm`, `run_id`, `planned` and the cost in every unit.

    Raises:
        Refusal: for a unit that is none.
    """
    if unit not in UNITS:
        raise unknown("unit", unit, UNITS)
    table = record
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
    named |= {name: table[name] for name in BESIDE if name in table}
    return validated(pd.DataFrame(named))


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
