"""95 % intervals that hold what they promise, and a refusal where none does.

One idea serves all. Let F be the distribution of which n trials are a sample. The shares of F that fall
between the sorted trials are distributed like the n + 1 gaps between n sorted uniform numbers, that is like n
+ 1 equal shares of a stick broken at random (Dirichlet(1, …, 1)), whatever F is. n of the shares stand on the
trials, and one, the *unseen trial*, may lie anywhere: on the bad side for one end of the interval and on the
good side for the other. For hits alone this is Clopper–Pearson's interval; for a mean it is that of
Learned-Miller and Thomas (2020, arXiv:1905.06208); we use it for every statistic that can only rise when a
trial gets better.

Measured coverage: `tests/benchmarks/interval_coverage.py`. A plain percentile bootstrap has no unseen trial,
so it is too narrow wherever few trials decide. What no interval can know is a better kind of trial so rare that
none is in hand: the simulated arms have at least one good trial in ten.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, stdtrit

from study.cost.quantities import Draws, Interval, NotDefined

Floats = NDArray[np.float64]

LEVEL = 0.95
DRAWS = 10_000
RESOLUTION = 16  # beyond this many trials neighbours are drawn in groups, finest at the top


def hit_probability_interval(n: int, h: int) -> Interval:
    """Clopper and Pearson's interval of the probability that a trial is a hit.

    Args:
        n: how many trials there are.
        h: how many of them are hits.

    Returns:
        The interval at level .95, within [0, 1].

    >>> [round(end, 4) for end in hit_probability_interval(36, 2)]
    [0.0068, 0.1866]
    """
    tail = (1 - LEVEL) / 2
    low = float(betaincinv(h, n - h + 1, tail)) if h > 0 else 0.0
    high = float(betaincinv(h + 1, n - h, 1 - tail)) if h < n else 1.0
    return Interval(low, high)


def trials_interval(n: int, h: int) -> Interval:
    """The interval of 1/p, the trials up to the first hit; without a hit nothing bounds it from above.

    Args:
        n: how many trials there are.
        h: how many of them are hits.

    Returns:
        The interval at level .95, in trials.

    >>> [round(end, 2) for end in trials_interval(36, 0)]
    [10.27, inf]
    """
    low, high = hit_probability_interval(n, h)
    return Interval(1 / high, 1 / low if low > 0 else np.inf)


def cost_shares(hit: ArrayLike, generator: np.random.Generator, draws: int = DRAWS) -> Floats:
    """The shares of misses, of hits and of the unseen trial, by which `cost_draws` weighs what they cost.

    Args:
        hit: (n,) whether the trial reached the target.
        generator: of the draws.
        draws: how many.

    Returns:
        (draws, m + 1) shares of m groups of trials and last of the unseen one; the same for costs in every unit.
    """
    hits = int(np.sum(np.asarray(hit, bool)))
    counts = [even_groups(np.zeros(size))[0] for size in (np.size(hit) - hits, hits)]
    return shares(np.concatenate(counts), generator, draws)


def cost_draws(
    full: ArrayLike,
    charged: ArrayLike,
    hit: ArrayLike,
    share: Floats,
    dearest: float | None = None,
) -> Draws:
    """(draws,) low and high draws of E[C] = E[charged]/p: what independent trials cost up to the first hit.

    The unseen trial is a hit at no cost for the low draws, and a miss at the dearest cost for the high ones. No
    interval of a mean covers where costs have no bound: where hits end at the target and misses die early, a dear miss
    may be missing from the trials in hand, and the interval then covers far less often than it says.

    Args:
        full: (n,) the cost of the whole trial.
        charged: (n,) that of a hit up to the target, of a miss in full.
        hit: (n,) whether the trial reached the target.
        share: of every trial in every draw, from `cost_shares`.
        dearest: the most that a trial can cost; None: the dearest in hand, an assumption that whoever prints must say.

    Returns:
        The draws; without any hit the high ones are infinite.

    Raises:
        ValueError: where a trial cost more than `dearest`.
    """
    full, charged, hit = np.asarray(full, float), np.asarray(charged, float), np.asarray(hit, bool)
    if dearest is not None and dearest < full.max():
        raise ValueError(f"no trial can cost more than the dearest, got {dearest=} and a trial of {full.max()}")
    missed = even_groups(np.sort(charged[~hit]))
    found = even_groups(np.sort(charged[hit]))
    reached = np.arange(missed[0].size + found[0].size) >= missed[0].size
    most = float(full.max()) if dearest is None else dearest
    return draws_by_shares(share, np.concatenate([missed[1], found[1]]), reached, most)


def draws_by_shares(share: Floats, charged: Floats, hit: NDArray[np.bool_], dearest: float) -> Draws:
    """Low and high draws of E[C] from drawn shares of the trials, or of groups of them: see `cost_draws`.

    Args:
        share: (draws, m + 1) of m groups and the unseen trial; each row sums to 1.
        charged: (m,) the mean charge of each group.
        hit: (m,) whether its trials are hits.
        dearest: the most that a trial can cost.

    Returns:
        (draws,) of both ends; without any hit the high ones are infinite.
    """
    spent, success, unseen = share[:, :-1] @ charged, share[:, :-1] @ hit.astype(float), share[:, -1]
    high = np.full(len(share), np.inf)
    np.divide(spent + unseen * dearest, success, out=high, where=success > 0)
    return Draws(spent / (success + unseen), high)


def ends(low_draws: Floats, high_draws: Floats, estimate: float, level: float = LEVEL) -> Interval:
    """The outer quantiles of the draws, which never leave out the estimate itself.

    Args:
        low_draws: (draws,) of the low end.
        high_draws: (draws,) of the high end.
        estimate: the number itself.
        level: how often the interval is to hold the truth.

    Returns:
        The interval.

    >>> ends(np.arange(100.0), np.arange(100.0), estimate=99.0)
    Interval(low=2.0, high=99.0)
    """
    tail = int((1 - level) / 2 * low_draws.size)  # an order statistic: a draw may be infinite
    last = high_draws.size - 1 - tail
    low, high = np.partition(low_draws, tail)[tail], np.partition(high_draws, last)[last]
    return Interval(float(min(low, estimate)), float(max(high, estimate)))


def mean_interval(
    values: ArrayLike, low: float, high: float, generator: np.random.Generator, draws: int = DRAWS
) -> Interval:
    """The interval of a mean of r independent values that cannot leave [low, high] (Learned-Miller, Thomas).

    Args:
        values: (r,) within [low, high].
        low: the least that a value can be.
        high: the most.
        generator: of the draws.
        draws: how many.

    Returns:
        The interval at level .95.

    >>> generator = np.random.default_rng(0)
    >>> [round(end, 1) for end in mean_interval([0, 0, 0, 1], 0, 1, generator)]  # Clopper–Pearson's of 1 in 4
    [0.0, 0.8]
    """
    draws_of_it = mean_draws(values, low, high, generator, draws)
    return ends(*draws_of_it, float(np.mean(np.asarray(values, float))))


def mean_draws(values: ArrayLike, low: float, high: float, generator: np.random.Generator, draws: int = DRAWS) -> Draws:
    """(draws,) low and high draws of a mean; the unseen value lies at the low or at the high end.

    Args:
        values: (r,) within [low, high].
        low: the least that a value can be.
        high: the most.
        generator: of the draws.
        draws: how many.

    Returns:
        The draws of both ends.
    """
    values = np.sort(np.asarray(values, float))
    share = shares(np.ones(values.size), generator, draws)
    seen, unseen = share[:, :-1] @ values, share[:, -1]
    return Draws(seen + unseen * low, seen + unseen * high)


def student_interval(values: ArrayLike) -> Interval | NotDefined:
    """The 95 % interval of the mean of what values are a sample of, about normal: mean ± t · s/√n.

    Trials of a search are nothing like normal (`study.cost.intervals`); seeds of one configuration are.

    Args:
        values: (n,) finite.

    Returns:
        The interval; not defined for a single value.

    >>> [round(end, 4) for end in student_interval([1.0, 2.0, 3.0])]  # t = 4.3027 with 2 degrees of freedom
    [-0.4841, 4.4841]
    """
    values = np.asarray(values, float)
    if values.size < 2:
        return NotDefined("one value does not tell how much values differ")
    within = float(stdtrit(values.size - 1, (1 + LEVEL) / 2)) * float(values.std(ddof=1)) / math.sqrt(values.size)
    mean = float(values.mean())
    return Interval(mean - within, mean + within)


def shares(counts: ArrayLike, generator: np.random.Generator, draws: int) -> Floats:
    """Dirichlet shares of m groups of so many trials each, and last the unseen trial's.

    Args:
        counts: (m,) the size of each group.
        generator: of the draws.
        draws: how many.

    Returns:
        (draws, m + 1) shares; each row sums to 1.
    """
    sizes = np.append(np.asarray(counts, float), 1.0)
    alone = bool((sizes == 1).all())  # an exponential is the gamma of 1: the same numbers, in half the time
    shape = (draws, sizes.size)
    gaps = generator.standard_exponential(shape) if alone else generator.standard_gamma(sizes, shape)
    return np.divide(gaps, gaps.sum(axis=1, keepdims=True), out=gaps)


def even_groups(values: Floats, most: int = 8 * RESOLUTION) -> tuple[Floats, Floats]:
    """Group neighbours so that few groups remain; each value stays alone where they are few.

    Args:
        values: (n,) in ascending order.
        most: how many groups there may be.

    Returns:
        (m,) the sizes of the groups, and (m,) their means.
    """
    if values.size == 0:
        return np.empty(0), np.empty(0)
    starts = np.unique(np.linspace(0, values.size, min(most, values.size), endpoint=False).astype(int))
    counts = np.diff(np.append(starts, values.size))
    return counts.astype(float), np.add.reduceat(values, starts) / counts
