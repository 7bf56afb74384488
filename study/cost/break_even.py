"""The break-even of two arms: how well the rate must be known for one to cost as much as the other.

Each arm has a curve C(w), what tuning costs who searches w decades around a rate that once worked (`knowledge`); an arm
without a rate to search has the same cost everywhere. *Tuned from nothing, A costs b times B*, b = C_A(D)/C_B(D); *who
knows the rate within a factor of φ does as well with B*, φ = 10^(w*/2), where w* is the widest window at which the
curves cross. The interval of w* is all w at which the interval of C_A(w)/C_B(w) holds 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from study.cost.intervals import DRAWS, LEVEL, ends
from study.cost.knowledge import FEWEST_HITS, TRIALS_A_WINDOW, Searched, known_cost, known_cost_draws
from study.cost.quantities import Cost, Draws, Interval, NotDefined

Floats = NDArray[np.float64]

POINTS = 25  # of a curve, evenly in the logarithm of the width


@dataclass(frozen=True)
class Curve:
    """The cost of tuning against what is known of the rate, from the narrowest window to all that was searched."""

    width: Floats  # (m,) ascending, in decades: the last of those that `widths` gives
    cost: Floats  # (m,) NaN where it is only a lower bound, or not defined
    draws: Draws | None  # (draws, m) low and high; None where there is no interval
    least: Floats = field(default_factory=lambda: np.full(1, np.nan))  # (m,) the lower bound, where there is only that

    def widest(self, m: int) -> "Curve":
        """The same over the m widest windows."""
        drawn = self.draws and Draws(*(one[:, -m:] for one in self.draws))
        return Curve(self.width[-m:], self.cost[-m:], drawn)


class BreakEven(NamedTuple):
    """The width at which two curves cross, and the cost of the first over the second's where nothing is known."""

    ratio: float
    width: float | None  # decades; None where they do not cross between the narrowest window and the widest
    interval: Interval | None  # decades, from 0 or to infinity where they are not told apart at that end; None: no w


def widths(arms: Sequence[Searched], points: int = POINTS) -> Floats | NotDefined:
    """Windows from the narrowest that holds enough trials of any arm, to the widest span; each arm's narrowest is one.

    Args:
        arms: those with a rate to search, at least one.
        points: how many lie evenly.

    Returns:
        Decades, ascending; not defined where an arm's whole span holds too few trials.
    """
    widest = max(arm.span for arm in arms)
    narrowest = [arm.narrowest for arm in arms]
    if max(narrowest) >= widest:
        return NotDefined(f"an arm has fewer than {TRIALS_A_WINDOW} trials")
    made = np.geomspace(min(narrowest), widest, points)
    made[-1] = widest  # to the last digit: there nothing is known
    return np.unique([*made, *narrowest])


def curve(
    arm: Searched,
    width: Floats,
    generator: np.random.Generator,
    draws: int = DRAWS,
    dearest: float | None = None,
) -> Curve:
    """The curve of an arm whose rates were drawn log-uniformly.

    Args:
        arm: its trials.
        width: (m,) as `widths` gives them.
        generator: of the draws.
        draws: how many.
        dearest: the most that a trial can cost; None: the dearest charged.

    Returns:
        The curve, over the windows that hold enough of its trials; without draws where fewer than two trials hit.
    """
    own = width[width >= arm.narrowest]
    found = [known_cost(arm, float(one)) for one in own]
    told, least = (
        np.array([one.value if isinstance(one, Cost) and one.censored == bound else np.nan for one in found])
        for bound in (False, True)
    )
    drawn = known_cost_draws(arm, own, generator, draws, dearest) if arm.hits >= FEWEST_HITS else None
    return Curve(own, told, drawn, least)


def flat(cost: Cost, drawn: Draws | None, width: Floats) -> Curve:
    """The curve of an arm that has no rate to search: the same cost whatever is known.

    Args:
        cost: its expected cost.
        drawn: (draws,) of it, as `cost_draws` gives them; None: there is no interval.
        width: (m,) as `widths` gives them.
    """
    told, least = (np.full(width.size, cost.value if cost.censored == bound else np.nan) for bound in (False, True))
    columns = None if drawn is None else Draws(*(np.repeat(one[:, None], width.size, axis=1) for one in drawn))
    return Curve(width, told, columns, least)


def break_even(one: Curve, other: Curve, level: float = LEVEL) -> BreakEven | NotDefined:
    """The widest window at which both curves cost the same, its interval, and their ratio where nothing is known.

    Args:
        one: A, the numerator.
        other: B, over windows of the same `widths`.
        level: how often the interval is to hold the truth.

    Returns:
        The break-even; not defined where a cost is only a lower bound although all is searched, or B's is nothing.
    """
    shared = min(one.width.size, other.width.size)  # by the arm of fewer trials
    one, other = one.widest(shared), other.widest(shared)
    ratio = np.divide(one.cost, other.cost, out=np.full(one.width.size, np.nan), where=other.cost > 0)
    if not ratio[-1] > 0:
        return NotDefined("the cost from nothing is no number above 0 for both arms")
    with np.errstate(divide="ignore"):
        log = np.log(ratio)
    return BreakEven(float(ratio[-1]), _crossing(one.width, log), _interval(one, other, ratio, level))


def _crossing(width: Floats, log: Floats) -> float | None:
    """The largest width at which a curve goes through 0, between two points straight in the logarithm of the width."""
    if log[-1] == 0:
        return float(width[-1])
    crossed = np.flatnonzero(log[:-1] * log[1:] <= 0)  # never where one of them is NaN
    if crossed.size == 0:
        return None
    at = int(crossed[-1])
    part = log[at] / (log[at] - log[at + 1]) if np.isfinite(log[at]) else 1.0
    return float(width[at] * (width[at + 1] / width[at]) ** part)


def _interval(one: Curve, other: Curve, ratio: Floats, level: float) -> Interval | None:
    """All widths at which the interval of the ratio holds 1, out to the next point that tells the arms apart."""
    if one.draws is None or other.draws is None:
        return Interval(0.0, np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.nan_to_num(one.draws.low / other.draws.high, nan=0.0, posinf=np.inf)
        high = np.nan_to_num(one.draws.high / other.draws.low, nan=np.inf, posinf=np.inf)
    holds = []
    for place, value in enumerate(ratio):
        found = ends(low[:, place], high[:, place], float(value), level) if value == value else Interval(0.0, np.inf)
        holds.append(found.low <= 1 <= found.high)
    held = np.flatnonzero(holds)
    signs = np.flatnonzero(np.diff(np.sign(np.log(ratio, where=ratio > 0, out=np.full(ratio.size, np.nan)))))
    if held.size == 0 and signs.size == 0:
        return None
    inside = held if held.size else signs  # a crossing between two points that both tell the arms apart
    first, last = int(inside[0]), int(inside[-1]) + (0 if held.size else 1)
    left = 0.0 if held.size and first == 0 else float(one.width[max(first - 1, 0)])
    right = np.inf if held.size and last == one.width.size - 1 else float(one.width[min(last + 1, one.width.size - 1)])
    return Interval(left, right)
