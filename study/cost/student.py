"""Student's interval of a mean, for the few seeds that somebody trains a chosen configuration on."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from study.cost.intervals import LEVEL
from study.cost.quantities import Interval, NotDefined


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
