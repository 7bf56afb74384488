# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of matrix products: linear layers, embeddings, products of two tensors."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order.arithmetic import mapped
from trainables.second_order.jets import Jet, Lifted, Own, plus, times


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Lifted | None:
    """Y = X Wᵀ + b:  Ẏ = Ẋ Wᵀ + X Ẇᵀ + ḃ,  Ÿ = Ẍ Wᵀ + 2 Ẋ Ẇᵀ + X Ẅᵀ + b̈.

    Along the gradient itself, Ẇ = sẐᵀX + λW with Ẑ = ∂J/∂Y, so X Ẇᵀ = s(X Xᵀ)Ẑ + λ(Y − b) and
    Ẋ Ẇᵀ = s(Ẋ Xᵀ)Ẑ + λẊWᵀ: cheaper where rows < n_in · n_out / (n_in + n_out).
    """
    if weight.dim() != 2:
        return None
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
    return Lifted(value, (input, weight, bias), jet, macs=macs, own=own if cheaper else None, keeps=cheaper)


def _product(left: Tensor | None, right: Tensor | None, weight: Tensor | None) -> tuple[list[Tensor | None], int]:
    """Both inputs times Wᵀ in one product, each None where it is zero, and the number of products it is worth."""
    there = [side for side in (left, right) if side is not None]
    if weight is None or not there:
        return [None, None], 0
    done = list(functional.linear(torch.stack(there) if len(there) == 2 else there[0][None], weight))
    return [None if side is None else done.pop(0) for side in (left, right)], len(there)


def matmul(input: Tensor, other: Tensor) -> Lifted:
    """Y = A B, batches broadcast."""
    value = torch.matmul(input, other)
    macs = float(value.numel() * input.shape[-1])
    return Lifted(value, (input, other), lambda da, db: product_jet(input, other, da, db), macs=macs, keeps=False)


def product_jet(left: Tensor, right: Tensor, da: Jet, db: Jet) -> Jet:
    """Ẏ = ȦB + AḂ,  Ÿ = ÄB + 2ȦḂ + AB̈.

    Args:
        left: A
        right: B
        da: of A
        db: of B
    """
    return bilinear_jet(torch.matmul, left, right, da, db, factor=left.shape[-1])


def bilinear_jet(
    function: Callable[[Tensor, Tensor], Tensor], left: Tensor, right: Tensor, da: Jet, db: Jet, factor: float
) -> Jet:
    """The jet of Y = F(A, B), linear in both: Ẏ = F(Ȧ, B) + F(A, Ḃ),  Ÿ = F(Ä, B) + 2F(Ȧ, Ḃ) + F(A, B̈).

    Args:
        function: F
        left: A
        right: B
        da: of A
        db: of B
        factor: multiply-adds that one number of Y takes
    """
    pairs = (da.first, right), (left, db.first), (da.second, right), (da.first, db.first), (left, db.second)
    terms = [None if a is None or b is None else function(a, b) for a, b in pairs]
    pulled, moved, bent, mixed, curved = terms
    macs = float(sum(term.numel() for term in terms if term is not None) * factor)
    return Jet(plus(pulled, moved), plus(bent, times(2, mixed), curved), macs)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor) -> Lifted:
    """Y = B + A₁ A₂."""
    value = torch.addmm(input, mat1, mat2)

    def jet(db: Jet, da1: Jet, da2: Jet) -> Jet:
        product = product_jet(mat1, mat2, da1, da2)
        return Jet(plus(product.first, db.first), plus(product.second, db.second), product.macs)

    return Lifted(value, (input, mat1, mat2), jet, macs=float(value.numel() * mat1.shape[-1]), keeps=False)


def einsum(equation: Any, *operands: Any) -> Lifted | None:
    """Y = a sum of products of one tensor or two, named by letters: linear in each."""
    tensors: list[Tensor] = list(operands[0] if isinstance(operands[0], (list, tuple)) else operands)
    if not isinstance(equation, str) or len(tensors) > 2:
        return None
    value = torch.einsum(equation, *tensors)
    if len(tensors) == 1:
        return mapped(value, tensors[0], lambda tangent: torch.einsum(equation, tangent))
    left, right = tensors[0], tensors[1]
    factor = float(_summed(equation, left, right))

    def jet(da: Jet, db: Jet) -> Jet:
        return bilinear_jet(lambda a, b: torch.einsum(equation, a, b), left, right, da, db, factor)

    return Lifted(value, (left, right), jet, macs=value.numel() * factor, keeps=False)


def _summed(equation: str, *tensors: Tensor) -> int:
    """The product of the sizes of all letters that the result does not have."""
    terms, arrow, out = equation.replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms.split(","), tensors, strict=True):
        front, _, back = term.partition("...")
        sizes |= dict(zip(front, tensor.shape, strict=False))
        sizes |= dict(zip(reversed(back), reversed(tensor.shape), strict=False))
    kept = out if arrow else {letter for letter in sizes if terms.count(letter) == 1}
    return math.prod(size for letter, size in sizes.items() if letter not in kept)


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
