# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of max pooling; average pooling is linear (`arithmetic.linear_in_first`)."""

from typing import Any

from torch import Tensor
from torch.nn import functional

from trainables.second_order.jets import Jet, Lifted


def max_pool2d(input: Tensor, *args: Any, return_indices: bool = False, **kwargs: Any) -> Lifted | None:
    """Y = the largest X of each window: tangents come from where it stands, and D² = 0 almost everywhere."""
    if return_indices or len(args) > 5:
        return None
    value, places = functional.max_pool2d(input, *args, return_indices=True, **kwargs)

    def picked(tangent: Tensor | None) -> Tensor | None:
        return None if tangent is None else tangent.flatten(-2).gather(-1, places.flatten(-2)).view(value.shape)

    return Lifted(value, (input,), lambda dx: Jet(picked(dx.first), picked(dx.second)), curved=False)
