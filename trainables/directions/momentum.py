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


class Damped(NamedTuple):
    """The sum of past gradients, and what the next one counts in it."""

    velocity: Tensor  # v, shaped like the parameter
    weight: Tensor  # of the next gradient in the sum, a scalar: 1 for the first, 1 − dampening for all others


@dataclass(frozen=True)
class Momentum(Direction):
    """v ← μ v + (1 − τ) g,  d = v  (Polyak 1964; in torch's form, where the rate stands outside v).

    μ is `momentum` and τ is `dampening`, which spares the first gradient, as in torch: v₁ = g₁.
    With μ = τ = 0 it is SGD.

    >>> direction, g = Momentum(momentum=0.5), torch.tensor([1.0])
    >>> first, state = direction.apply(g, direction.init(g), g)
    >>> second, state = direction.apply(g, state, g)
    >>> first.item(), second.item()
    (1.0, 1.5)
    """

    descends: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    momentum: float = setting(0.9, valid=(0.0, 1.0))
    dampening: float = setting(0.0, valid=(0.0, 1.0))

    def init(self, param: Tensor) -> Damped:
        """v = 0."""
        return Damped(torch.zeros_like(param), torch.ones((), dtype=torch.float64))

    def apply(self, grad: Tensor, state: Damped, param: Tensor) -> tuple[Tensor, Damped]:
        """d = v after this gradient."""
        if isinstance(self.dampening, float) and self.dampening == 0.0:  # spares a pass over memory
            velocity = self.momentum * state.velocity + grad
            return velocity, Damped(velocity, state.weight)
        velocity = self.momentum * state.velocity + state.weight * grad
        return velocity, Damped(velocity, torch.ones_like(state.weight) * (1 - self.dampening))


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
    elementwise: ClassVar[bool] = True
    momentum: float = setting(0.9, valid=(0.0, 1.0))

    def init(self, param: Tensor) -> Velocity:
        """v = 0."""
        return Velocity(torch.zeros_like(param))

    def apply(self, grad: Tensor, state: Velocity, param: Tensor) -> tuple[Tensor, Velocity]:
        """d = g + μv after this gradient."""
        velocity = self.momentum * state.velocity + grad
        return grad + self.momentum * velocity, Velocity(velocity)
