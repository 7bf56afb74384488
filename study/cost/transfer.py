"""Transfer: the loss of whoever takes the configuration that was best elsewhere."""

from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from study.cost.expected import expected_best
from study.cost.intervals import shares
from study.cost.quantities import Draws, NotDefined

Floats = NDArray[np.float64]

DRAWS = 2_000
EQUAL = 1e-9  # ranks that are no farther apart are equal: of two tasks that swap two configurations, both have one mean
BELOW, ABOVE = -1.0, 2.0  # ranks, which lie in [0, 1], of an unseen configuration that is chosen last, or first


def transfer_regret(valid: ArrayLike, test: ArrayLike, k: int) -> Floats | NotDefined:
    """U_k of the test score here, chosen by validation here, minus U_k chosen by the mean rank on the other tasks.

    Both are `expected_best` with a worth: of k configurations drawn without replacement one is chosen, and it is worth
    its test score on the task itself. What was chosen elsewhere costs one trial here.

    Args:
        valid: (n, tasks) validation scores of the same n configurations, higher is better; −∞ for one that was lost,
            which ranks last.
        test: (n, tasks) test scores, higher is better.
        k: how many configurations are compared.

    Returns:
        (tasks,) the loss in test score; not defined for fewer than two tasks or k trials, or where a score is NaN.

    >>> transfer_regret([[0.1, 0.9], [0.2, 0.8]], [[0.1, 0.9], [0.2, 0.8]], k=2).round(3).tolist()
    [0.1, 0.1]
    """
    valid, test = np.asarray(valid, float), np.asarray(test, float)
    if valid.ndim < 2 or valid.shape[1] < 2:
        return NotDefined("there is no other task")
    if np.isnan(test).any():
        return NotDefined("a trial has no test score")
    ranks = np.column_stack([_ranks(scores) for scores in valid.T])
    regrets: list[float] = []
    for task in range(valid.shape[1]):
        elsewhere = -np.delete(ranks, task, axis=1).mean(axis=1)
        here, there = (expected_best(scores, k, test[:, task]) for scores in (valid[:, task], elsewhere))
        if isinstance(here, NotDefined) or isinstance(there, NotDefined):
            return here if isinstance(here, NotDefined) else there  # type: ignore[return-value]
        regrets.append(here - there)
    return np.array(regrets)


def _ranks(scores: Floats) -> Floats:
    """(n,) from 1, the best; equals have the mean of their ranks."""
    _, tie, size = np.unique(-scores, return_inverse=True, return_counts=True)
    return (np.cumsum(size) - (size - 1) / 2)[tie]


def transfer_draws(
    valid: ArrayLike, test: ArrayLike, k: int, generator: np.random.Generator, draws: int = DRAWS
) -> Draws:
    """(tasks, draws) low and high draws of `transfer_regret`, row i of all tasks from the same shares.

    A configuration's share of the probability is drawn once for all tasks, and the unseen one's too. For the low draws
    that is chosen last here, and chosen first elsewhere and worth the best test score in hand; for the high ones it is
    chosen first on both sides, worth the best here, and the worst where it was chosen elsewhere. A plain bootstrap,
    which has no unseen configuration, covers too little (`tests/benchmarks/README.md`).

    Args:
        valid: (n, tasks) as for `transfer_regret`.
        test: (n, tasks) likewise, finite.
        k: how many configurations are compared.
        generator: of the draws.
        draws: how many.

    Returns:
        The draws of both ends.
    """
    valid, test = np.asarray(valid, float), np.asarray(test, float)
    share = shares(np.ones(len(valid)), generator, draws)
    ranks = np.stack([_rank_draws(scores, share[:, :-1]) for scores in valid.T])
    low, high = [], []
    for task, worth in enumerate(test.T):
        elsewhere, worst, best = np.delete(ranks, task, axis=0).mean(axis=0), worth.min(), worth.max()
        here, there = (partial(_best, share, ranked, worth, k) for ranked in (ranks[task], elsewhere))
        low.append(here((BELOW, worst)) - there((ABOVE, best)))
        high.append(here((ABOVE, best)) - there((ABOVE, worst)))
    return Draws(np.stack(low), np.stack(high))


def _best(share: Floats, ranks: Floats, worth: Floats, k: int, unseen: tuple[float, float]) -> Floats:
    """(draws,) the expected worth of the highest rank of k, drawn by their shares; of equals it is the mean.

    unseen is the rank and the worth of the unseen configuration.
    """
    every = np.column_stack([ranks, np.full(len(share), unseen[0])])
    order = np.argsort(every, axis=1)
    mass = np.take_along_axis(share, order, axis=1)
    steps = np.diff(np.take_along_axis(every, order, axis=1), axis=1, prepend=-np.inf)
    group = np.cumsum(steps > EQUAL, axis=1) - 1 + np.arange(len(share))[:, None] * every.shape[1]
    spent = mass * np.append(worth, unseen[1])[order]
    masses, sums = (np.bincount(group.ravel(), of.ravel(), of.size).reshape(of.shape) for of in (mass, spent))
    chance = np.diff(np.cumsum(masses, axis=1) ** k, axis=1, prepend=0.0)
    return np.divide(chance * sums, masses, out=np.zeros_like(sums), where=masses > 0).sum(axis=1)


def _rank_draws(scores: Floats, share: Floats) -> Floats:
    """(draws, n) the share of all that is below each score, and half of what is equal to it."""
    _, tie = np.unique(scores, return_inverse=True)
    mass = share @ np.eye(tie.max() + 1)[tie]
    return (np.cumsum(mass, axis=1) - mass / 2)[:, tie]
