# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of elementary functions: Y = σ(X), Ẏ = σ'(X) Ẋ, Ÿ = σ'(X) Ẍ + σ''(X) Ẋ²."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainables.second_order.jets import Jet, Lifted, plus, times

Slopes = Callable[[], tuple[Tensor, Tensor | None]]  # σ'(X) and σ''(X)


def elementwise(value: Tensor, input: Tensor, slopes: Slopes, curved: bool = True) -> Lifted:
    """The call of an elementwise function, with the jets that σ' and σ'' give.

    Args:
        value: σ(X)
        input: X
        slopes: computes σ'(X) and σ''(X) when a jet is wanted, None for a σ'' that is 0
        curved: False where σ'' = 0 almost everywhere
    """

    def jet(dx: Jet) -> Jet:
        slope, bend = slopes()
        return chained(dx, slope, bend)

    return Lifted(value, (input,), jet, curved=curved)


def chained(dx: Jet, slope: Tensor, bend: Tensor | None) -> Jet:
    """The jet of σ(X): σ' Ẋ and σ' Ẍ + σ'' Ẋ².

    Args:
        dx: of X
        slope: σ'(X)
        bend: σ''(X), None where it is 0
    """
    bent = None if bend is None or dx.first is None else bend * dx.first.square()
    return Jet(times(slope, dx.first), plus(bent, times(slope, dx.second)))


def power(input: Any, exponent: Any) -> Lifted | None:
    """σ = xⁿ: σ' = n xⁿ⁻¹,  σ'' = n(n−1) xⁿ⁻²; where n depends on the parameters, exp(n log x) with its jet."""
    if isinstance(exponent, Tensor) and exponent.requires_grad:
        return _power_of_two(input, exponent)
    if not isinstance(input, Tensor) or isinstance(exponent, complex):
        return None

    def slopes() -> tuple[Tensor, Tensor | None]:
        first, second = exponent, exponent * (exponent - 1)
        if not isinstance(second, Tensor):  # x⁰ · 0 would be 0 · ∞ at 0 for exponents 0 and 1
            slope = first * input ** (first - 1) if first else torch.zeros_like(input)
            return slope, second * input ** (first - 2) if second else None
        slope = torch.where(first == 0, 0.0, first * input ** (first - 1))
        return slope, torch.where(second == 0, 0.0, second * input ** (first - 2))

    return elementwise(input**exponent, input, slopes)


def _power_of_two(input: Any, exponent: Tensor) -> Lifted:
    """Y = exp U with U = N log X:  U̇ = Ṅ log X + NẊ/X,  Ü = N̈ log X + 2ṄẊ/X + N(Ẍ/X − Ẋ²/X²)."""
    value = input**exponent

    def jet(dx: Jet, dn: Jet) -> Jet:
        base = torch.as_tensor(input, dtype=value.dtype, device=value.device)
        root = torch.log(base)
        log = chained(dx, base.reciprocal(), -base.reciprocal().square())
        first = plus(times(dn.first, root), times(exponent, log.first))
        mixed = times(dn.first, log.first)
        second = plus(times(dn.second, root), times(2, mixed), times(exponent, log.second))
        return chained(Jet(first, second), value, value)

    return Lifted(value, (input if isinstance(input, Tensor) else None, exponent), jet)


def power_of(input: Any, other: Any) -> Lifted | None:
    """Y = B ** A, the operator from the right."""
    return power(other, input)


def square(input: Tensor) -> Lifted | None:
    """σ = x²."""
    return power(input, 2)


def sqrt(input: Tensor) -> Lifted:
    """σ = √x: σ' = 1/2σ,  σ'' = −1/4σ³."""
    value = torch.sqrt(input)

    def slopes() -> tuple[Tensor, Tensor]:
        slope = 0.5 / value
        return slope, -2 * slope**3

    return elementwise(value, input, slopes)


def rsqrt(input: Tensor) -> Lifted:
    """σ = x^−½: σ' = −½σ³,  σ'' = ¾σ⁵."""
    value = torch.rsqrt(input)
    return elementwise(value, input, lambda: (-0.5 * value**3, 0.75 * value**5))


def reciprocal(input: Tensor) -> Lifted:
    """σ = 1/x: σ' = −σ²,  σ'' = 2σ³."""
    value = torch.reciprocal(input)
    return elementwise(value, input, lambda: (-value.square(), 2 * value**3))


def exp(input: Tensor) -> Lifted:
    """σ = σ' = σ'' = eˣ."""
    value = torch.exp(input)
    return elementwise(value, input, lambda: (value, value))


def log(input: Tensor) -> Lifted:
    """σ' = 1/x,  σ'' = −1/x²."""
    return elementwise(torch.log(input), input, lambda: (input.reciprocal(), -input.reciprocal().square()))


def sin(input: Tensor) -> Lifted:
    """σ' = cos x,  σ'' = −sin x."""
    value = torch.sin(input)
    return elementwise(value, input, lambda: (torch.cos(input), -value))


def cos(input: Tensor) -> Lifted:
    """σ' = −sin x,  σ'' = −cos x."""
    value = torch.cos(input)
    return elementwise(value, input, lambda: (-torch.sin(input), -value))


def absolute(input: Tensor) -> Lifted:
    """σ = |x|: σ' is the sign of x (0 at 0, as in torch)."""
    return elementwise(torch.abs(input), input, lambda: (torch.sign(input), None), curved=False)


def clamp(input: Tensor, min: Any = None, max: Any = None) -> Lifted | None:
    """σ = x between two numbers: σ' is 1 there, the ends among them as in torch, and 0 outside."""
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return None
    value = torch.clamp(input, min, max)

    def slopes() -> tuple[Tensor, None]:
        inside = torch.ones_like(input, dtype=torch.bool)
        inside = inside if min is None else inside & (input >= min)
        inside = inside if max is None else inside & (input <= max)
        return inside.to(input.dtype), None

    return elementwise(value, input, slopes, curved=False)


def clamp_min(input: Tensor, min: Any) -> Lifted | None:
    """σ = x, at least `min`."""
    return clamp(input, min)
