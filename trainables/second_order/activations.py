# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of elementwise functions: Y = σ(X), Ẏ = σ'(X) Ẋ, Ÿ = σ'(X) Ẍ + σ''(X) Ẋ²."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order.jets import Jet, Lifted, plus, times

Slopes = Callable[[], tuple[Tensor, Tensor | None]]  # σ'(X) and σ''(X)


def elementwise(value: Tensor, input: Tensor, slopes: Slopes) -> Lifted:
    """The call of an elementwise function, with the jets that σ' and σ'' give.

    Args:
        value: σ(X)
        input: X
        slopes: computes σ'(X) and σ''(X) when a jet is wanted, None for a σ'' that is 0
    """

    def jet(dx: Jet) -> Jet:
        slope, bend = slopes()
        first = times(slope, dx.first)
        bent = None if bend is None or dx.first is None else bend * dx.first.square()
        return Jet(first, plus(bent, times(slope, dx.second)))

    return Lifted(value, (input,), jet)


def relu(input: Tensor, inplace: bool = False) -> Lifted | None:
    """σ = max(x, 0): σ' is 0 or 1, and σ'' = 0 almost everywhere (0 at 0, as in torch)."""
    if inplace:
        return None
    value = torch.relu(input)

    def masked(tangent: Tensor | None) -> Tensor | None:
        return None if tangent is None else torch.ops.aten.threshold_backward(tangent, value, 0)

    return Lifted(value, (input,), lambda dx: Jet(masked(dx.first), masked(dx.second)), curved=False)


def tanh(input: Tensor) -> Lifted:
    """σ' = 1 − σ²,  σ'' = −2σσ'."""
    value = torch.tanh(input)

    def slopes() -> tuple[Tensor, Tensor]:
        slope = 1 - value.square()
        return slope, -2 * value * slope

    return elementwise(value, input, slopes)


def sigmoid(input: Tensor) -> Lifted:
    """σ' = σ(1 − σ),  σ'' = σ'(1 − 2σ)."""
    value = torch.sigmoid(input)

    def slopes() -> tuple[Tensor, Tensor]:
        slope = value * (1 - value)
        return slope, slope * (1 - 2 * value)

    return elementwise(value, input, slopes)


def silu(input: Tensor, inplace: bool = False) -> Lifted | None:
    """y = xσ(x): y' = σ + xσ',  y'' = 2σ' + xσ''."""
    if inplace:
        return None

    def slopes() -> tuple[Tensor, Tensor]:
        gate = torch.sigmoid(input)
        slope = gate * (1 - gate)
        return gate + input * slope, slope * (2 + input * (1 - 2 * gate))

    return elementwise(functional.silu(input), input, slopes)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Lifted | None:
    """σ = x where x > 0, else ax: σ'' = 0 almost everywhere."""
    if inplace:
        return None

    def bent(tangent: Tensor | None) -> Tensor | None:
        return None if tangent is None else torch.where(input > 0, tangent, negative_slope * tangent)

    value = functional.leaky_relu(input, negative_slope)
    return Lifted(value, (input,), lambda dx: Jet(bent(dx.first), bent(dx.second)), curved=False)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Lifted | None:
    """σ = x where x > 0, else α(eˣ − 1): σ' = 1 or αeˣ,  σ'' = 0 or αeˣ."""
    if inplace:
        return None

    def slopes() -> tuple[Tensor, Tensor]:
        falling = alpha * torch.exp(input.clamp(max=0))
        return torch.where(input > 0, 1.0, falling), torch.where(input > 0, 0.0, falling)

    return elementwise(functional.elu(input, alpha), input, slopes)


def log(input: Tensor) -> Lifted:
    """σ' = 1/x,  σ'' = −1/x²."""
    return elementwise(torch.log(input), input, lambda: (input.reciprocal(), -input.reciprocal().square()))


def gelu(input: Tensor, approximate: str = "none") -> Lifted:
    """σ = xΦ(x): σ' = Φ + xφ, σ'' = (2 − x²)φ; or about that, x(1 + tanh u)/2 with u = √(2/π)(x + .044715x³)."""

    def exact() -> tuple[Tensor, Tensor]:
        density = torch.exp(-input.square() / 2) / math.sqrt(2 * math.pi)
        return torch.special.ndtr(input) + input * density, (2 - input.square()) * density

    def approximated() -> tuple[Tensor, Tensor]:
        factor, cubic = math.sqrt(2 / math.pi), 0.044715
        bent = torch.tanh(factor * (input + cubic * input**3))
        rest = 1 - bent.square()
        first, second = factor * (1 + 3 * cubic * input.square()), 6 * factor * cubic * input
        slope = (1 + bent) / 2 + input * rest * first / 2
        return slope, rest * first + input * rest * (second - 2 * bent * first.square()) / 2

    value = functional.gelu(input, approximate=approximate)
    return elementwise(value, input, exact if approximate == "none" else approximated)


def power(input: Tensor, exponent: object) -> Lifted | None:
    """σ = xⁿ for a number n: σ' = n xⁿ⁻¹,  σ'' = n(n−1) xⁿ⁻²."""
    if not isinstance(input, Tensor) or not isinstance(exponent, (int, float)):
        return None
    number = float(exponent)

    def slopes() -> tuple[Tensor, Tensor | None]:
        # x⁰ · 0 would be 0 · ∞ at 0 for exponents 0 and 1
        slope = number * input ** (number - 1) if number else torch.zeros_like(input)
        return slope, number * (number - 1) * input ** (number - 2) if number * (number - 1) else None

    return elementwise(input**exponent, input, slopes)


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


def exp(input: Tensor) -> Lifted:
    """σ = σ' = σ'' = eˣ."""
    value = torch.exp(input)
    return elementwise(value, input, lambda: (value, value))


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Lifted | None:
    """Y = X ⊙ M, the mask M drawn as torch draws it for this X."""
    if inplace or not training or p in (0.0, 1.0):
        return None
    # torch draws by another kernel where nothing requires a gradient
    mask = functional.dropout(torch.ones_like(input, requires_grad=True), p, True).detach()
    return Lifted(input * mask, (input,), lambda dx: Jet(times(mask, dx.first), times(mask, dx.second)), curved=False)
