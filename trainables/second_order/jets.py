"""The common part of the ways to compute a curvature: directions, results, and jets of tensors."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Along(NamedTuple):
    """The direction v of a curvature ⟨∇²J v, v⟩, by parameter name.

    `scale` is given where v is the gradient itself plus decay, v = scale · ∇J + λθ, which linear layers can use
    (`products.linear`); `decay` holds λ by name, 0 where it is absent.
    """

    vector: dict[str, Tensor]
    scale: Tensor | float | None = None
    decay: Mapping[str, Any] = {}


class Bent(NamedTuple):
    """A curvature and what it cost."""

    curvature: Tensor  # ⟨∇²J v, v⟩, a scalar
    price: float  # in gradients


class Jet(NamedTuple):
    """The first and second derivative of a tensor X(θ + t v) in t, at t = 0: Ẋ and Ẍ, shaped like X; None is zero."""

    first: Tensor | None = None
    second: Tensor | None = None
    macs: float = 0.0  # multiply-adds of the products that it took


ZERO = Jet()


class Own(NamedTuple):
    """The knowledge of a layer where the direction is the gradient's: Ẇ = scale · ∂J/∂W + decay · W."""

    adjoint: Tensor  # ∂J/∂Y of the layer's output
    scale: Tensor | float
    decay: Any


class Lifted(NamedTuple):
    """One call of a torch function, with the way to carry jets through it.

    `jet` takes one `Jet` for every tensor in `inputs`; what it returns follows from the chain rule,
    Ẏ = DF Ẋ  and  Ÿ = DF Ẍ + D²F[Ẋ, Ẋ],  with X all inputs together.
    """

    value: Tensor
    inputs: tuple[Tensor | None, ...]  # those that the value may be differentiated by
    jet: Callable[..., Jet]
    curved: bool = True  # False where D²F = 0 almost everywhere
    macs: float = 0.0  # multiply-adds of the value, of functions that are matrix products
    own: Callable[..., Jet] | None = None  # a cheaper `jet` along the gradient; takes an `Own` first
    lean: Callable[..., Jet] | None = None  # a `jet` that needs less memory and more time
    keeps: bool = True  # False where no jet reads the value, which may then be written into
    cell: bool = False  # True for one step of a recurrent layer


class Parts(NamedTuple):
    """One call of a torch function that returns several tensors, or is several calls in a row."""

    result: Any  # as torch returns it
    calls: tuple[Lifted, ...]  # in order; what a call takes comes from outside or from a call before it


def inner(left: dict[str, Tensor], right: dict[str, Tensor]) -> Tensor:
    """The inner product ⟨left, right⟩ over all tensors, a scalar.

    Args:
        left: by name
        right: by the same names, and maybe more

    >>> inner({"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 4.0])}).item()
    11.0
    """
    # `dot` needs no memory for the products, which would cost more than they do
    return torch.stack([torch.dot(value.flatten(), right[name].flatten()) for name, value in left.items()]).sum()


def plus(*terms: Tensor | None) -> Tensor | None:
    """The sum of the terms that are there.

    >>> plus(None, None) is None, plus(None, torch.tensor(1.0), torch.tensor(2.0)).item()
    (True, 3.0)
    """
    there = [term for term in terms if term is not None]
    return sum(there[1:], start=there[0]) if there else None


def times(left: Any, right: Any) -> Any:
    """The elementwise product, None being zero.

    Args:
        left: a tensor, a number, or None
        right: likewise
    """
    return None if left is None or right is None else left * right
