"""NAdam: Adam with Nesterov's look ahead."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.directions import Direction
from trainables.space import setting


class Moments(NamedTuple):
    """The running moments of one tensor's gradient, and how much of the first is start-up."""

    mean: Tensor  # m, shaped like the parameter
    square: Tensor  # v, shaped like the parameter
    product: Tensor  # Π μ, a scalar
    steps: Tensor  # t, a scalar


@dataclass(frozen=True)
class NAdam(Direction):
    """d = (μ' m/(1 − μ' Π) + (1−μ) g/(1 − Π)) / (√v̂ + ε)  (Dozat 2016, Algorithm 2).

    m, v and v̂ are Adam's; μ = β₁(1 − ½·.96^(tψ)) warms the momentum up, μ' is the next step's μ and
    Π = μ₁ ⋯ μ_t. β₁, β₂, ε and ψ are `beta1`, `beta2`, `eps` and `momentum_decay`. With β₁ = 0 it is Adam.

    >>> direction, g = NAdam(beta1=0.0, eps=0.0), torch.tensor([2.0, -3.0])
    >>> direction.apply(g, direction.init(g), g)[0].round(decimals=6).tolist()
    [1.0, -1.0]
    """

    descends: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.999, valid=(0.0, 1 - 1e-9))
    eps: float = setting(1e-8, valid=(0.0, 1.0))
    momentum_decay: float = setting(0.004, valid=(0.0, 1e3))

    def init(self, param: Tensor) -> Moments:
        """m = v = 0, Π = 1 and t = 0."""
        zeros, one = torch.zeros_like(param), torch.ones((), dtype=torch.float64)
        return Moments(zeros, zeros, one, torch.zeros_like(one))

    def apply(self, grad: Tensor, state: Moments, param: Tensor) -> tuple[Tensor, Moments]:
        """The direction after this gradient."""
        steps = state.steps + 1
        mean = torch.lerp(state.mean, grad, 1 - self.beta1)
        square = self.beta2 * state.square + (1 - self.beta2) * grad * grad
        now, after = self._momentum(steps), self._momentum(steps + 1)
        product = state.product * now
        ahead = mean * (after / (1 - product * after)) + grad * ((1 - now) / (1 - product))
        return ahead / ((square / (1 - self.beta2**steps)).sqrt() + self.eps), Moments(mean, square, product, steps)

    def _momentum(self, steps: Tensor) -> Tensor:
        return self.beta1 * (1 - 0.5 * 0.96 ** (steps * self.momentum_decay))
