"""Records over time of the best configuration of every scheme."""

from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd

from trainables.trial import Record

ALWAYS = ["train_loss", "valid_score"]
ELSEWHERE = {"scale"}  # it is part of the rate, which has a figure of its own
COLUMNS = ["task", "scheme", "quantity", "epoch", "low", "median", "high"]


def bands(record: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """One row a (scheme, quantity, record): epoch, and the seeds' lowest, median and highest value.

    What is not finite is left out, and so is a quantity that is told once.

    Args:
        record: the rows of one task.
        best: the best trial of every scheme, columns scheme, arm, repetition, trial; all seeds of its configuration
            count.
    """
    wanted: Any = best.rename(columns={"trial": "k"})[["scheme", "arm", "repetition", "k"]]
    here = record.drop(columns="scheme", errors="ignore").merge(wanted, on=["arm", "repetition", "k"])
    found = [_of_quantity(here, name) for name in quantities(here)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=COLUMNS)


def quantities(record: pd.DataFrame) -> list[str]:
    """Loss and score, and what schemes and tasks add to `Record`, in the order of the columns."""
    own = {entry.name for entry in fields(Record)} | ELSEWHERE
    after = list(record.columns)[list(record.columns).index("record") + 1 :]
    added = [name for name in after if name not in own and pd.api.types.is_numeric_dtype(record[name])]
    trials: Any = record.groupby(["arm", "repetition", "k", "seed_number"])
    return [*ALWAYS, *(name for name in added if trials[name].count().max() > 1)]


def _of_quantity(here: pd.DataFrame, name: str) -> pd.DataFrame:
    known: Any = here[["task", "scheme", "record", "epoch"]].assign(value=here[name].astype(float))
    groups = known[np.isfinite(known["value"])].groupby(["task", "scheme", "record"])
    value, made = groups["value"], groups["epoch"].median().reset_index()
    spread = {"low": value.min(), "median": value.median(), "high": value.max()}
    made = made.assign(quantity=name, **{column: found.to_numpy() for column, found in spread.items()})
    return made[COLUMNS]
