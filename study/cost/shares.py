"""Shares: one scheme's tuning cost over another's, to a target and at a budget. Below 1 is good."""

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from study.cost.best_of import TRIALS_A_CHOICE, BestDraws, why_no_best_interval
from study.cost.expected import expected_best, smallest_budget
from study.cost.intervals import DRAWS, LEVEL, ends
from study.cost.quantities import Cost, Draws, Interval, NotDefined

Floats = NDArray[np.float64]


class Share(NamedTuple):
    """The scheme's cost over the baseline's, below 1 where it is cheaper, and whether it is exact or only a bound."""

    value: float
    bound: Literal["=", "<", ">"]


class Sample(NamedTuple):
    """One scheme's n independent trials: scores (n,), higher is better, and the full cost of each, (n,)."""

    scores: ArrayLike
    costs: ArrayLike
    dearest: float | None = None  # the most that a trial can cost; None: the dearest in hand, as whoever prints says


def share_to_target(base: Cost, scheme: Cost) -> Share | NotDefined:
    """E[C] of the scheme / E[C] of the baseline.

    Args:
        base: what the baseline's tuning costs; where that is a lower bound, the share is an upper one.
        scheme: what the scheme's costs; where that is a lower bound, the share is one too.

    Returns:
        The share; why it is not defined where both are bounds, or the baseline costs nothing.

    >>> share_to_target(Cost(1200, False), Cost(300, False))
    Share(value=0.25, bound='=')
    """
    if base.censored and scheme.censored:
        return NotDefined("both missed the target, so that both costs are lower bounds only")
    if base.value == 0:
        return NotDefined("the baseline reached the target at no cost")
    return Share(scheme.value / base.value, "<" if base.censored else ">" if scheme.censored else "=")


def share_to_target_interval(base: Draws, scheme: Draws, estimate: float, level: float = LEVEL) -> Interval:
    """The interval of `share_to_target`.

    Args:
        base: (draws,) low and high draws of the baseline's E[C].
        scheme: the same of the scheme's.
        estimate: the share itself, which the interval never leaves out.
        level: how often the interval is to hold the truth.

    Returns:
        Its ends; from 0, and to infinity, where the draws tell no more.
    """
    return ends(*share_draws(base, scheme), estimate, level)


