# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of matrix products: linear layers, embeddings, convolutions, products of two."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order.jets import Jet, Lifted, Own, plus, times


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Lifted:
    """Y = X Wᵀ + b:  Ẏ = Ẋ Wᵀ + X Ẇᵀ + ḃ,  Ÿ = Ẍ Wᵀ + 2 Ẋ Ẇᵀ + X Ẅᵀ + b̈.

    Along the gradient itself, Ẇ = sẐᵀX + λW with Ẑ = ∂J/∂Y, so X Ẇᵀ = s(X Xᵀ)Ẑ + λ(Y − b) and
    Ẋ Ẇᵀ = s(Ẋ Xᵀ)Ẑ + λẊWᵀ: cheaper where rows < n_in · n_out / (n_in + n_out).
    """
    value = functional.linear(input, weight, bias)
    num_out, num_in = weight.shape
    rows = input.numel() // num_in
    macs = float(rows * num_in * num_out)

    def jet(dx: Jet, dw: Jet, db: Jet) -> Jet:
        along_input, input_products = _product(dx.first, dx.second, weight)
        along_weight, weight_products = _product(input, dx.first, dw.first)
        bent, bent_products = _product(input, None, dw.second)
        first = plus(along_input[0], along_weight[0], db.first)
        second = plus(along_input[1], times(2, along_weight[1]), bent[0], db.second)
        return Jet(first, second, macs * (input_products + weight_products + bent_products))

    def own(known: Own, dx: Jet, dw: Jet, db: Jet) -> Jet:
        adjoint, flat = known.adjoint.reshape(rows, num_out), input.reshape(rows, num_in)
        pulled = None if dx.first is None else functional.linear(dx.first, weight)
        both = flat if dx.first is None else torch.cat((flat, dx.first.reshape(rows, num_in)))
        gram = known.scale * ((both @ flat.T) @ adjoint)
        moved = gram[:rows].reshape(value.shape)
        second = None if pulled is None else 2 * gram[rows:].reshape(value.shape)
        if not (isinstance(known.decay, float) and known.decay == 0.0):
            moved = moved + known.decay * (value if bias is None else value - bias)
            second = plus(second, times(2 * known.decay, pulled))
        products = len(both) * rows * (num_in + num_out) + (0.0 if pulled is None else macs)
        return Jet(plus(moved, pulled, db.first), second, products)

    cheaper = rows < num_in * num_out / (num_in + num_out)
    return Lifted(value, (input, weight, bias), jet, macs=macs, own=own if cheaper else None)


def _product(left: Tensor | None, right: Tensor | None, weight: Tensor | None) -> tuple[list[Tensor | None], int]:
    """Both inputs times Wᵀ in one product, each None where it is zero, and the number of products it is worth."""
    there = [side for side in (left, right) if side is not None]
    if weight is None or not there:
        return [None, None], 0
    done = list(functional.linear(torch.stack(there) if len(there) == 2 else there[0][None], weight))
    return [None if side is None else done.pop(0) for side in (left, right)], len(there)


def matmul(input: Tensor, other: Tensor) -> Lifted | None:
    """Y = A B, batches broadcast, both with two dimensions at least."""
    if input.dim() < 2 or other.dim() < 2:
        return None
    value = torch.matmul(input, other)
    macs = float(value.numel() * input.shape[-1])
    return Lifted(value, (input, other), lambda da, db: product_jet(input, other, da, db), macs=macs)


def product_jet(left: Tensor, right: Tensor, da: Jet, db: Jet) -> Jet:
    """Ẏ = ȦB + AḂ,  Ÿ = ÄB + 2ȦḂ + AB̈.

    Args:
        left: A, of two dimensions at least
        right: B, likewise
        da: of A
        db: of B
    """
    pairs = (da.first, right), (left, db.first), (da.second, right), (da.first, db.first), (left, db.second)
    pulled, moved, bent, mixed, curved = (None if a is None or b is None else a @ b for a, b in pairs)
    there = [term for term in (pulled, moved, bent, mixed, curved) if term is not None]
    macs = float(sum(term.numel() for term in there) * left.shape[-1])
    return Jet(plus(pulled, moved), plus(bent, times(2, mixed), curved), macs)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Lifted | None:
    """Y = the rows of W that `input` names: linear in W."""
    if padding_idx is not None or max_norm is not None or scale_grad_by_freq or sparse:
        return None

    def rows(tangent: Tensor | None) -> Tensor | None:
        return None if tangent is None else functional.embedding(input, tangent)

    value = functional.embedding(input, weight)
    return Lifted(value, (weight,), lambda dw: Jet(rows(dw.first), rows(dw.second)), curved=False)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    padding: int | str | tuple[int, ...] = 0,
    dilation: int | tuple[int, ...] = 1,
    groups: int = 1,
) -> Lifted:
    """Y = X ∗ W + b:  Ẏ = Ẋ ∗ W + X ∗ Ẇ + ḃ,  Ÿ = Ẍ ∗ W + 2 Ẋ ∗ Ẇ + X ∗ Ẅ + b̈.

    Leanly, two halves of the batch after each other: of few channels the scratch of a convolution is larger than its
    output (on the CPU 16 channels for 6).
    """

    def convolved(left: Tensor | None, kernel: Tensor | None, parts: int) -> Tensor | None:
        if left is None or kernel is None:
            return None
        batches = left.chunk(parts) if left.dim() == 4 else [left]
        done = [torch.conv2d(part, kernel, None, stride, padding, dilation, groups) for part in batches]
        return done[0] if len(done) == 1 else torch.cat(done)

    def wide(shift: Tensor | None) -> Tensor | None:
        return None if shift is None else shift[:, None, None]

    def jet(dx: Jet, dw: Jet, db: Jet, parts: int = 1) -> Jet:
        pairs = (dx.first, weight), (input, dw.first), (dx.second, weight), (dx.first, dw.first), (input, dw.second)
        pulled, moved, bent, mixed, curved = (convolved(*pair, parts) for pair in pairs)
        products = sum(term is not None for term in (pulled, moved, bent, mixed, curved))
        second = plus(bent, times(2, mixed), curved, wide(db.second))
        return Jet(plus(pulled, moved, wide(db.first)), second, macs * products)

    value = torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    macs = float(value.numel() * weight[0].numel())
    return Lifted(value, (input, weight, bias), jet, macs=macs, lean=partial(jet, parts=2))
