# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of what puts tensors together, takes them apart, and fills them; all linear."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order.arithmetic import mapped
from trainables.second_order.jets import Jet, Lifted, Parts

Tangents = list[Tensor | None]


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Lifted:
    """Tensors side by side, along a new dimension."""
    return joined(torch.stack, tuple(tensors), dim)


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Lifted:
    """Tensors side by side."""
    return joined(torch.cat, tuple(tensors), dim)


def joined(function: Callable[..., Tensor], tensors: tuple[Tensor, ...], dim: int) -> Lifted:
    """A function that is linear in all of several tensors together.

    Args:
        function: of the tensors and `dim`
        tensors: its arguments
        dim: its last argument
    """

    def together(tangents: Tangents) -> Tensor | None:
        if all(tangent is None for tangent in tangents):
            return None
        return function([torch.zeros_like(x) if t is None else t for x, t in zip(tensors, tangents, strict=True)], dim)

    def jet(*jets: Jet) -> Jet:
        return Jet(together([each.first for each in jets]), together([each.second for each in jets]))

    return Lifted(function(tensors, dim), tensors, jet, curved=False)


def in_ranges(function: Callable[..., Sequence[Tensor]]) -> Callable[..., Parts]:
    """The jets of a function that cuts a tensor along `dim`, its last argument, into ranges that lie side by side."""

    def lift(input: Tensor, sizes: Any, dim: int = 0) -> Parts:
        values = tuple(function(input, sizes, dim))
        lengths = [value.shape[dim] for value in values]
        starts = [sum(lengths[:n]) for n in range(len(lengths))]
        calls = [
            mapped(value, input, lambda t, at=at, length=length: t.narrow(dim, at, length))
            for value, at, length in zip(values, starts, lengths, strict=True)
        ]
        return Parts(values, tuple(calls))

    return lift


def unbind(input: Tensor, dim: int = 0) -> Parts:
    """The slices of a tensor."""
    values = torch.unbind(input, dim)
    calls = [mapped(value, input, lambda t, n=n: t.select(dim, n)) for n, value in enumerate(values)]
    return Parts(values, tuple(calls))


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Lifted:
    """X in a frame: of a constant, whose tangent is 0, or of X itself."""
    return mapped(functional.pad(input, pad, mode, value), input, lambda t: functional.pad(t, pad, mode))


def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Lifted | None:
    """X, but a constant where the mask says so."""
    return mapped(input.masked_fill(mask, value), input, lambda t: t.masked_fill(mask, 0.0))


def where(condition: Tensor, input: Any, other: Any) -> Lifted:
    """A where the condition holds, else B."""
    value = torch.where(condition, input, other)

    def chosen(left: Tensor | None, right: Tensor | None) -> Tensor | None:
        if left is None and right is None:
            return None
        return torch.where(condition, 0.0 if left is None else left, 0.0 if right is None else right)

    def jet(da: Jet, db: Jet) -> Jet:
        return Jet(chosen(da.first, db.first), chosen(da.second, db.second))

    inputs = tuple(side if isinstance(side, Tensor) else None for side in (input, other))
    return Lifted(value, inputs, jet, curved=False)


def where_by_method(input: Tensor, condition: Tensor, other: Any) -> Lifted:
    """`input.where(condition, other)`."""
    return where(condition, input, other)


def shaped_like(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Lifted]:
    """The jets of a function that takes no more than a shape or a type from its second argument."""

    def lift(input: Tensor, other: Tensor) -> Lifted:
        call = mapped(function(input, other), input, lambda tangent: function(tangent, other))
        return call._replace(inputs=(input, other), jet=lambda dx, _: call.jet(dx))

    return lift
