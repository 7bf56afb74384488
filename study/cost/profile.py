"""Many tasks at once: performance profiles, and aggregates with their bootstrap."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def performance_profile(times: ArrayLike, taus: ArrayLike) -> Floats:
    """ρ_s(τ) = #{tasks: t_s ≤ τ min_s t}/number of tasks (Dolan & Moré 2002). Shape (schemes, len(taus)).

    A task that nobody reaches is a miss for everybody, and stays in the denominator.

    Args:
        times: (schemes, tasks), ≥ 0; NaN or infinite is a miss.
        taus: (m,) multiples of the fastest scheme's time, ≥ 1.

    Returns:
        (schemes, m) shares of tasks, in [0, 1].

    >>> performance_profile([[1, 4], [2, float("inf")]], [1, 2]).tolist()
    [[1.0, 1.0], [0.0, 0.5]]
    """
    return (cost_ratios(times)[:, None, :] <= np.asarray(taus, float)[:, None]).mean(axis=2)


def cost_ratios(times: ArrayLike) -> Floats:
    """The τ at which each scheme's curve jumps on each task: t_s / min_s t, 1 of the cheapest, infinite of a miss.

    Args:
        times: (schemes, tasks) as in `performance_profile`.

    Returns:
        (schemes, tasks), ≥ 1.

    >>> cost_ratios([[1, 0], [2, 3], [float("nan"), 0]]).tolist()
    [[1.0, 1.0], [2.0, inf], [inf, 1.0]]
    """
    times = np.asarray(times, float)
    times = np.where(np.isnan(times), np.inf, times)
    cheapest = times.min(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = times / cheapest
    ratios[times == cheapest] = 1.0  # also where the cheapest costs nothing
    ratios[np.isinf(times)] = np.inf
    return ratios


def profile_scores(times: ArrayLike, r_max: float = 4.0, points: int = 100) -> Floats:
    """B_s = 1/(r_max − 1) ∫₁^{r_max} ρ_s(τ) dτ (AlgoPerf, Dahl et al. 2023), one a scheme, in [0, 1].

    By the trapezoid rule on even points, as AlgoPerf publishes it: the exact integral differs in the third decimal.

    Args:
        times: (schemes, tasks) as in `performance_profile`.
        r_max: the multiple of the fastest time up to which is integrated.
        points: how many values of τ.

    Returns:
        (schemes,) the scores.

    >>> profile_scores([[1, 4], [2, float("inf")]]).round(3).tolist()
    [1.0, 0.336]
    """
    taus = np.linspace(1.0, r_max, points)
    return np.asarray(np.trapezoid(performance_profile(times, taus), taus, axis=1)) / (r_max - 1.0)


def interquartile_mean(scores: Sequence[ArrayLike]) -> float:
    """The mean of the middle half of all runs × tasks: the 25 % trimmed mean (Agarwal et al. 2021).

    scores: one array of runs a task; tasks may have different numbers of runs.

    >>> interquartile_mean([[0, 1], [2, 100]])
    1.5
    """
    pooled = np.sort(np.concatenate([np.ravel(np.asarray(task, float)) for task in scores]))
    cut = int(0.25 * pooled.size)
    return float(pooled[cut : pooled.size - cut].mean())


def probability_of_improvement(ours: Sequence[ArrayLike], theirs: Sequence[ArrayLike]) -> float:
    """P(ours > theirs) on a random task: the mean over tasks of Mann–Whitney's U/(n m); a tie counts half.

    Args:
        ours: one array of runs a task, higher is better.
        theirs: the same of the other side, for the same tasks.

    Returns:
        The probability, in [0, 1].

    Raises:
        ValueError: where both sides do not have equally many tasks.

    >>> probability_of_improvement([[1, 2]], [[1, 0]])
    0.875
    """
    shares = []
    for our, their in zip(ours, theirs, strict=True):
        our, their = np.asarray(our, float), np.sort(np.asarray(their, float))
        below = np.searchsorted(their, our, side="left") + np.searchsorted(their, our, side="right")
        shares.append(below.mean() / (2 * their.size))
    return float(np.mean(shares))


def stratified_bootstrap(
    statistic: Callable[..., float],
    *samples: Sequence[ArrayLike],
    generator: np.random.Generator,
    draws: int = 2000,
) -> Floats:
    """(draws,) the statistic on samples whose runs are drawn again, with replacement, inside each task.

    Args:
        statistic: takes the samples and gives one number.
        samples: what the statistic takes, each one array of runs a task.
        generator: of all randomness.
        draws: how many.

    Returns:
        (draws,) the statistic of each draw.

    >>> stratified_bootstrap(interquartile_mean, [[1], [3]], generator=np.random.default_rng(0), draws=2)
    array([2., 2.])
    """
    tasks = [[np.asarray(task, float) for task in sample] for sample in samples]
    again = lambda runs: runs[generator.integers(runs.size, size=runs.size)]  # noqa: E731
    return np.array([statistic(*[[again(runs) for runs in sample] for sample in tasks]) for _ in range(draws)])
