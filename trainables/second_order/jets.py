"""What the ways of computing a curvature share: directions, results, and jets of tensors."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Along(NamedTuple):
    """The direction v of a curvature ⟨∇²J v, v⟩, by parameter name.

    Where v is a multiple of the gradient itself plus decay, v = scale · ∇J + λθ, saying so by `scale` lets
    linear layers use it (`products.linear`); `decay` holds λ by name, 0 where it is absent.
    """

    vector: dict[str, Tensor]
    scale: Tensor | float | None = None
    decay: Mapping[str, Any] = {}


class Bent(NamedTuple):
    """A curvature and what it cost."""

    curvature: Tensor  # ⟨∇²J v, v⟩, a scalar
    price: float  # in gradients


def inner(left: dict[str, Tensor], right: dict[str, Tensor]) -> Tensor:
    """The inner product ⟨left, right⟩ over all tensors, a scalar.

    >>> inner({"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 4.0])}).item()
    11.0
    """
    return torch.stack([(value * right[name]).sum() for name, value in left.items()]).sum()
