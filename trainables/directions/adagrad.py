"""Adagrad: the gradient over the root of the sum of all its squares."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.directions import Direction
from trainables.space import setting


class Sum(NamedTuple):
    """The sum over one tensor's gradients."""

    squares: Tensor  # Σ g², shaped like the parameter


@dataclass(frozen=True)
class Adagrad(Direction):
    """d = g / (√s + ε),  s ← s + g²  (Duchi, Hazan & Singer 2011, Figure 1, diagonal); ε is `eps`.

    The divisor is positive, so d descends. The second of two equal gradients counts 1/√2 of the first:

    >>> direction, g = Adagrad(eps=0.0), torch.tensor([2.0])
    >>> first, state = direction.apply(g, direction.init(g), g)
    >>> second, state = direction.apply(g, state, g)
    >>> first.item(), round(second.item(), 4)
    (1.0, 0.7071)
    """

    descends: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True
    eps: float = setting(1e-10, valid=(0.0, 1.0))

    def init(self, param: Tensor) -> Sum:
        """s = 0."""
        return Sum(torch.zeros_like(param))

    def apply(self, grad: Tensor, state: Sum, param: Tensor) -> tuple[Tensor, Sum]:
        """d = g / (√s + ε) after this gradient."""
        squares = state.squares + grad * grad
        return grad / (squares.sqrt() + self.eps), Sum(squares)
