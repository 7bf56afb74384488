"""Our own record as a table of tuning cost."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from study.plan.tasks import entry_of
from study.records import prices, rates
from study.records.drawn import with_drawn
from study.records.prices import GRADIENTS, Prices
from study.records.table import validated
from trainables.log_normal import LogNormal
from trainables.refusal import Refusal, unknown
from trainables.space import domain_of, ends

RECORDED = {"passes": "passes", "flops": "flops", "steps": "steps", "epochs": "epoch", "seconds": "seconds"}
UNITS = {**RECORDED, GRADIENTS: GRADIENTS}  # the last where a price was measured: no column of a record
TIMED = "seconds"  # the unit that no plan tells
BESIDE = "test_score", "arm", "run_id", "planned", "passes", "flops", "steps", "seconds", GRADIENTS


def of_record(
    record: pd.DataFrame,
    unit: str,
    searched: Mapping[str, Mapping[str, Any]] | None = None,
    same_points: Collection[str] = (),
    priced: Prices | None = None,
) -> pd.DataFrame:
    """The validated table of a record: its validation score is the score, an arm is a scheme.

    Args:
        record: as `study.tracking.read` gives it.
        unit: of the costs: passes (gradient equivalents, counted), gradients (the same, measured), flops, steps,
            epochs or seconds. A failed trial is charged for what it used.
        searched: by arm, as `study.records.material.Material` has it; None: nobody knows.
        same_points: arms that drew the same configurations as others of their scheme on other tasks.
        priced: measured prices of a step, by arm.

    Returns:
        The columns of `study.records.table`, and beside them `arm`, `run_id`, `planned`, the cost in every unit;
        `found`, the rate where the rule finds its own (`study.records.rates`); `dearest` and `dearest_passes` …, what
        each training was planned to cost; `same_points`, and where it is known what was drawn (`study.records.drawn`).

    Raises:
        Refusal: for a unit that is none, and for gradients where an arm's price was not measured.
    """
    if unit not in UNITS:
        raise unknown("unit", unit, UNITS)
    if unit == GRADIENTS:
        prices.refuse_unmeasured(record, priced or {})
    table = record
    if priced:  # joined, not assigned: pandas warns of a column more beside a hundred
        table = pd.concat([record, prices.in_gradients(record, priced).rename(GRADIENTS)], axis=1)
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
        "lr": rates.given(table).where(lambda lr: lr > 0),  # a rate of 0 has no logarithm
        "found": rates.found(table),
        "same_points": table["arm"].isin(list(same_points)),
    }
    planned = planned_costs(table, searched or {})
    named |= {"dearest": planned[unit], **{f"dearest_{name}": planned[name] for name in planned}}
    named |= {name: table[name] for name in BESIDE if name in table}
    made = validated(pd.DataFrame(named))
    return with_drawn(made, record, searched) if searched else made


def planned_costs(record: pd.DataFrame, searched: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The cost of every training had it run to its last epoch, at the pace of what it did; NaN where nobody knows.

    Where an arm searches its epochs, that is had it drawn the most of them.

    record: as `study.tracking.read` gives it.
    searched: the domains by arm.

    Returns:
        One column a unit, the same numbers on all rows of a training. Seconds have no plan.
    """
    units = {unit: name for unit, name in UNITS.items() if name in record}
    used: Any = record[list(units.values())].set_axis(list(units), axis=1).assign(**{TIMED: float("nan")})
    if "epochs" not in record:
        return used * float("nan")
    longest: Any = {arm: _longest(own["epochs"]) for arm, own in searched.items() if "epochs" in own}
    drawn: Any = pd.to_numeric(record["epochs"], errors="coerce")
    epochs = drawn.where(~record["arm"].isin(longest), record["arm"].map(longest))
    reached = record["epoch"].where(record["epoch"] > 0)
    keys = [record[name] for name in ("task", "arm", "repetition", "k", "seed_number")]
    return used.mul(epochs / reached, axis=0).groupby(keys).transform("last")


def _longest(domain: Any) -> float:
    """The most epochs that a searcher draws; NaN without an end, and of a domain of another version of this program."""
    try:
        found = domain_of(domain)
    except Refusal:
        return math.nan
    options: Any = (found.high,) if isinstance(found, LogNormal) else ends(found)
    most = max(map(float, options))
    return most if math.isfinite(most) else math.nan


def schemes(record: pd.DataFrame) -> pd.Series:
    """(rows,) the scheme of every row: its arm, without the name of the task where it ends in that."""
    pairs = record[["arm", "task"]].drop_duplicates()
    named = {(arm, task): entry_of(arm, task) for arm, task in pairs.itertuples(index=False)}
    return pd.Series([named[pair] for pair in zip(record["arm"], record["task"], strict=True)], index=record.index)
