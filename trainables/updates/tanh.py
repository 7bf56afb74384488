"""The hyperbolic tangent as a quotient of two polynomials: a sixth of the time of the exact one in a compiled loop."""

import torch
from torch import Tensor

LEVELS = 13
"""Of the fraction: the error, 4e-8 of the value, is then below that of float32 itself: in all 4e-7, absolute 2e-7."""

END = 9.0
"""From here on the tangent is 1 in float32."""


def fraction(levels: int) -> tuple[list[int], list[int]]:
    """The coefficients in x² of two polynomials: tanh x ≈ x · P/Q  (J. H. Lambert 1768: x/(1 + x²/(3 + x²/(5 + …)))).

    >>> fraction(2)  # x/(1 + x²/3)
    ([3], [3, 1])
    """
    below, above = [1], [2 * levels - 1]
    for level in range(levels - 1, 0, -1):
        grown = [(2 * level - 1) * number for number in above]
        grown += [0] * (len(below) + 1 - len(grown))
        for power, number in enumerate(below):
            grown[power + 1] += number
        below, above = above, grown
    return below, above


def tanh(x: Tensor) -> Tensor:
    """tanh x, in float32 by Lambert's fraction, of which every term is positive, so that nothing cancels."""
    if x.dtype != torch.float32:
        return NotImplemented
    x = x.clamp(-END, END)
    square = x * x
    numerator, denominator = (_polynomial(numbers, square) for numbers in fraction(LEVELS))
    return (x * numerator / denominator).clamp(-1, 1)


def _polynomial(numbers: list[int], x: Tensor) -> Tensor:
    value = x * float(numbers[-1])
    for number in reversed(numbers[1:-1]):
        value = (value + float(number)) * x
    return value + float(numbers[0])