def share_draws(base: Draws, scheme: Draws) -> Draws:
    """(draws,) low and high draws of a share; 0 and infinity where the draws of the costs tell no more.

    Args:
        base: of the baseline's E[C].
        scheme: of the scheme's.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.nan_to_num(scheme.low / base.high, nan=0.0, posinf=np.inf)
        high = np.nan_to_num(scheme.high / base.low, nan=np.inf, posinf=np.inf)
    return Draws(low, high)


def times_as_many(share: float, hits: tuple[int, int], compared: int = 1) -> float:
    """f = (z·s/|log share|)²: how many times as many trials would tell this share from 1, were it the true one.

    s² = 1/h_baseline + 1/h_scheme is the variance of the log share where costs are alike (each hit count's, by the
    delta method), z the normal quantile at 1 − .025/m. With f times the trials s² shrinks to s²/f.

    Args:
        share: the estimate.
        hits: the baseline's and the scheme's, each at least one.
        compared: m, how many schemes are compared with the baseline.

    Returns:
        The factor, infinite where the share is 1.

    >>> round(times_as_many(0.5, (8, 16)), 2)  # (1.96² · 3/16)/log² 2
    1.5
    """
    z = ndtri(1 - (1 - LEVEL) / 2 / compared)
    apart = math.log(share) ** 2
    return float(z**2 * (1 / hits[0] + 1 / hits[1]) / apart) if apart > 0 else math.inf


def share_at_budget(base: Sample, scheme: Sample, budget: int, tolerance: float = 0.0) -> Share | NotDefined:
    """cost_s(k*_s)/cost_b(k*_b): what each pays for the level U_K − ε of the baseline's best of K.

    k* is the smallest k whose own U_k is at the level, cost(k) = k × the arm's mean trial cost. A scheme that
    never gets there has a share above cost_s(n)/cost_b(k*_b).

    Args:
        base: the baseline's trials.
        scheme: the scheme's.
        budget: K, in trials.
        tolerance: ε, in score.

    Returns:
        The share, or why it is not defined.

    >>> share_at_budget(Sample([1, 2, 3], [10, 10, 10]), Sample([3, 3, 3], [5, 5, 5]), budget=2)
    Share(value=0.25, bound='=')
    """
    best = expected_best(base.scores, budget)
    if isinstance(best, NotDefined):
        return best
    if np.isnan(np.asarray(scheme.scores, float)).any():
        return NotDefined("a trial has no score and no chance level to count it at")
    costs = [float(np.asarray(arm.costs, float).mean()) for arm in (base, scheme)]
    if costs[0] == 0:
        return NotDefined("the baseline's trials cost nothing")
    k_base = smallest_budget(base.scores, best - tolerance, most=budget)
    k_scheme = smallest_budget(scheme.scores, best - tolerance)
    if isinstance(k_scheme, NotDefined):
        return Share(np.size(scheme.scores) * costs[1] / (k_base * costs[0]), ">")  # type: ignore[operator]
    return Share(k_scheme * costs[1] / (k_base * costs[0]), "=")  # type: ignore[operator]


def share_at_budget_draws(
    base: Sample,
    scheme: Sample,
    budget: int,
    generator: np.random.Generator,
    tolerance: float = 0.0,
    floor: float | None = None,
    draws: int = DRAWS,
) -> Draws | NotDefined:
    """(draws,) low and high draws of `share_at_budget`: of the baseline's level, both k* and both mean costs.

    A draw in which the scheme does not reach the level within what its trials can tell counts as its bound at
    the low end (k* just above n/8) and as infinite at the high end.

    Args:
        base: the baseline's trials.
        scheme: the scheme's.
        budget: K, in trials.
        generator: what the draws come from.
        tolerance: ε, in score.
        floor: the score of a trial that has learned nothing; None where nobody knows.
        draws: how many.

    Returns:
        The draws, or why no interval is printed.
    """
    why = why_no_best_interval(base.scores, budget) or why_no_best_interval(scheme.scores, 1)
    if why is not None:
        return why
    ours = BestDraws(base.scores, floor, generator, draws, base.costs, base.dearest)
    theirs = BestDraws(scheme.scores, floor, generator, draws, scheme.costs, scheme.dearest)
    low, high = ours.low(budget) - tolerance, ours.high(budget) - tolerance
    own = ours.latest(low, budget - 1), ours.soonest(high, budget - 1)  # the budget itself is at the level
    size = np.size(scheme.scores)
    soonest, latest = theirs.soonest(low, size // TRIALS_A_CHOICE), theirs.latest(high, size)
    with np.errstate(divide="ignore"):
        dear = np.where(latest > size, np.inf, latest * theirs.cost.high / (np.minimum(*own) * ours.cost.low))
    return Draws(soonest * theirs.cost.low / (np.maximum(*own) * ours.cost.high), dear)


def log_efficiency(base_curve: ArrayLike, scheme_curve: ArrayLike) -> float:
    """Median over the baseline's levels of clip(log(1 + t_base) − log(1 + t_scheme), ±1) (Vizier).

    t is the first k at a level, infinite where none is.

    Args:
        base_curve: (K,) the baseline's expected best of 1, 2, …, never falling.
        scheme_curve: (M,) the scheme's.

    Returns:
        The median, in [−1, 1]; above 0 the scheme is the faster.

    >>> log_efficiency([1, 2, 3], [1, 2, 3])
    0.0
    """
    levels, other = (np.maximum.accumulate(np.asarray(curve, float)) for curve in (base_curve, scheme_curve))
    asked = levels - 1e-12 * np.maximum(1.0, np.abs(levels))  # as in `smallest_budget`
    reached = np.searchsorted(other, asked) + 1.0
    times = np.where(reached > other.size, np.inf, reached)
    own = np.searchsorted(levels, asked) + 1.0
    return float(np.median(np.clip(np.log1p(own) - np.log1p(times), -1, 1)))
