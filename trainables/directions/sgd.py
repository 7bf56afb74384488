"""The gradient itself."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from trainables.directions import Direction


@dataclass(frozen=True)
class SGD(Direction):
    """d = g, the negative of steepest descent (Robbins & Monro 1951).

    >>> import torch
    >>> g = torch.tensor([3.0])
    >>> SGD().apply(g, SGD().init(g), g)
    (tensor([3.]), ())
    """

    descends: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True

    def init(self, param: Tensor) -> tuple[()]:
        """No state."""
        return ()

    def apply(self, grad: Tensor, state: tuple[()], param: Tensor) -> tuple[Tensor, tuple[()]]:
        """d = g."""
        return grad, state
