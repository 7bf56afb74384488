"""Answers of replayed searches: tuning cost, the best of a budget, the share of the baseline's, with intervals."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from study import cost
from study.answers.results import Quantity
from study.cost import Cost, NotDefined

Floats = NDArray[np.float64]
TAIL = 2.5  # percent, on either side of a 95 % interval


class Found(NamedTuple):
    """The outcome of one search."""

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
    share: Quantity  # this arm's cost over the baseline's


def replay_answers(
    found: dict[str, Sequence[Sequence[Found]]], baseline: str, sign: int, unit: str, *, raced: bool
) -> list[Replayed]:
    """The answers of all arms, with intervals.

    A search that misses is followed by another, so the cost to the target is Σ cost / number of searches that
    reached it (the expected running time of Auger & Hansen 2005, CEC, eq. 1); the group is what intervals resample.

    Args:
        found: the outcomes of every arm's searches, group by group.
        baseline: the arm that shares are of.
        sign: 1 where higher scores are better, −1 where lower ones are.
        unit: of the costs.
        raced: whether there was a target.

    Returns:
        One entry an arm, in the order of `found`; without a target costs and shares are empty.
    """
    paid = {arm: [cost_to_target(group, "cost") for group in groups] for arm, groups in found.items()}
    whole = {arm: cost_to_target([one for group in groups for one in group], "cost") for arm, groups in found.items()}
    rows: list[Replayed] = []
    for arm, groups in found.items():
        every = [one for group in groups for one in group]
        trials = [cost_to_target(group, "trials") for group in groups]
        tops = np.array([sum(one.best for one in group) / len(group) for group in groups])
        share, nothing = Quantity(), Quantity(unit=unit)
        if raced and arm != baseline:
            share = _share(whole[baseline], whole[arm], _drawn(paid[baseline]), _drawn(paid[arm]))
        rows.append(
            Replayed(
                arm,
                len(every),
                sum(one.reached for one in every),
                _cost(cost_to_target(every, "trials"), _drawn(trials), "trials") if raced else nothing,
                _cost(whole[arm], _drawn(paid[arm]), unit) if raced else nothing,
                _between(sign * float(np.mean([one.best for one in every])), sign * tops, sign * tops, "score"),
                share,
            )
        )
    return rows


def cost_to_target(group: Sequence[Found], what: str) -> Cost:
    """Σ cost / number of searches that reached the target; where none did, what one search spent: a lower bound.

    Args:
        group: the outcomes of some searches, at least one.
        what: the field of `Found` that is counted, cost or trials.

    >>> cost_to_target([Found(True, 2, 20.0, 0.9, 80.0), Found(False, 8, 80.0, 0.5, 80.0)], "cost")
    Cost(value=100.0, censored=False)
    >>> cost_to_target([Found(False, 8, 80.0, 0.5, 80.0)] * 2, "cost")
    Cost(value=80.0, censored=True)
    """
    reached = sum(one.reached for one in group)
    return Cost(sum(float(getattr(one, what)) for one in group) / (reached or len(group)), censored=not reached)


def _drawn(costs: Sequence[Cost]) -> Floats:
    """The groups' costs; infinite where a group never reached the target."""
    return np.array([np.inf if one.censored else one.value for one in costs])


def _cost(estimate: Cost, draws: Floats, unit: str) -> Quantity:
    made = _between(estimate.value, draws, draws, unit)
    made.bound = ">" if estimate.censored else "="
    return made


def _share(base: Cost, arm: Cost, theirs: Floats, ours: Floats) -> Quantity:
    """The ratio of costs; a group in which neither arm reached the target tells nothing: from 0 to infinity."""
    found = cost.share_to_target(base, arm)
    if isinstance(found, NotDefined):
        return Quantity()
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = ours / theirs
    low, high = (np.nan_to_num(ratio, nan=end, posinf=np.inf) for end in (0.0, np.inf))
    made = _between(found.value, low, high, "")
    made.bound = found.bound
    return made


def _between(estimate: float, low: Floats, high: Floats, unit: str) -> Quantity:
    """The outer quantiles of the groups' answers; an infinite one is given by an order statistic, never by a mean."""
    if np.isnan(estimate):
        return Quantity(unit=unit)
    lowest = min(float(np.percentile(low, TAIL, method="lower")), estimate)
    highest = max(float(np.percentile(high, 100 - TAIL, method="higher")), estimate)
    return Quantity(estimate, lowest, None if np.isinf(highest) else highest, unit=unit)
