# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of batch, layer, group, instance and root-mean-square normalisation."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order.jets import ZERO, Jet, Lifted, plus, times


class Standard(NamedTuple):
    """X̂ and its jet."""

    value: Tensor
    first: Tensor | None
    second: Tensor | None


def standardised(x: Tensor, dx: Jet, dims: Sequence[int], eps: float, centred: bool = True) -> Standard:
    """X̂ = C s with C = X − mean X, or C = X, and s = (mean C² + ε)^−½, means over `dims`; a real second derivative.

    With v = mean C²:  v̇ = 2 mean CĊ,  v̈ = 2 mean(Ċ² + CC̈),  ṡ = −½ s³ v̇,  s̈ = ¾ s⁵ v̇² − ½ s³ v̈,
    and X̂˙ = Ċs + Cṡ,  X̂¨ = C̈s + 2Ċṡ + Cs̈.

    Args:
        x: X
        dx: of X
        dims: over which means are taken
        eps: ε
        centred: False for C = X
    """

    def mean(tensor: Tensor) -> Tensor:
        return tensor.mean(tuple(dims), keepdim=True)

    def around(tensor: Tensor) -> Tensor:
        return tensor - mean(tensor) if centred else tensor

    base = around(x)
    scale = (mean(base.square()) + eps).rsqrt()
    value = base * scale
    if dx.first is None:
        return Standard(value, None, None)
    moved = around(dx.first)
    bent = None if dx.second is None else around(dx.second)
    spread = 2 * mean(base * moved)
    spread2 = 2 * mean(moved.square() if bent is None else moved.square() + base * bent)
    scale1 = -0.5 * scale**3 * spread
    scale2 = 0.75 * scale**5 * spread.square() - 0.5 * scale**3 * spread2
    second = plus(times(bent, scale), 2 * moved * scale1 + base * scale2)
    return Standard(value, moved * scale + base * scale1, second)


def _affine(hat: Standard, weight: Tensor | None, dw: Jet, db: Jet) -> Jet:
    """Y = X̂ ⊙ γ + β."""
    gamma = 1.0 if weight is None else weight
    mixed = times(hat.first, dw.first)
    first = plus(times(hat.first, gamma), times(hat.value, dw.first), db.first)
    second = plus(times(hat.second, gamma), times(2, mixed), times(hat.value, dw.second), db.second)
    return Jet(first, second)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Lifted:
    """In training the batch's own statistics (which move the buffers, once), else the running ones, constants."""
    before = None if training or running_mean is None or running_var is None else (running_mean, running_var)
    value = functional.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    shape = (1, -1, *(1 for _ in input.shape[2:]))

    def wide(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.reshape(shape)

    def jet(dx: Jet, dw: Jet, db: Jet) -> Jet:
        if before is None:
            hat = standardised(input, dx, [0, *range(2, input.dim())], eps)
        else:
            scale = (before[1] + eps).rsqrt().reshape(shape)
            centred = (input - before[0].reshape(shape)) * scale
            hat = Standard(centred, times(dx.first, scale), times(dx.second, scale))
        wide_w, wide_b = (Jet(wide(d.first), wide(d.second)) for d in (dw, db))
        return _affine(hat, wide(weight), wide_w, wide_b)

    return Lifted(value, (input, weight, bias), jet, keeps=False)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Lifted:
    """Every example over its last dimensions."""
    dims = range(-len(normalized_shape), 0)

    def jet(dx: Jet, dw: Jet, db: Jet) -> Jet:
        return _affine(standardised(input, dx, dims, eps), weight, dw, db)

    value = functional.layer_norm(input, normalized_shape, weight, bias, eps)
    return Lifted(value, (input, weight, bias), jet, keeps=False)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Lifted:
    """Every example over the channels and places of a group."""
    value = functional.group_norm(input, num_groups, weight, bias, eps)
    return _grouped(value, (input, weight, bias), num_groups, eps)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Lifted | None:
    """Every example and channel over its places; running statistics move once."""
    if not use_input_stats:
        return None
    value = functional.instance_norm(input, running_mean, running_var, weight, bias, True, momentum, eps)
    return _grouped(value, (input, weight, bias), input.shape[1], eps)


def _grouped(value: Tensor, inputs: tuple[Tensor, Tensor | None, Tensor | None], num_groups: int, eps: float) -> Lifted:
    x, weight, _ = inputs
    wide_shape = (1, -1, *(1 for _ in x.shape[2:]))

    def grouped(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.reshape(len(x), num_groups, -1)

    def wide(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.reshape(wide_shape)

    def jet(dx: Jet, dw: Jet, db: Jet) -> Jet:
        hat = standardised(x.reshape(len(x), num_groups, -1), Jet(grouped(dx.first), grouped(dx.second)), [-1], eps)
        full = Standard(hat.value.view(x.shape), *(t if t is None else t.view(x.shape) for t in hat[1:]))
        return _affine(full, wide(weight), *(Jet(wide(d.first), wide(d.second)) for d in (dw, db)))

    return Lifted(value, inputs, jet, keeps=False)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Lifted:
    """Every example over its last dimensions, its mean left where it is (Zhang & Sennrich 2019, arXiv 1910.07467)."""
    dims, small = range(-len(normalized_shape), 0), torch.finfo(input.dtype).eps if eps is None else eps

    def jet(dx: Jet, dw: Jet) -> Jet:
        return _affine(standardised(input, dx, dims, small, centred=False), weight, dw, ZERO)

    value = functional.rms_norm(input, normalized_shape, weight, eps)
    return Lifted(value, (input, weight), jet, keeps=False)
