"""The expected cost of an arm of n independent trials, and the expected best of k of them.

Everything here is exact over random orders, or random subsets, of the n trials in hand; nothing is sampled.
The formulas need trials that do not depend on each other: of a searcher that learns, use
`study.cost.observed`. Scores are higher-is-better throughout.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from study.cost.quantities import Cost, NotDefined

Floats = NDArray[np.float64]


def expected_trials(n: int, h: int) -> float:
    """E[trials up to and with the first hit] = (n + 1)/(h + 1), in random order without replacement.

    With h = 0 it is n + 1: the lower bound that n misses give. As an estimate of 1/p it is low for small n,
    since E[(n + 1)/(H + 1)] = (1 − (1 − p)^(n+1))/p for H ~ Binomial(n, p).

    Args:
        n: how many trials there are.
        h: how many of them reached the target.

    Returns:
        The expected number of trials.

    Raises:
        ValueError: where h does not lie between 0 and n.

    >>> expected_trials(36, 2)
    12.333333333333334
    """
    if not 0 <= h <= n:
        raise ValueError(f"hits must lie between 0 and n, got {h=}, {n=}")
    return (n + 1) / (h + 1)


def probability_of_hit(n: int, h: int, k: int) -> float:
    """P(a hit within k trials) = 1 − C(n − h, k)/C(n, k).

    Args:
        n: how many trials there are.
        h: how many of them reached the target.
        k: how many are drawn, without replacement.

    Returns:
        The probability, in [0, 1].

    Raises:
        ValueError: where h or k does not lie between 0 and n.

    >>> probability_of_hit(4, 1, 2)
    0.5
    """
    if not (0 <= h <= n and 0 <= k <= n):
        raise ValueError(f"hits and k must lie between 0 and n, got {n=}, {h=}, {k=}")
    return 1.0 - math.comb(n - h, k) / math.comb(n, k)


def expected_cost(charged: ArrayLike, hit: ArrayLike) -> Cost | NotDefined:
    """E[C] = c_miss (n − h)/(h + 1) + c_hit: the expected cost up to the first hit, in random order.

    Args:
        charged: (n,) the full cost of a miss, the cost to the target of a hit; any one unit, ≥ 0.
        hit: (n,) true where the trial reached the target.

    Returns:
        The cost in the same unit; with no hit n · c_miss, a lower bound; not defined without trials.

    >>> expected_cost([10, 10, 10, 4], [False, False, False, True])
    Cost(value=19.0, censored=False)
    """
    charged, hit = np.asarray(charged, float), np.asarray(hit, bool)
    if charged.size == 0:
        return NotDefined("there is no trial")
    hits = int(hit.sum())
    missed = math.fsum(charged[~hit])
    if hits == 0:
        return Cost(missed, censored=True)
    return Cost(missed / (hits + 1) + math.fsum(charged[hit]) / hits, censored=False)


def best_weights(n: int, k: int) -> Floats:
    """(n,) the weights C(i − 1, k − 1)/C(n, k) of the i-th smallest: the chance that it is the best of k.

    Args:
        n: how many trials there are.
        k: how many are drawn, without replacement.

    Returns:
        (n,) weights in ascending order of score; they sum to 1.

    Raises:
        ValueError: where k does not lie between 1 and n.

    >>> best_weights(3, 2).round(4).tolist()
    [0.0, 0.3333, 0.6667]
    """
    if not 1 <= k <= n:
        raise ValueError(f"k must lie between 1 and n, got {k=}, {n=}")
    rank = np.arange(n, 1, -1)  # w_(i−1) = w_i (i − k)/(i − 1), from w_n = k/n: no binomial overflows
    ratios = np.maximum(rank - k, 0) / (rank - 1)
    return (k / n * np.concatenate([[1.0], np.cumprod(ratios)]))[::-1]


def expected_best(scores: ArrayLike, k: int, worth: ArrayLike | None = None) -> float | NotDefined:
    """U_k = Σ_{i≥k} C(i−1, k−1)/C(n, k) · y_(i): the expected best of k, unbiased (Tang et al. 2020).

    Args:
        scores: (n,) higher is better.
        k: how many trials the best is taken of.
        worth: (n,) what the chosen trial is worth where that is another number (chosen on validation, worth on test):
            ranked by score, averaged within ties of the score. None: the scores themselves.

    Returns:
        The expectation; not defined with fewer than k trials, or where a score is NaN.

    >>> expected_best([1, 2, 3], 2)
    2.6666666666666665
    >>> expected_best([1, 2, 3], 2, worth=[6, 3, 0])
    1.0
    """
    scores = np.asarray(scores, float)
    if scores.size < k:
        return NotDefined(f"the best of {k} needs {k} trials and there are {scores.size}")
    if np.isnan(scores).any():
        return NotDefined("a trial has no score and no chance level to count it at")
    return float(best_weights(scores.size, k) @ _in_order(scores, worth))


def expected_best_biased(scores: ArrayLike, k: int) -> float | NotDefined:
    """V_k = Σ y_(i) [(i/n)^k − ((i−1)/n)^k] (Dodge et al. 2019): low for k ≥ 2; for comparison only.

    Args:
        scores: (n,) higher is better.
        k: how many trials the best is taken of, drawn with replacement.

    Returns:
        The expectation; not defined without trials, or where a score is NaN.

    >>> expected_best_biased([1, 2, 3], 2)  # (1 + 3·2 + 5·3)/9, drawn with replacement
    2.4444444444444446
    """
    scores = np.sort(np.asarray(scores, float))
    if scores.size == 0 or np.isnan(scores).any():
        return NotDefined("a trial is missing or has no score")
    steps = (np.arange(scores.size + 1) / scores.size) ** k
    return float(np.diff(steps) @ scores)


def smallest_budget(scores: ArrayLike, level: float, most: int | None = None) -> int | NotDefined:
    """k*: the smallest k ≤ most (default n) whose U_k is at the level or above it.

    Args:
        scores: (n,) higher is better, no NaN.
        level: the score to be reached, but for rounding.
        most: the largest k that is tried.

    Returns:
        k*, or why there is none.

    >>> smallest_budget([1, 2, 3], 2.5)
    2
    >>> print(smallest_budget([1, 2, 3], 3.5))
    not defined, because the best of all 3 trials stays below the level
    """
    scores = np.sort(np.asarray(scores, float))
    low, high = 1, most or scores.size
    slack = 1e-12 * max(1.0, abs(level))  # an arm must reach its own level in spite of rounding
    if expected_best(scores, high) < level - slack:  # type: ignore[operator]
        return NotDefined(f"the best of all {high} trials stays below the level")
    while low < high:  # U_k never falls in k
        middle = (low + high) // 2
        if best_weights(scores.size, middle) @ scores >= level - slack:
            high = middle
        else:
            low = middle + 1
    return low


def _in_order(scores: Floats, worth: ArrayLike | None) -> Floats:
    """The worths in ascending order of score, each replaced by the mean of its tie."""
    if worth is None:
        return np.sort(scores)
    _, tie, size = np.unique(scores, return_inverse=True, return_counts=True)
    mean = np.bincount(tie, np.asarray(worth, float)) / size
    return np.repeat(mean, size)
