# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of elementwise functions: Y = σ(X), Ẏ = σ'(X) Ẋ, Ÿ = σ'(X) Ẍ + σ''(X) Ẋ²."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order.arithmetic import mapped
from trainables.second_order.elementary import elementwise
from trainables.second_order.jets import Jet, Lifted, times


def relu(input: Tensor, inplace: bool = False) -> Lifted:
    """σ = max(x, 0): σ' is 0 or 1, and σ'' = 0 almost everywhere (0 at 0, as in torch)."""
    value = torch.relu_(input) if inplace else torch.relu(input)

    def masked(tangent: Tensor | None) -> Tensor | None:
        return None if tangent is None else torch.ops.aten.threshold_backward(tangent, value, 0)

    return Lifted(value, (input,), lambda dx: Jet(masked(dx.first), masked(dx.second)), curved=False)


def relu_(input: Tensor) -> Lifted:
    """The same, written into X."""
    return relu(input, inplace=True)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Lifted:
    """σ = x between two numbers: σ' is 1 there and 0 outside, the ends too (as in torch)."""
    value = functional.hardtanh(input, min_val, max_val, inplace)

    def slopes() -> tuple[Tensor, None]:
        return ((value > min_val) & (value < max_val)).to(value.dtype), None

    return elementwise(value, input, slopes, curved=False)


def relu6(input: Tensor, inplace: bool = False) -> Lifted:
    """σ = x between 0 and 6."""
    return hardtanh(input, 0.0, 6.0, inplace)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Lifted:
    """σ = x/6 + ½ between 0 and 1."""
    value = functional.hardsigmoid(input, inplace)
    return elementwise(value, input, lambda: (((value > 0) & (value < 1)).to(value.dtype) / 6, None), curved=False)


def hardswish(input: Tensor, inplace: bool = False) -> Lifted:
    """y = x · hardsigmoid(x): y' = x/3 + ½ and y'' = ⅓ where |x| < 3, else 0 or 1 and 0."""
    source = input.detach().clone() if inplace else input

    def slopes() -> tuple[Tensor, Tensor]:
        between = source.abs() < 3
        slope = torch.where(between, source / 3 + 0.5, (source > 0).to(source.dtype))
        return slope, between.to(source.dtype) / 3

    return elementwise(functional.hardswish(input, inplace), input, slopes)


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


def silu(input: Tensor, inplace: bool = False) -> Lifted:
    """y = xσ(x): y' = σ + xσ',  y'' = 2σ' + xσ''."""
    source = input.detach().clone() if inplace else input

    def slopes() -> tuple[Tensor, Tensor]:
        gate = torch.sigmoid(source)
        slope = gate * (1 - gate)
        return gate + source * slope, slope * (2 + source * (1 - 2 * gate))

    return elementwise(functional.silu(input, inplace), input, slopes)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Lifted:
    """σ = x where x > 0, else ax: σ'' = 0 almost everywhere."""
    falling = input.detach() <= 0
    value = functional.leaky_relu(input, negative_slope, inplace)
    return mapped(value, input, lambda tangent: torch.where(falling, negative_slope * tangent, tangent))


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Lifted:
    """σ = x where x > 0, else α(eˣ − 1): σ' = 1 or αeˣ,  σ'' = 0 or αeˣ."""
    source = input.detach().clone() if inplace else input

    def slopes() -> tuple[Tensor, Tensor]:
        falling = alpha * torch.exp(source.clamp(max=0))
        return torch.where(source > 0, 1.0, falling), torch.where(source > 0, 0.0, falling)

    return elementwise(functional.elu(input, alpha, inplace), input, slopes)


def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Lifted:
    """y = log(1 + exp βx)/β: y' = σ(βx),  y'' = βσ(βx)(1 − σ(βx)); y = x where βx is above the threshold."""

    def slopes() -> tuple[Tensor, Tensor]:
        gate = torch.sigmoid(beta * input)
        straight = beta * input > threshold
        return torch.where(straight, 1.0, gate), torch.where(straight, 0.0, beta * gate * (1 - gate))

    return elementwise(functional.softplus(input, beta, threshold), input, slopes)


def logsigmoid(input: Tensor) -> Lifted:
    """y = log σ(x): y' = σ(−x),  y'' = −σ(x)σ(−x)."""

    def slopes() -> tuple[Tensor, Tensor]:
        gate = torch.sigmoid(-input)
        return gate, -gate * (1 - gate)

    return elementwise(functional.logsigmoid(input), input, slopes)


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


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Lifted | None:
    """Y = X ⊙ M, the mask M drawn as torch draws it for this X."""
    if not training or p == 0.0:
        return mapped(functional.dropout(input, p, training), input, lambda tangent: tangent)
    if inplace or p == 1.0:
        return None
    # torch draws by another kernel where nothing requires a gradient
    mask = functional.dropout(torch.ones_like(input, requires_grad=True), p, True).detach()
    return Lifted(input * mask, (input,), lambda dx: Jet(times(mask, dx.first), times(mask, dx.second)), curved=False)
