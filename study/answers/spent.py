"""The cost of one arm until it reached the target: expected, in every unit, with its interval."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from study import cost
from study.answers.arms import TRIALS, Costs, Trials
from study.answers.results import JudgedShare, Quantity
from study.cost import Cost, Draws, Interval, NotDefined
from study.records.own import TIMED

FOLLOWING = "expected_cost, and what follows from it,"


@dataclass(frozen=True)
class Spent:
    """Trials and cost up to the target, and what a comparison needs: the cost itself, and draws of it."""

    cost: Cost | NotDefined
    draws: Draws | None = None
    censored: bool = False
    trials_quantity: Quantity = field(default_factory=Quantity)
    cost_quantity: Quantity = field(default_factory=Quantity)
    hits: int = 0  # among independent trials
    assumed: str = ""  # what the interval of the cost takes for granted, in words; empty where that is known


def spent(arm: Trials, unit: str, stream: Callable[[str], np.random.Generator], draws: int) -> dict[str, Spent]:
    """The expected cost of an arm whose task has a target, unit by unit, from the same draws of the same trials.

    By the formula of independent trials, or as observed where they depend on each other.

    Args:
        arm: its trials.
        unit: of the costs of the table that they were read from.
        stream: gives the generator of the quantity of a name.
        draws: how many draws intervals are taken from.

    Returns:
        Trials and cost with their intervals, that unit first.

    Raises:
        ValueError: for a single search whose trials depend on each other.
    """
    costs = {unit: arm.costs} | {name: of for name, of in arm.beside.items() if name != unit}
    if not arm.depends:
        share = cost.cost_shares(arm.hit, stream("cost"), draws)
        made = {name: _independent(arm, of, name, share) for name, of in costs.items()}
    elif arm.searches < 2:
        raise ValueError(f"one search whose trials depend on each other has no expected cost, got {arm.searches=}")
    else:
        made = {name: _observed(arm, of, name, stream, draws) for name, of in costs.items()}
    exact = {TRIALS: replace(made[TRIALS], cost_quantity=made[TRIALS].trials_quantity)} if TRIALS in made else {}
    return made | exact


def share(base: Spent, scheme: Spent, unit: str, compared: int = 1) -> JudgedShare | NotDefined:
    """The scheme's tuning cost as a share of the baseline's.

    Args:
        base: what the baseline spent.
        scheme: what the scheme spent.
        unit: of both costs.
        compared: m, how many schemes are compared with this baseline on this task.

    Returns:
        The share, or why it is not defined.
    """
    costs: list[Cost] = []
    for one in (base, scheme):
        if isinstance(one.cost, NotDefined):
            return one.cost
        costs.append(one.cost)
    found = cost.share_to_target(*costs)
    if isinstance(found, NotDefined):
        return found
    made = JudgedShare(found.value, bound=found.bound, unit=unit)
    if scheme is base:  # the ratio of an arm to itself is known
        made.low = made.high = 1.0
    elif base.draws and scheme.draws:
        made.low, made.high = cost.share_to_target_interval(base.draws, scheme.draws, found.value)
        made.judge(cost.share_to_target_interval(base.draws, scheme.draws, found.value, level_of_all(compared)))
        if made.verdict == "unclear" and base.hits and scheme.hits and found.value > 0:
            made.times = cost.times_as_many(found.value, (base.hits, scheme.hits), max(1, compared))
    return made


def level_of_all(compared: int) -> float:
    """The level of one interval of so many, such that all of them hold at 95 %: 1 − .05/m.

    >>> level_of_all(1), level_of_all(5)
    (0.95, 0.99)
    """
    return 1 - (1 - cost.LEVEL) / max(1, compared)


def _independent(arm: Trials, costs: Costs, unit: str, share: NDArray[np.float64]) -> Spent:
    n, hits = arm.score.size, int(arm.hit.sum())
    trials = Cost(cost.expected_trials(n, hits), censored=hits == 0)
    expected = as_cost(cost.expected_cost(costs.charged, arm.hit))
    drawn = cost.cost_draws(costs.full, costs.charged, arm.hit, share, costs.dearest)
    return Spent(
        expected,
        drawn,
        censored=hits == 0,
        trials_quantity=quantity(trials, cost.trials_interval(n, hits), "trials"),
        cost_quantity=quantity(expected, cost.ends(*drawn, expected.value), unit),
        hits=hits,
        assumed=assumed("trial", costs.full.max(), costs.dearest, unit) if hits else "",
    )


def _observed(arm: Trials, costs: Costs, unit: str, stream: Callable[[str], np.random.Generator], draws: int) -> Spent:
    seen = cost.observe(arm.search, costs.full, costs.charged, arm.hit)
    reached, most = bool(seen.reached.all()), float(np.bincount(arm.search).max())
    dearest = float(seen.full.max())
    known = None if costs.dearest is None else max(dearest, most * costs.dearest)  # a whole search of such trials
    limit = dearest if known is None else known
    quantities = []
    for values, highest, name in ((seen.trials, most, "trials"), (seen.cost, limit, unit)):
        mean = as_cost(cost.observed_cost(values, seen.reached))
        ends = cost.mean_interval(values, 0.0, highest, stream(f"observed {name}"), draws)
        quantities.append(quantity(mean, ends if reached else Interval(ends.low, math.inf), name))
    low, high = cost.mean_draws(seen.cost, 0.0, limit, stream("cost"), draws)
    return Spent(
        cost.observed_cost(seen.cost, seen.reached),
        Draws(low, high if reached else np.full(high.size, math.inf)),
        not reached,
        *quantities,
        assumed=assumed("search", dearest, known, unit) if reached else "",
    )


def assumed(what: str, seen: float, known: float | None, unit: str, of: str = FOLLOWING) -> str:
    """The bound on costs that no record can show, in words.

    Args:
        what: costs so: a trial or a search.
        seen: the dearest in hand.
        known: the most that one can cost; None where nobody knows.
        unit: of both.
        of: the interval that takes it for granted.

    Returns:
        A sentence; empty where the bound is known. Nobody knows one of seconds.
    """
    if known is not None and unit != TIMED:
        return ""
    amount = f"{seen if known is None else known:.4g}{'' if unit in ('', 'cost') else f' {unit}'}"
    told = ", the dearest seen" if known is None else ""
    return f"the interval of {of} holds if no {what} costs more than {amount}{told}"


def quantity(value: Cost, ends: Interval, unit: str) -> Quantity:
    """A cost and its interval, as a summary says them.

    Args:
        value: the cost; a censored one is a lower bound.
        ends: of its interval.
        unit: of all three.
    """
    return Quantity(value.value, ends.low, ends.high, ">" if value.censored else "=", unit)


def as_cost(value: Cost | NotDefined) -> Cost:
    """The cost, where the caller knows that the arm has trials."""
    if isinstance(value, NotDefined):
        raise ValueError(f"a cost was expected: it is {value}")
    return value
