"""The interval of the expected best of k trials, and a refusal where none holds what it promises.

Whether an interval of a score is printed depends on n and k alone (unless all scores are alike): a rule that looked at
the scores would choose the draws in which it is right.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from study.cost.intervals import DRAWS, RESOLUTION, Floats, shares
from study.cost.quantities import Draws, NotDefined

FEWEST_TRIALS = 32  # and the next: found by simulation; with fewer, an arm of which one trial in ten works fails
TRIALS_A_CHOICE = 8  # the best of k is given an interval for k ≤ n/8
REACH = 4  # how many trials from the best tell how far beyond it a better one may lie


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
        self.best = steps[-1]
        self.top = steps[-1] + scores[-1] - scores[-1 - reach]
        self._rises_low, self._rises_high = np.diff(steps, prepend=worst), np.diff(steps, append=self.top)
        with np.errstate(divide="ignore"):
            self._log_high = np.log(np.minimum(seen, 1.0))
            self._log_low = np.log(np.column_stack([unseen, np.minimum(seen[:, :-1] + unseen[:, None], 1.0)]))
        self._buffer = np.empty_like(self._log_high)
        mean = share[:, :-1] @ (np.add.reduceat(costs, starts) / counts)
        self.cost = Draws(mean, mean + unseen * (costs.max() if dearest is None else dearest))

    def low(self, k: int | Floats) -> Floats:
        """(draws,) of E max_k, pessimistic. k: one number, or one a draw."""
        return self.best - self._power(self._log_low, k) @ self._rises_low

    def high(self, k: int | Floats) -> Floats:
        """(draws,) of E max_k, optimistic. k: one number, or one a draw."""
        return self.top - self._power(self._log_high, k) @ self._rises_high

    def _power(self, log: Floats, k: int | Floats) -> Floats:
        """F^k, in one buffer that is used again: to allocate it takes longer than to fill it."""
        np.multiply(log, np.reshape(k, (-1, 1)), out=self._buffer)
        return np.exp(self._buffer, out=self._buffer)


def _group_starts(n: int) -> NDArray[np.intp]:
    """(groups,) the first place of each group of n ascending scores: alone up to 128, else wider away from the top."""
    starts, rank = [], 0
    single = 8 * RESOLUTION
    while rank < n:
        rank = min(n, rank + (1 if n <= single else max(1, rank // RESOLUTION)))
        starts.append(n - rank)
    return np.array(starts[::-1])
