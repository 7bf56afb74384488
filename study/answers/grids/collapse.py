"""Collapse: how much scores differ among cells of equal ηλ, next to how much ηλ itself changes them."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ncfdtr

from study.cost.quantities import NotDefined

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
NEAR = 0.1  # of a natural logarithm: products so close count as equal (a grid of 1, 3, 10 has 0.03·0.03 beside 0.001)
TAIL = 0.025
LARGEST = 1e7  # of a noncentrality: beyond it the spread within is nothing
TINY = 1e-12  # of the scores' size: spread that rounding makes


class Collapse(NamedTuple):
    """The spread within over the spread across, with a 95 % interval; 0 where only ηλ matters."""

    within: float  # standard deviation of cells around the mean of their anti-diagonal
    across: float  # standard deviation of those means, each cell counted
    ratio: float
    low: float
    high: float
    cells: int
    products: int


def anti_diagonals(rates: ArrayLike, decays: ArrayLike) -> Ints:
    """(n,) the number of each cell's anti-diagonal, 0 the smallest product.

    Args:
        rates: (n,) η of each cell, positive.
        decays: (n,) λ of each cell, positive.

    Returns:
        (n,) cells whose ηλ is equal up to rounding have the same number.

    >>> anti_diagonals([1.0, 2.0, 2.0, 4.0], [4.0, 2.0, 4.0, 1.0]).tolist()
    [0, 0, 1, 0]
    """
    logs = np.log(np.asarray(rates, float) * np.asarray(decays, float))
    order = np.argsort(logs, kind="stable")
    steps = np.concatenate([[0], np.diff(logs[order]) > NEAR])
    groups = np.empty(len(logs), np.intp)
    groups[order] = np.cumsum(steps)
    return groups


def collapse(scores: ArrayLike, groups: ArrayLike) -> Collapse | NotDefined:
    """The collapse statistic of one score a cell; groups say which cells have equal products.

    F = mean square between groups over mean square within is distributed as a noncentral F of noncentrality
    Λ = Σ n_p (μ_p − μ)²/σ², if cells scatter normally around their group's mean with the same σ; the ratio is
    σ/√(Σ n_p (μ_p − μ)²/N) = √(N/Λ). Its estimate and the ends of its interval are those whose Λ puts the observed F at
    the median and at the outer 2½ % (the interval of Steiger & Fouladi 1997), so all three are infinite where nothing
    shows that ηλ matters.

    Args:
        scores: (n,) one a cell.
        groups: (n,) from `anti_diagonals`; those of one cell say nothing of the spread within, and are left out.

    Returns:
        The statistic; not defined with fewer than two groups of two cells, or where scores are equal or missing.
    """
    scores, groups = np.asarray(scores, float), np.asarray(groups, np.intp)
    counted = np.bincount(groups)[groups] > 1
    scores, groups = scores[counted], np.unique(groups[counted], return_inverse=True)[1]
    sizes = np.bincount(groups)
    num_cells, num_groups = len(scores), len(sizes)
    if not np.isfinite(scores).all():
        return NotDefined("a cell has no score")
    if num_groups < 2:
        return NotDefined("fewer than two anti-diagonals hold two cells")
    means = np.bincount(groups, scores) / sizes
    inner = float(((scores - means[groups]) ** 2).sum()) / (num_cells - num_groups)
    outer = float((sizes * (means - scores.mean()) ** 2).sum())
    within, across = np.sqrt(inner), np.sqrt(outer / num_cells)
    floor = TINY * float(np.abs(scores).max())
    if max(within, across) <= floor:
        return NotDefined("all scores are equal")
    if within <= floor:
        return Collapse(0.0, across, 0.0, 0.0, 0.0, num_cells, num_groups)
    freedom = num_groups - 1, num_cells - num_groups
    ratios = [
        np.sqrt(num_cells / noncentrality) if noncentrality else np.inf
        for noncentrality in (_noncentrality(outer / freedom[0] / inner, *freedom, p) for p in (TAIL, 0.5, 1 - TAIL))
    ]
    low, middle, high = map(float, ratios)
    return Collapse(float(within), float(across), middle, low, high, num_cells, num_groups)


def _noncentrality(observed: float, between: int, within: int, share: float) -> float:
    """The noncentrality at which that share of an F lies below the observed one; 0 where none puts so much there."""
    from scipy.optimize import brentq  # half a second, which only a study with a grid need wait

    def missing(noncentrality: float) -> float:
        return float(ncfdtr(between, within, noncentrality, observed)) - share

    if missing(0.0) <= 0:
        return 0.0
    high = 4 * between * max(observed, 1.0)
    while missing(high) > 0 and high < LARGEST:
        high *= 2
    root: Any = brentq(missing, 0.0, high) if missing(high) < 0 else high
    return float(root)
