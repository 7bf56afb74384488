"""The heavy ball: an exponential sum of past gradients, plain or looked ahead (Nesterov)."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.directions import Direction
from trainables.space import setting


class Velocity(NamedTuple):
    """The sum of past gradients, shaped like the parameter."""

    velocity: Tensor


@dataclass(frozen=True)
class Momentum(Direction):
    """v ← μ v + g,  d = v  (Polyak 1964; in torch's form, where the rate stands outside v).

    μ is `momentum`.

    >>> direction, g = Momentum(momentum=0.5), torch.tensor([1.0])
    >>> first, state = direction.apply(g, direction.init(g), g)
    >>> second, state = direction.apply(g, state, g)
    >>> first.item(), second.item()
    (1.0, 1.5)
    """

    descends: ClassVar[bool] = False
    momentum: float = setting(0.9, valid=(0.0, 1.0))

    def init(self, param: Tensor) -> Velocity:
        """V = 0."""
        return Velocity(torch.zeros_like(param))

    def apply(self, grad: Tensor, state: Velocity, param: Tensor) -> tuple[Tensor, Velocity]:
        """D = v after this gradient."""
        velocity = self.momentum * state.velocity + grad
        return velocity, Velocity(velocity)


@dataclass(frozen=True)
class Nesterov(Direction):
    """v ← μ v + g,  d = g + μ v  (Nesterov 1983, in the form of Sutskever et al. 2013 that torch uses).

    μ is `momentum`.

    >>> direction, g = Nesterov(momentum=0.5), torch.tensor([1.0])
    >>> first, state = direction.apply(g, direction.init(g), g)
    >>> second, state = direction.apply(g, state, g)
    >>> first.item(), second.item()
    (1.5, 1.75)
    """

    descends: ClassVar[bool] = False
    momentum: float = setting(0.9, valid=(0.0, 1.0))

    def init(self, param: Tensor) -> Velocity:
        """V = 0."""
        return Velocity(torch.zeros_like(param))

    def apply(self, grad: Tensor, state: Velocity, param: Tensor) -> tuple[Tensor, Velocity]:
        """D = g + μv after this gradient."""
        velocity = self.momentum * state.velocity + grad
        return grad + self.momentum * velocity, Velocity(velocity)
