"""Slopes of one logarithm against another over the cells of a grid, with 95 % intervals."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from study.cost.quantities import NotDefined

TAIL = 0.025


class Slope(NamedTuple):
    """A slope and its 95 % interval."""

    estimate: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Tell if the interval holds the value."""
        return self.low <= value <= self.high


def slope_within(x: ArrayLike, y: ArrayLike, groups: ArrayLike) -> Slope | NotDefined:
    """The slope of y against x among cells of one group, groups free to lie anywhere; the mean over groups.

    One slope a group is one observation: Student's t over them, each weighted alike, asks nothing of the scatter
    inside a group. Groups of fewer than three cells are left out.

    Args:
        x: (cells,).
        y: (cells,).
        groups: (cells,) the group of each.

    Returns:
        The slope with its interval; not defined with fewer than two groups of three.

    >>> slope = slope_within([0, 1, 2, 0, 1, 2], [0, 2, 4, 9, 11, 13], [0, 0, 0, 1, 1, 1])
    >>> round(slope.estimate, 9), round(slope.high, 6)
    (2.0, 2.0)
    """
    x, y, groups = np.asarray(x, float), np.asarray(y, float), np.asarray(groups)
    slopes = [np.polyfit(x[groups == g], y[groups == g], 1)[0] for g in np.unique(groups) if (groups == g).sum() > 2]
    if len(slopes) < 2:
        return NotDefined("fewer than two anti-diagonals hold three settled cells")
    return _student(float(np.mean(slopes)), float(np.std(slopes, ddof=1)) / np.sqrt(len(slopes)), len(slopes) - 1)


def slope_across(x: ArrayLike, y: ArrayLike, groups: ArrayLike) -> Slope | NotDefined:
    """The slope of the groups' mean y against their mean x, by least squares, with Student's t.

    Cells of one group share what their product decides, so the group is one observation.

    Args:
        x: (cells,).
        y: (cells,).
        groups: (cells,) the group of each.

    Returns:
        The slope with its interval; not defined with fewer than three groups.

    >>> slope = slope_across([0, 0, 1, 1, 2, 2, 3], [0, 0, 3, 3, 6, 6, 9], [0, 0, 1, 1, 2, 2, 3])
    >>> round(slope.estimate, 9), round(slope.high, 6)
    (3.0, 3.0)
    """
    x, y, groups = np.asarray(x, float), np.asarray(y, float), np.asarray(groups)
    names = np.unique(groups)
    if len(names) < 3:
        return NotDefined("fewer than three anti-diagonals have settled")
    means = np.array([[x[groups == g].mean(), y[groups == g].mean()] for g in names])
    off = means[:, 0] - means[:, 0].mean()
    estimate = float(off @ means[:, 1] / (off @ off))
    left = means[:, 1] - means[:, 1].mean() - estimate * off
    freedom = len(names) - 2
    return _student(estimate, float(np.sqrt(left @ left / freedom / (off @ off))), freedom)


def _student(estimate: float, error: float, freedom: int) -> Slope:
    reach = float(stdtrit(freedom, 1 - TAIL) * error)
    return Slope(estimate, estimate - reach, estimate + reach)
