"""RAdam: Adam that waits until its second moment can be trusted."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from trainables.directions import Direction
from trainables.directions.adam import Moments
from trainables.space import setting


@dataclass(frozen=True)
class RAdam(Direction):
    """d = r m̂ / √v̂ where ρ > 5, else d = m̂  (Liu et al. 2020, arXiv 1908.03265, Algorithm 2).

    m, v and m̂ are Adam's; ρ∞ = 2/(1−β₂) − 1, ρ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ) is the length of a simple average with the
    same variance, r² = (ρ−4)(ρ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρ). As in torch, √v̂ = (√v + ε)/√(1−β₂ᵗ) and the threshold
    is 5 (the paper: 4). β₁, β₂ and ε are `beta1`, `beta2` and `eps`. The first direction is g itself:

    >>> direction, g = RAdam(), torch.tensor([2.0, -3.0])
    >>> direction.apply(g, direction.init(g), g)[0].round(decimals=4).tolist()
    [2.0, -3.0]
    """

    descends: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.999, valid=(0.0, 1 - 1e-9))  # ρ∞ must be finite
    eps: float = setting(1e-8, valid=(0.0, 1.0))

    def init(self, param: Tensor) -> Moments:
        """m = v = 0 and t = 0."""
        zeros = torch.zeros_like(param)
        return Moments(zeros, zeros, torch.zeros((), dtype=torch.float64))

    def apply(self, grad: Tensor, state: Moments, param: Tensor) -> tuple[Tensor, Moments]:
        """The direction after this gradient."""
        steps = state.steps + 1
        mean = torch.lerp(state.mean, grad, 1 - self.beta1)
        square = self.beta2 * state.square + (1 - self.beta2) * grad * grad
        unbiased = mean / (1 - self.beta1**steps)
        correction = 1 - self.beta2**steps
        longest = torch.zeros_like(steps) + 2 / (1 - self.beta2) - 1
        length = longest - 2 * steps * self.beta2**steps / correction
        trusted = length > 5
        # 6 stands in where nothing is trusted: a root of something negative would poison derivatives.
        short, long = torch.where(trusted, length, 6.0), torch.where(trusted, longest, 6.0)
        rectified = ((short - 4) * (short - 2) * long / ((long - 4) * (long - 2) * short)).sqrt()
        scale = rectified * correction.sqrt() / (square.sqrt() + self.eps)
        return torch.where(trusted, unbiased * scale, unbiased), Moments(mean, square, steps)
