"""The interval of the expected best of k trials, and a refusal where none holds what it promises.

Whether an interval of a score is printed depends on n and k alone (unless all scores are alike): a rule that looked at
the scores would choose the draws in which it is right.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from study.cost.intervals import DRAWS, RESOLUTION, Floats, shares
from study.cost.quantities import Draws, NotDefined

FEWEST_TRIALS = 32  # and the next: found by simulation; with fewer, an arm of which one trial in ten works fails
TRIALS_A_CHOICE = 8  # the best of k is given an interval for k ≤ n/8
REACH = 4  # how many trials from the best tell how far beyond it a better one may lie
BLOCK = 1024  # draws whose powers are held at once


def why_no_best_interval(scores: ArrayLike, k: int) -> NotDefined | None:
    """Say why the expected best of k has no interval here that holds what it promises.

    Args:
        scores: (n,) of all trials.
        k: how many trials the best is taken of.

    Returns:
        The reason; None where there is such an interval.
    """
    scores = np.asarray(scores, float)
    if scores.size < FEWEST_TRIALS:
        return NotDefined(f"an interval of a score needs {FEWEST_TRIALS} trials and there are {scores.size}")
    if k * TRIALS_A_CHOICE > scores.size:
        return NotDefined(f"an interval of the best of {k} needs {TRIALS_A_CHOICE * k} trials, not {scores.size}")
    if np.ptp(scores) == 0:
        return NotDefined("all trials have the same score, which does not tell how much they can differ")
    return None


class BestDraws:
    """Draws of the expected best of k, E max_k = ∫ 1 − F^k, for any k, and of the mean cost of a trial.

    For the high draws the unseen trial lies as far above the best as the best above the fourth after it; for the low
    ones at the floor.

    Args:
        scores: (n,) higher is better, finite.
        floor: the worst a trial can do (chance); None where nobody knows.
        generator: of the draws.
        draws: how many.
        costs: (n,) of the whole trials; None: all 0.
        dearest: the most that a trial can cost, as the unseen one does for the high draws; None: the dearest in hand.
    """

    def __init__(
        self,
        scores: ArrayLike,
        floor: float | None,
        generator: np.random.Generator,
        draws: int = DRAWS,
        costs: ArrayLike | None = None,
        dearest: float | None = None,
    ) -> None:
        scores = np.asarray(scores, float)
        costs = np.zeros(scores.size) if costs is None else np.asarray(costs, float)
        order = np.lexsort((costs, scores))  # so that no draw depends on the order of the table
        scores, costs = scores[order], costs[order]
        reach = min(REACH, scores.size - 1)
        worst = scores[0] - (scores[reach] - scores[0]) if floor is None else min(floor, scores[0])
        starts = _group_starts(scores.size)
        counts = np.diff(np.append(starts, scores.size))
        steps = np.add.reduceat(scores, starts) / counts
        share = shares(counts, generator, draws)
        seen, unseen = np.cumsum(share[:, :-1], axis=1), share[:, -1]
        below = np.empty_like(seen)
        below[:, 0] = unseen
        np.add(seen[:, :-1], unseen[:, None], out=below[:, 1:])
        self.best = steps[-1]
        self.top = steps[-1] + scores[-1] - scores[-1 - reach]
        self._rises_low, self._rises_high = np.diff(steps, prepend=worst), np.diff(steps, append=self.top)
        self._below_high = np.minimum(seen, 1.0, out=seen)  # F, the share of trials below each step
        self._below_low = np.minimum(below, 1.0, out=below)
        mean = share[:, :-1] @ (np.add.reduceat(costs, starts) / counts)
        self.cost = Draws(mean, mean + unseen * (costs.max() if dearest is None else dearest))

    def low(self, k: int) -> Floats:
        """(draws,) of E max_k, pessimistic."""
        return self.best - _left(self._below_low, self._rises_low, k)

    def high(self, k: int) -> Floats:
        """(draws,) of E max_k, optimistic."""
        return self.top - _left(self._below_high, self._rises_high, k)

    def latest(self, level: Floats, most: int) -> Floats:
        """(draws,) the smallest k ≤ most at which the pessimistic E max_k is at the level; most + 1 where none is.

        Args:
            level: (draws,) the score to be reached, but for rounding.
            most: the largest k that is tried.
        """
        return _smallest(self._below_low, self._rises_low, self.best - level + _slack(level), most)

    def soonest(self, level: Floats, most: int) -> Floats:
        """(draws,) the smallest k ≤ most at which the optimistic E max_k is at the level; most + 1 where none is.

        Args:
            level: (draws,) the score to be reached, but for rounding.
            most: the largest k that is tried.
        """
        return _smallest(self._below_high, self._rises_high, self.top - level + _slack(level), most)


def _slack(level: Floats) -> Floats:
    """The rounding by which a level may be missed: an arm must reach its own."""
    return 1e-12 * np.maximum(1.0, np.abs(level))


def _blocks(draws: int) -> Iterator[slice]:
    """The draws a thousand at a time, so that their powers stay in the processor's cache."""
    return (slice(start, start + BLOCK) for start in range(0, draws, BLOCK))


def _left(below: Floats, rises: Floats, k: int) -> Floats:
    """(draws,) F^k · rises: what the best of k lacks to the top, for F (draws, m) and the steps between scores (m,)."""
    found = np.empty(len(below))
    for here in _blocks(len(below)):
        found[here] = _power(below[here], k) @ rises
    return found


def _power(base: Floats, k: int) -> Floats:
    """The elements to the power of k ≥ 1, by squares of squares, in two arrays: to take new ones takes as long."""
    power, square = np.ones_like(base), base.copy()
    while True:
        if k % 2:
            np.multiply(power, square, out=power)
        k //= 2
        if not k:
            return power
        np.multiply(square, square, out=square)


def _smallest(below: Floats, rises: Floats, allowed: Floats, most: int) -> Floats:
    """(draws,) the smallest k ≤ most with F^k · rises ≤ allowed, most + 1 where there is none.

    Digit by digit: the largest k that misses is a sum of powers of two, F^k a product of squares of squares of F.

    Args:
        below: (draws, m) of F.
        rises: (m,) not negative, so that F^k · rises never rises in k.
        allowed: (draws,) what may be left.
        most: the largest k that is tried.
    """
    found = np.empty(len(below))
    for here in _blocks(len(below)):
        squares = [below[here]]
        while 2 ** len(squares) <= most:
            squares.append(np.square(squares[-1]))
        power, misses = np.ones_like(squares[0]), np.zeros(len(squares[0]), int)
        longer = np.empty_like(power)
        for digit, square in reversed(list(enumerate(squares))):
            np.multiply(power, square, out=longer)
            missed = (longer @ rises > allowed[here]) & (misses + 2**digit <= most)
            np.copyto(power, longer, where=missed[:, None])
            misses[missed] += 2**digit
        found[here] = misses + 1
    return found


def _group_starts(n: int) -> NDArray[np.intp]:
    """(groups,) the first place of each group of n ascending scores: alone up to 128, else wider away from the top."""
    starts, rank = [], 0
    single = 8 * RESOLUTION
    while rank < n:
        rank = min(n, rank + (1 if n <= single else max(1, rank // RESOLUTION)))
        starts.append(n - rank)
    return np.array(starts[::-1])
