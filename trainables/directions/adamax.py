"""Adamax: Adam with the largest gradient in place of the mean square."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.directions import Direction
from trainables.space import setting


class Norms(NamedTuple):
    """The running mean and the running largest size of one tensor's gradient."""

    mean: Tensor  # m, shaped like the parameter
    largest: Tensor  # u, shaped like the parameter
    steps: Tensor  # t, a scalar


@dataclass(frozen=True)
class Adamax(Direction):
    """d = m̂ / u,  u ← max(β₂ u, |g| + ε)  (Kingma & Ba 2015, arXiv 1412.6980, Algorithm 2).

    m̂ is Adam's; ε, which the paper does not have, keeps u off zero as torch does.
    β₁, β₂ and ε are `beta1`, `beta2` and `eps`.

    >>> direction, g = Adamax(beta1=0.0, beta2=0.5, eps=0.0), torch.tensor([4.0])
    >>> first, state = direction.apply(g, direction.init(g), g)
    >>> second, state = direction.apply(g / 4, state, g)  # u has halved to 2
    >>> first.item(), second.item()
    (1.0, 0.5)
    """

    descends: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.999, valid=(0.0, 1 - 1e-9))
    eps: float = setting(1e-8, valid=(0.0, 1.0))

    def init(self, param: Tensor) -> Norms:
        """m = u = 0 and t = 0."""
        zeros = torch.zeros_like(param)
        return Norms(zeros, zeros, torch.zeros((), dtype=torch.float64))

    def apply(self, grad: Tensor, state: Norms, param: Tensor) -> tuple[Tensor, Norms]:
        """d = m̂ / u after this gradient."""
        steps = state.steps + 1
        mean = torch.lerp(state.mean, grad, 1 - self.beta1)
        largest = torch.maximum(self.beta2 * state.largest, grad.abs() + self.eps)
        return mean / (largest * (1 - self.beta1**steps)), Norms(mean, largest, steps)
