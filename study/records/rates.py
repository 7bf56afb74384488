"""The learning rates of trials: those that they were given, those that they used, and those that their rules found."""

from typing import Any

import pandas as pd

from trainables.rates import RATES, SIDES

MAIN = "", SIDES[0]  # in front of the keys of the rule whose rate a record tells: a split's is that of its first side
TRIAL = "task", "arm", "repetition", "k"


def given(record: pd.DataFrame) -> pd.Series:
    """(rows,) the learning rate that each trial was given; NaN where it has none."""
    return _first(record, [side + rate for side in ("", *SIDES) for rate in RATES])


def used(record: pd.DataFrame) -> pd.Series:
    """(rows,) the rate of the step before each record: the base rate × the mean scale."""
    base: Any = record["lr"].astype(float)
    return base * record["scale"].fillna(1.0) if "scale" in record else base


def found(record: pd.DataFrame) -> pd.Series:
    """(rows,) the rate that each trial's rule found: the median of those that the trial used, over all its records.

    A rule finds its rate where it is given none (curvature, Polyak's step, Mechanic), and where its optimizer says so
    (`finds_rate`): what is called lr there is a factor of it, and says nothing. A median, because such a rate begins
    orders of magnitude below, and ends at 0 under a schedule. NaN for every other rule: what it is given is its rate,
    under a schedule the highest. So it is for optimizers that are named by their class, whose code a report never runs.
    """
    finds = _first(record, [side + rate for side in MAIN for rate in RATES]).isna()
    for name in (f"{side}optimizer" for side in MAIN):
        if name in record:
            from trainables.optimizers import finders  # here, because torch takes a second that others do not need

            finds |= record[name].isin(list(finders()))
    middle: Any = used(record).where(finds).groupby([record[name] for name in TRIAL]).transform("median")
    return middle.where((middle > 0) & (middle < float("inf")))


def _first(record: pd.DataFrame, names: list[str]) -> pd.Series:
    """The first of some columns that has a number, row by row."""
    rates = pd.Series(float("nan"), index=record.index, dtype=float)
    for name in names:
        if name in record:
            numbers: Any = pd.to_numeric(record[name], errors="coerce")
            rates = rates.fillna(numbers.astype(float))
    return rates
