"""RMSProp: the gradient over the root of its running mean square."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.directions import Direction
from trainables.space import setting


class Squares(NamedTuple):
    """The running moments of one tensor's gradient."""

    square: Tensor  # v, shaped like the parameter
    mean: Tensor | tuple[()]  # m, shaped like the parameter; only where `centered`


@dataclass(frozen=True)
class RMSProp(Direction):
    """d = g / (√v + ε),  v ← α v + (1−α) g²  (Tieleman & Hinton 2012, lecture 6.5); α and ε are `alpha` and `eps`.

    `centered` divides by the running standard deviation √(v − m²) instead, m ← α m + (1−α) g (Graves 2013,
    arXiv 1308.0850, equations 38–45, which put ε under the root; torch's form is the one above).

    Every divisor is positive, so d has the gradient's signs and descends: v ≥ m² as a variance is ≥ 0, and
    what rounding leaves below is set to 0, where torch's optimizer returns NaN.

    >>> direction, g = RMSProp(alpha=0.75, eps=0.0), torch.tensor([2.0, -3.0])
    >>> direction.apply(g, direction.init(g), g)[0].tolist()  # g / √(g²/4)
    [2.0, -2.0]
    """

    descends: ClassVar[bool] = True
    elementwise: ClassVar[bool] = True
    alpha: float = setting(0.99, valid=(0.0, 1.0))
    eps: float = setting(1e-8, valid=(0.0, 1.0))
    centered: bool = setting(False)

    def init(self, param: Tensor) -> Squares:
        """v = m = 0."""
        zeros = torch.zeros_like(param)
        return Squares(zeros, zeros if self.centered else ())

    def apply(self, grad: Tensor, state: Squares, param: Tensor) -> tuple[Tensor, Squares]:
        """d = g / (√v + ε) after this gradient."""
        square = self.alpha * state.square + (1 - self.alpha) * grad * grad
        if not isinstance(state.mean, Tensor):
            return grad / (square.sqrt() + self.eps), Squares(square, ())
        mean = torch.lerp(state.mean, grad, 1 - self.alpha)
        deviation = (square - mean * mean).clamp(min=0).sqrt()
        return grad / (deviation + self.eps), Squares(square, mean)
