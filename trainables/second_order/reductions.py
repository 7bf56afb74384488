# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of variances and norms; sums and means are linear (`arithmetic.linear_in_first`)."""

import math
from typing import Any

import torch
from torch import Tensor

from trainables.second_order.elementary import chained
from trainables.second_order.jets import Jet, Lifted, Parts, plus, times

Dims = int | tuple[int, ...] | None


def variance(
    input: Tensor, dim: Dims | bool = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = 1
) -> Lifted:
    """V = ΣC²/m with C = X − mean X and m = n − correction:  V̇ = 2ΣCĊ/m,  V̈ = 2Σ(Ċ² + CC̈)/m."""
    dims, correction = _dims(dim, unbiased, correction)
    value = torch.var(input, dims, correction=correction, keepdim=keepdim)
    return Lifted(value, (input,), lambda dx: _variance_jet(input, dx, dims, correction, keepdim))


def deviation(
    input: Tensor, dim: Dims | bool = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = 1
) -> Lifted:
    """S = √V; a derivative is 0 at V = 0, as in torch."""
    dims, correction = _dims(dim, unbiased, correction)
    value = torch.std(input, dims, correction=correction, keepdim=keepdim)

    def jet(dx: Jet) -> Jet:
        inverse = torch.where(value == 0, 0.0, 1 / value)
        return chained(_variance_jet(input, dx, dims, correction, keepdim), 0.5 * inverse, -0.25 * inverse**3)

    return Lifted(value, (input,), jet)


def variance_and_mean(
    input: Tensor, dim: Dims | bool = None, unbiased: bool = True, keepdim: bool = False, *, correction: Any = 1
) -> Parts:
    """V, and the mean, which is linear."""
    dims, correction = _dims(dim, unbiased, correction)
    spread, mean = torch.var_mean(input, dims, correction=correction, keepdim=keepdim)

    def averaged(tangent: Tensor | None) -> Tensor | None:
        return None if tangent is None else torch.mean(tangent, dims, keepdim=keepdim)

    calls = (
        Lifted(spread, (input,), lambda dx: _variance_jet(input, dx, dims, correction, keepdim)),
        Lifted(mean, (input,), lambda dx: Jet(averaged(dx.first), averaged(dx.second)), curved=False),
    )
    return Parts((spread, mean), calls)


def norm(input: Tensor, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Lifted | None:
    """Y = √ΣX², Euclidean or Frobenius:  Ẏ = ΣXẊ/Y,  Ÿ = (Σ(Ẋ² + XẌ) − Ẏ²)/Y; 0 at X = 0, as in torch."""
    if dtype is not None or p not in (2, "fro", None):
        return None
    dims = tuple(range(input.dim())) if dim is None else dim
    value = torch.linalg.vector_norm(input, 2, dims, keepdim)

    def jet(dx: Jet) -> Jet:
        if dx.first is None:
            return Jet()
        squares = plus(dx.first.square(), times(input, dx.second))
        inverse = torch.where(value == 0, 0.0, 1 / value)
        first = (input * dx.first).sum(dims, keepdim=keepdim) * inverse
        return Jet(first, (squares.sum(dims, keepdim=keepdim) - first.square()) * inverse)  # type: ignore[union-attr]

    return Lifted(value, (input,), jet)


def linear_algebra_norm(input: Tensor, ord: Any = None, dim: Dims = None, keepdim: bool = False) -> Lifted | None:
    """The same, of vectors and of matrices' numbers; `ord` of matrices is another norm."""
    given = 2 if dim is None else len(dim) if isinstance(dim, (tuple, list)) else 1
    return None if ord is not None and not (ord == 2 and given == 1) else norm(input, 2, dim, keepdim)


def vector_norm(input: Tensor, ord: Any = 2, dim: Dims = None, keepdim: bool = False) -> Lifted | None:
    """The same; all numbers are one vector where no dimension is named."""
    return norm(input, ord, dim, keepdim)


def _dims(dim: Dims | bool, unbiased: bool, correction: Any) -> tuple[Dims, Any]:
    """The dimensions of a variance, and its correction: torch's `var(x, False)` names no dimensions."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return dim, correction if unbiased else 0


def _variance_jet(input: Tensor, dx: Jet, dims: Dims, correction: Any, keepdim: bool) -> Jet:
    over = tuple(range(input.dim())) if dims is None or dims == () else dims

    def centred(tensor: Tensor) -> Tensor:
        return tensor - tensor.mean(over, keepdim=True)

    if dx.first is None:
        return Jet()
    sizes = [input.shape[dim] for dim in ((over,) if isinstance(over, int) else over)]
    degrees = torch.Size(sizes).numel() - (1 if correction is None else correction)
    share = 2 / degrees if degrees > 0 else math.nan  # as the variance itself
    around, moved = centred(input), centred(dx.first)
    curved = moved.square() if dx.second is None else moved.square() + around * dx.second
    first, second = (share * term.sum(over, keepdim=keepdim) for term in (around * moved, curved))
    return Jet(first, second)
