"""Answers of statistics: a number, an interval, or in words why there is none."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class NotDefined:
    """A quantity that these trials do not define; it is false, and it is never a number.

    >>> print(NotDefined("there is no trial"))
    not defined, because there is no trial
    """

    because: str

    def __str__(self) -> str:
        return f"not defined, because {self.because}"

    def __bool__(self) -> bool:
        return False


class Interval(NamedTuple):
    """A 95 % interval; an end that nothing bounds is infinite."""

    low: float
    high: float


def unbounded(value: float | None, form: str | Callable[[float], str]) -> str:
    """Write a number that may have no bound; one that is not 1 never as 1: there lies what is told from the baseline.

    Args:
        value: the number; infinite, or None, where nothing bounds it
        form: how a finite one is written, as `format` takes it or as a function

    Returns:
        The number as text, with as many digits more as tell it from 1, or the sign of infinity.

    >>> unbounded(2.5, ".2f"), unbounded(float("inf"), ".2f"), unbounded(None, str)
    ('2.50', '∞', '∞')
    >>> unbounded(0.9963, ".2f"), unbounded(1.0004, ".2f"), unbounded(1.0, ".2f")
    ('0.996', '1.0004', '1.00')
    >>> unbounded(10.0, ".2f"), unbounded(0.1004, ".1f"), unbounded(1 + 1e-15, ".2f")
    ('10.00', '0.1', '1.00')
    """
    if value is None or math.isinf(value):
        return "∞"
    text = format(value, form) if isinstance(form, str) else form(value)
    if re.fullmatch(r"1(\.0*)?", text) and not math.isclose(value, 1, rel_tol=1e-9):
        longer = (f"{value:.{digits}f}" for digits in range(3, 17))
        text = next((more for more in longer if float(more) != 1), text)
    return text


class Draws(NamedTuple):
    """(draws,) each: pessimistic and optimistic draws of one quantity, draw by draw low ≤ high."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


class Cost(NamedTuple):
    """A cost, and whether it is only a lower bound because the target was never, or not always, reached."""

    value: float
    censored: bool
