# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of sums, products, and functions that are linear in one tensor."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainables.second_order.jets import Jet, Lifted, plus, times


def linear_in_first(function: Callable[..., Tensor]) -> Callable[..., Lifted]:
    """The jets of a function that is linear in its first argument, the others constant: Ẏ = F(Ẋ), Ÿ = F(Ẍ)."""

    def lift(input: Tensor, *args: Any, **kwargs: Any) -> Lifted:
        return mapped(function(input, *args, **kwargs), input, lambda tangent: function(tangent, *args, **kwargs))

    return lift


def mapped(value: Tensor, input: Tensor, function: Callable[[Tensor], Tensor]) -> Lifted:
    """One call whose jets are those of a linear function.

    Args:
        value: Y
        input: X
        function: takes Ẋ to Ẏ and Ẍ to Ÿ
    """

    def through(tangent: Tensor | None) -> Tensor | None:
        return None if tangent is None else function(tangent)

    return Lifted(value, (input,), lambda dx: Jet(through(dx.first), through(dx.second)), curved=False)


def add(input: Any, other: Any, alpha: float = 1) -> Lifted:
    """Y = A + αB, broadcast."""
    value = torch.add(input, other, alpha=alpha) if isinstance(input, Tensor) else input + alpha * other

    def summed(left: Tensor | None, right: Tensor | None) -> Tensor | None:
        return plus(left, right if alpha == 1 else times(alpha, right))

    def jet(da: Jet, db: Jet) -> Jet:
        return Jet(summed(da.first, db.first), summed(da.second, db.second))

    return Lifted(value, (_tensor(input), _tensor(other)), jet, curved=False, keeps=False)


def sub(input: Any, other: Any, alpha: float = 1) -> Lifted:
    """Y = A − αB, broadcast."""
    return add(input, other, -alpha)


def rsub(input: Any, other: Any) -> Lifted:
    """Y = B − A, broadcast."""
    return add(other, input, -1)


def mul(input: Any, other: Any) -> Lifted:
    """Y = A ⊙ B, broadcast:  Ẏ = ȦB + AḂ,  Ÿ = ÄB + 2ȦḂ + AB̈."""
    value = input * other

    def jet(da: Jet, db: Jet) -> Jet:
        first = plus(times(da.first, other), times(input, db.first))
        mixed = times(da.first, db.first)
        second = plus(times(da.second, other), times(2, mixed), times(input, db.second))
        return Jet(first, second)

    both = all(isinstance(side, Tensor) and side.requires_grad for side in (input, other))
    return Lifted(value, (_tensor(input), _tensor(other)), jet, curved=both)


def div(input: Any, other: Any) -> Lifted:
    """Y = A ⊘ B, broadcast:  Ẏ = (Ȧ − YḂ)/B,  Ÿ = (Ä − 2ẎḂ − YB̈)/B."""
    value = input / other

    def divided(tangent: Tensor | None) -> Tensor | None:
        return None if tangent is None else tangent / other

    def jet(da: Jet, db: Jet) -> Jet:
        first = divided(plus(da.first, times(-value, db.first)))
        mixed = None if first is None or db.first is None else -2 * first * db.first
        return Jet(first, divided(plus(da.second, mixed, times(-value, db.second))))

    constant = not (isinstance(other, Tensor) and other.requires_grad)
    return Lifted(value, (_tensor(input), _tensor(other)), jet, curved=not constant)


def rdiv(input: Any, other: Any) -> Lifted:
    """Y = B ⊘ A, broadcast."""
    return div(other, input)


def _tensor(value: Any) -> Tensor | None:
    return value if isinstance(value, Tensor) else None
