# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of convolutions of one to three dimensions, and of transposed ones."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainables.second_order.jets import Jet, Lifted, plus, times

Size = int | tuple[int, ...]
Lift = Callable[..., Lifted]


def convolution(function: Callable[..., Tensor]) -> Lift:
    """The jets of a convolution: Y = X ∗ W + b, Ẏ = Ẋ ∗ W + X ∗ Ẇ + ḃ, Ÿ = Ẍ ∗ W + 2 Ẋ ∗ Ẇ + X ∗ Ẅ + b̈."""

    def lift(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Size = 1,
        padding: str | Size = 0,
        dilation: Size = 1,
        groups: int = 1,
    ) -> Lifted:
        value = function(input, weight, bias, stride, padding, dilation, groups)
        macs = float(value.numel() * weight[0].numel())
        return _lifted(function, value, (input, weight, bias), (stride, padding, dilation, groups), macs)

    return lift


def transposed_convolution(function: Callable[..., Tensor]) -> Lift:
    """The jets of a transposed convolution, likewise."""

    def lift(
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        dilation: Size = 1,
    ) -> Lifted:
        settings = (stride, padding, output_padding, groups, dilation)
        value = function(input, weight, bias, *settings)
        macs = float(input.numel() * weight[0].numel())
        return _lifted(function, value, (input, weight, bias), settings, macs)

    return lift


def _lifted(
    function: Callable[..., Tensor],
    value: Tensor,
    inputs: tuple[Tensor, Tensor, Tensor | None],
    settings: tuple[Any, ...],
    macs: float,
) -> Lifted:
    """Leanly, two halves of the batch after each other.

    Of few channels the scratch of a convolution is larger than its output (on the CPU 16 channels for 6).
    """
    image, weight, _ = inputs
    dims = weight.dim() - 2

    def convolved(left: Tensor | None, kernel: Tensor | None, parts: int) -> Tensor | None:
        if left is None or kernel is None:
            return None
        batches = left.chunk(parts) if left.dim() == dims + 2 else [left]
        done = [function(part, kernel, None, *settings) for part in batches]
        return done[0] if len(done) == 1 else torch.cat(done)

    def wide(shift: Tensor | None) -> Tensor | None:
        return None if shift is None else shift.reshape(-1, *(1 for _ in range(dims)))

    def jet(dx: Jet, dw: Jet, db: Jet, parts: int = 1) -> Jet:
        pairs = (dx.first, weight), (image, dw.first), (dx.second, weight), (dx.first, dw.first), (image, dw.second)
        pulled, moved, bent, mixed, curved = (convolved(*pair, parts) for pair in pairs)
        products = sum(term is not None for term in (pulled, moved, bent, mixed, curved))
        second = plus(bent, times(2, mixed), curved, wide(db.second))
        return Jet(plus(pulled, moved, wide(db.first)), second, macs * products)

    return Lifted(value, inputs, jet, macs=macs, lean=partial(jet, parts=2), keeps=False)
