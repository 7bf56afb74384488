"""Adadelta: steps in the units of the parameters."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.directions import Direction
from trainables.space import setting


class Squares(NamedTuple):
    """Running mean squares, shaped like the parameter."""

    gradient: Tensor  # E[g²]
    step: Tensor  # E[d²]


@dataclass(frozen=True)
class Adadelta(Direction):
    """d = g √(E[d²] + ε) / √(E[g²] + ε)  (Zeiler 2012, arXiv 1212.5701, Algorithm 1).

    E[g²] ← ρ E[g²] + (1−ρ) g² before and E[d²] ← ρ E[d²] + (1−ρ) d² after; ρ and ε are `rho` and `eps`.
    The paper's rate is 1. Both roots are positive, so d descends.

    >>> direction, g = Adadelta(rho=0.0, eps=9.0), torch.tensor([4.0])
    >>> direction.apply(g, direction.init(g), g)[0].item()  # 4 · √9 / √(16 + 9)
    2.4000000953674316
    """

    descends: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True
    rho: float = setting(0.9, valid=(0.0, 1.0))
    eps: float = setting(1e-6, valid=(1e-30, float("inf")))  # with ε = 0 nothing would ever move

    def init(self, param: Tensor) -> Squares:
        """E[g²] = E[d²] = 0."""
        zeros = torch.zeros_like(param)
        return Squares(zeros, zeros)

    def apply(self, grad: Tensor, state: Squares, param: Tensor) -> tuple[Tensor, Squares]:
        """The direction after this gradient."""
        gradient = self.rho * state.gradient + (1 - self.rho) * grad * grad
        direction = grad * (state.step + self.eps).sqrt() / (gradient + self.eps).sqrt()
        return direction, Squares(gradient, self.rho * state.step + (1 - self.rho) * direction * direction)
