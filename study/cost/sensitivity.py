"""Sensitivity to the learning rate, the loss of a default, and what should make one suspicious.

Here the numbers are losses, lower is better (an accuracy enters as 1 − accuracy or −accuracy; both give the
same).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from study.cost.quantities import NotDefined

SAME = 1e-9  # of a log10 distance: closer than this is the same, or a grid point drops out of its window


def grid_step(lrs: ArrayLike) -> float | NotDefined:
    """The step, in decades, of the grid that is even in log10 on which the learning rates lie.

    lrs: (m,) positive; repeats count once; rates printed with four or more digits are read as on the grid.

    >>> round(grid_step([0.1, 1, 10, 10]), 9)
    1.0
    >>> print(grid_step([0.1, 1, 2]))
    not defined, because the learning rates do not lie on a grid that is even in log10
    """
    lrs = np.asarray(lrs, float)
    if not (np.isfinite(lrs).all() and (lrs > 0).all()):
        return NotDefined("a learning rate is missing or not positive")
    points = _distinct(np.log10(lrs))
    if points.size < 2:
        return NotDefined("there are fewer than two learning rates")
    steps = np.diff(points)
    step = (points[-1] - points[0]) / (points.size - 1)
    if np.abs(steps - step).max() > 1e-3 * step:
        return NotDefined("the learning rates do not lie on a grid that is even in log10")
    return float(step)


def sensitivity(lrs: ArrayLike, losses: ArrayLike, diverged: float, decades: float | None = None) -> float | NotDefined:
    """S = mean over a log grid of min(ℓ(η), ℓ₀) − min ℓ (Wortsman et al. 2023).

    Args:
        lrs: (m,) positive, on a grid even in log10.
        losses: (m,) lower is better, NaN where diverged; the losses at one rate are averaged.
        diverged: ℓ₀, the loss at chance or at the start.
        decades: only the rates that close to the arm's own best count; the window can turn the ranking over, so report
            both. None: all rates.

    Returns:
        S in units of the loss; not defined where the rates lie on no such grid.

    >>> sensitivity([0.01, 0.1, 1, 10], [0.5, 0.1, 0.5, 7.0], diverged=0.9)
    0.4
    >>> round(sensitivity([0.01, 0.1, 1, 10], [0.5, 0.1, 0.5, 7.0], diverged=0.9, decades=1), 4)
    0.2667
    """
    step = grid_step(lrs)
    if isinstance(step, NotDefined):
        return step
    rates, curve = _curve(lrs, losses, diverged)
    if decades is not None:
        near = np.abs(rates - rates[curve.argmin()]) <= decades + SAME
        curve = curve[near]
    return float(curve.mean() - curve.min())


def width_decades(lrs: ArrayLike, losses: ArrayLike, point: float = 0.01) -> float | NotDefined:
    """The decades of learning rate within a point (0.01) of the best: (grid points − 1) × grid step.

    Args:
        lrs: (m,) as for `sensitivity`.
        losses: (m,) as for `sensitivity`.
        point: how far above the best a loss may lie.

    Returns:
        The width in decades, 0 where one rate alone is good; not defined off a grid, or where every trial diverged.

    >>> round(width_decades([0.01, 0.1, 1, 10], [0.5, 0.1, 0.105, 0.9]), 9)
    1.0
    """
    step = grid_step(lrs)
    if isinstance(step, NotDefined):
        return step
    _, curve = _curve(lrs, losses, np.inf)
    if not np.isfinite(curve).any():
        return NotDefined("every trial diverged")
    return float((np.count_nonzero(curve <= curve.min() + point) - 1) * step)


def best_on_edge(lrs: ArrayLike, losses: ArrayLike) -> bool:
    """Tell if the best trial stands at the smallest or largest learning rate that was tried.

    Args:
        lrs: (m,) positive.
        losses: (m,) lower is better, NaN where diverged.

    Returns:
        True where it does; false with a single rate, or where every trial diverged.

    >>> best_on_edge([0.1, 1, 10], [0.3, 0.2, 0.1])
    True
    """
    rates, curve = _curve(lrs, losses, np.inf)
    return rates.size > 1 and bool(np.isfinite(curve).any()) and curve.argmin() in (0, rates.size - 1)


def default_regret(default_scores: ArrayLike, tuned_baseline: float) -> float | NotDefined:
    """The score that the scheme's default configuration, untuned (k = 0), loses against the tuned baseline.

    Args:
        default_scores: (r,) of the default over seeds, higher is better.
        tuned_baseline: the baseline's score after tuning.

    Returns:
        The difference, below 0 where the untuned default is the better; not defined without a score.

    >>> round(default_regret([0.90, 0.92], 0.93), 9)
    0.02
    """
    scores = np.asarray(default_scores, float)
    if scores.size == 0:
        return NotDefined("the default configuration was not run")
    return float(tuned_baseline - scores.mean())


def violates_inclusion(general_best: float, special_best: float, tolerance: float) -> bool:
    """Tell if a scheme loses to its own special case by more than the tolerance (Choi et al. 2019).

    When both are tuned enough this is a bug, or a budget too small.

    Args:
        general_best: the scheme's expected best of k, higher is better.
        special_best: the special case's, of the same k.
        tolerance: by how much the scheme may be worse, in score.

    Returns:
        True where it loses by more.

    >>> violates_inclusion(0.90, 0.93, tolerance=0.01)
    True
    """
    return general_best < special_best - tolerance


def _distinct(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    logs = np.sort(logs)
    return logs[np.concatenate([[True], np.diff(logs) > SAME])]


def _curve(lrs: ArrayLike, losses: ArrayLike, diverged: float) -> tuple[NDArray, NDArray]:
    """log10 of the distinct rates, ascending, and the mean capped loss at each."""
    logs = np.log10(np.asarray(lrs, float))
    points = _distinct(logs)
    at = np.searchsorted(points, logs - SAME)
    capped = np.fmin(np.asarray(losses, float), diverged)  # fmin: a NaN is a diverged trial
    return points, np.bincount(at, capped) / np.bincount(at)
