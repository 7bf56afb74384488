"""One share for several tasks: the geometric mean of a scheme's shares of the baseline's cost, with its interval."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from study.cost.intervals import DRAWS, LEVEL, draws_by_shares, ends, shares
from study.cost.quantities import Draws, Interval, NotDefined
from study.cost.shares import Share, share_draws

Floats = NDArray[np.float64]

AT_ONCE = 4_000_000  # shares that are held in memory


class Outcomes(NamedTuple):
    """The n trials of one scheme on one task, as `cost_draws` takes them, and the configuration of each."""

    key: NDArray  # (n,) the same where the configuration is the same
    charged: Floats  # (n,) the cost of a hit up to the target, of a miss in full
    hit: NDArray[np.bool_]  # (n,)
    dearest: float  # the most that a trial can cost


def share_over_tasks(found: Sequence[Share]) -> Share | NotDefined:
    """exp(mean over tasks of the log share): the geometric mean, in which every task counts alike.

    Args:
        found: the share on every task.

    Returns:
        A lower bound where one of them is one; not defined without a task, or where the baseline has no hit on one.

    >>> share_over_tasks([Share(0.5, "="), Share(2.0, "=")]), share_over_tasks([Share(4.0, ">"), Share(1.0, "=")])
    (Share(value=1.0, bound='='), Share(value=2.0, bound='>'))
    """
    bounds = {share.bound for share in found}
    if not found or "<" in bounds:
        return NotDefined("the baseline has no hit on one of the tasks" if found else "there is no task")
    return Share(float(_geometric([share.value for share in found])), ">" if ">" in bounds else "=")


def share_over_tasks_interval(
    base: Sequence[Draws], scheme: Sequence[Draws], estimate: float, level: float = LEVEL
) -> Interval:
    """The interval of `share_over_tasks`: low and high draws of every task's share, combined draw by draw.

    Args:
        base: of every task, (draws,) low and high draws of the baseline's E[C].
        scheme: the same of the scheme's. Trials of one configuration on several tasks are correlated: take
            `joint_cost_draws` there.
        estimate: the share over tasks itself.
        level: how often the interval is to hold the truth.

    Returns:
        Its ends; the upper one is infinite where the scheme has no hit on one of the tasks.

    >>> one = Draws(np.full(9, 2.0), np.full(9, 4.0))
    >>> share_over_tasks_interval([one, one], [one, one], 1.0)
    Interval(low=0.5, high=2.0)
    """
    found = [share_draws(*pair) for pair in zip(base, scheme, strict=True)]
    low, high = (_geometric(drawn) for drawn in zip(*found, strict=True))
    return ends(
        np.nan_to_num(low, nan=0.0, posinf=np.inf), np.nan_to_num(high, nan=np.inf, posinf=np.inf), estimate, level
    )


def joint_cost_draws(tasks: Sequence[Outcomes], generator: np.random.Generator, draws: int = DRAWS) -> list[Draws]:
    """`cost_draws` of every task of a scheme that tried the same configurations on all of them.

    What a configuration does on one task it may well do on another. So its share of the probability is drawn once, and
    counts on every task; so does the unseen configuration's.

    Args:
        tasks: the trials of every task; a configuration may be missing from some.
        generator: of the draws.
        draws: how many.

    Returns:
        Low and high draws of E[C], task by task, row i of all of them from the same shares.
    """
    keys = np.unique(np.concatenate([one.key for one in tasks]))
    places = [np.searchsorted(keys, one.key) for one in tasks]
    found = [
        [_of_task(one, drawn[:, [*place, -1]]) for one, place in zip(tasks, places, strict=True)]
        for drawn in _blocks(keys.size, generator, draws)
    ]
    return [Draws(*map(np.concatenate, zip(*blocks, strict=True))) for blocks in zip(*found, strict=True)]


def _blocks(keys: int, generator: np.random.Generator, draws: int) -> Iterator[Floats]:
    """(some draws, keys + 1) shares, until there are so many draws."""
    most = max(1, AT_ONCE // (keys + 1))
    for start in range(0, draws, most):
        yield shares(np.ones(keys), generator, min(most, draws - start))


def _of_task(one: Outcomes, drawn: Floats) -> Draws:
    """The draws of one task: the shares of its own configurations, of which it may lack some."""
    return draws_by_shares(drawn / drawn.sum(axis=1, keepdims=True), one.charged, one.hit, one.dearest)


def _geometric(values: Sequence[float] | Sequence[Floats]) -> Floats:
    """The geometric mean over the first axis; 0 and infinity together are NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.exp(np.mean(np.log(np.asarray(values, float)), axis=0))
