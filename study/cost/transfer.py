"""Transfer: the loss of whoever takes the configuration that was best elsewhere."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from study.cost.expected import expected_best
from study.cost.quantities import NotDefined

Floats = NDArray[np.float64]


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
