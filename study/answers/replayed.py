"""What replayed searches say: tuning cost, the best of a budget, and the saving, each with an interval."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from study.answers.results import Quantity

Floats = NDArray[np.float64]
TAIL = 2.5  # percent, on either side of a 95 % interval


class Found(NamedTuple):
    """What one search came to."""

    reached: bool
    trials: int  # up to the first that reached the target, or all
    cost: float  # up to the target, or of all
    best: float  # the best score of its whole budget; higher is better
    spent: float  # what the whole budget cost


class Replayed(NamedTuple):
    """One arm's searches; scores in the task's own sense."""

    arm: str
    searches: int
    reached: int
    trials: Quantity  # to the target, searches repeated until one reaches it
    cost: Quantity  # likewise
    best: Quantity  # of the whole budget
    saving: Quantity  # the baseline's cost over this arm's


def answered(
    found: dict[str, Sequence[Sequence[Found]]], baseline: str, sign: int, unit: str, *, raced: bool
) -> list[Replayed]:
    """The answers of all arms, `found` group by group; `raced` where there was a target.

    A search that misses is followed by another, so the cost to the target is Σ cost / number of searches that
    reached it (the expected running time of Auger & Hansen 2005, CEC, eq. 1); the group is what intervals resample.
    """
    cost = {arm: np.array([expected_cost(group, "cost") for group in groups]) for arm, groups in found.items()}
    whole = {arm: expected_cost([one for group in groups for one in group], "cost") for arm, groups in found.items()}
    rows: list[Replayed] = []
    for arm, groups in found.items():
        every = [one for group in groups for one in group]
        trials = np.array([expected_cost(group, "trials") for group in groups])
        tops = np.array([sum(one.best for one in group) / len(group) for group in groups])
        saving = Quantity(unit="×")
        if raced and arm != baseline:
            with np.errstate(invalid="ignore", divide="ignore"):
                saving = _quantity(whole[baseline] / whole[arm], cost[baseline] / cost[arm], "×")
        nothing = Quantity(unit=unit)
        rows.append(
            Replayed(
                arm,
                len(every),
                sum(one.reached for one in every),
                _quantity(expected_cost(every, "trials"), trials, "trials") if raced else nothing,
                _quantity(whole[arm], cost[arm], unit) if raced else nothing,
                _quantity(sign * float(np.mean([one.best for one in every])), sign * tops, "score"),
                saving,
            )
        )
    return rows


def expected_cost(group: Sequence[Found], what: str) -> float:
    """Σ cost / number of searches that reached the target; infinite where none did.

    >>> expected_cost([Found(True, 2, 20.0, 0.9, 80.0), Found(False, 8, 80.0, 0.5, 80.0)], "cost")
    100.0
    """
    reached = sum(one.reached for one in group)
    return sum(float(getattr(one, what)) for one in group) / reached if reached else np.inf


def _quantity(estimate: float, draws: Floats, unit: str) -> Quantity:
    """The outer quantiles of the groups' answers; an infinite one is given by an order statistic, never by a mean."""
    known = draws[~np.isnan(draws)]
    if np.isnan(estimate) or not known.size:
        return Quantity(unit=unit)
    low = float(np.percentile(known, TAIL, method="lower"))
    high = float(np.percentile(known, 100 - TAIL, method="higher"))
    ends = min(low, estimate), max(high, estimate)
    if np.isinf(estimate):
        return Quantity(None, None, None, unit=unit)
    return Quantity(estimate, ends[0], None if np.isinf(ends[1]) else ends[1], unit=unit)
