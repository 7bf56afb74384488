"""Observed costs, for searchers that learn or stop early: their trials depend on each other.

There the formulas for independent trials are not defined. A search is one row; a repetition is another
search.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from study.cost.quantities import Cost, NotDefined


class Searches(NamedTuple):
    """The costs of r searches until their first hit, or altogether where one had none."""

    cost: NDArray[np.float64]  # (r,)
    trials: NDArray[np.float64]  # (r,)
    reached: NDArray[np.bool_]  # (r,)
    full: NDArray[np.float64]  # (r,) what the whole search cost or would have cost: never less than `cost`


def observe(search: ArrayLike, full: ArrayLike, charged: ArrayLike, hit: ArrayLike) -> Searches:
    """Tuning cost, search by search: all trials before the first hit in full, and the hit up to the target.

    Args:
        search: (n,) which search each trial belongs to; within a search the trials stand in the order they ran.
        full: (n,) the cost of the whole trial.
        charged: (n,) that of a hit up to the target, of a miss in full.
        hit: (n,) true where the trial reached the target.

    Returns:
        One entry a search, in ascending order of `search`.

    >>> observe([0, 0, 1], full=[10, 10, 10], charged=[10, 4, 10], hit=[False, True, False]).cost.tolist()
    [14.0, 10.0]
    """
    search, hit = np.asarray(search), np.asarray(hit, bool)
    full, charged = np.asarray(full, float), np.asarray(charged, float)
    rows = []
    for one in np.unique(search):
        here = np.flatnonzero(search == one)
        reached = bool(hit[here].any())
        trials = int(hit[here].argmax()) + 1 if reached else here.size
        cost = full[here[: trials - 1]].sum() + charged[here[trials - 1]]
        rows.append((cost, trials, reached, full[here].sum()))
    columns = zip(*rows, strict=True)
    return Searches(
        *(np.array(column, kind) for column, kind in zip(columns, (float, float, bool, float), strict=True))
    )


def observed_cost(spent: ArrayLike, reached: ArrayLike) -> Cost | NotDefined:
    """The mean cost of r searches; a lower bound where a search ended without a hit.

    Args:
        spent: (r,) what each search cost up to its first hit, or in all.
        reached: (r,) true where it had a hit.

    Returns:
        The cost; not defined without a search.

    >>> observed_cost([14, 10], [True, False])
    Cost(value=12.0, censored=True)
    """
    spent = np.asarray(spent, float)
    if spent.size == 0:
        return NotDefined("there is no search")
    return Cost(float(spent.mean()), censored=not np.all(reached))


def best_so_far(search: ArrayLike, scores: ArrayLike, k: int) -> NDArray[np.float64] | NotDefined:
    """(r,) the best of each search's first k trials; its mean over searches is the curve of such a searcher.

    Args:
        search: (n,) as in `observe`.
        scores: (n,) higher is better.
        k: how many trials of each search count.

    Returns:
        (r,) one score a search; not defined where a search is shorter than k, or one of these scores is NaN.

    >>> best_so_far([0, 0, 1, 1], [1, 3, 2, 0], 2).tolist()
    [3.0, 2.0]
    """
    search, scores = np.asarray(search), np.asarray(scores, float)
    heads = [scores[search == one][:k] for one in np.unique(search)]
    if min(head.size for head in heads) < k:
        return NotDefined(f"a search has fewer than {k} trials")
    if any(np.isnan(head).any() for head in heads):
        return NotDefined("a trial has no score and no chance level to count it at")
    return np.array([head.max() for head in heads])
