"""Adam: momentum over the root of the mean squared gradient; and AMSGrad, which never forgets a large one."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.directions import Direction
from trainables.space import setting


class Moments(NamedTuple):
    """The running moments of one tensor's gradient."""

    mean: Tensor  # m, shaped like the parameter
    square: Tensor  # v, shaped like the parameter
    steps: Tensor  # t, a scalar


@dataclass(frozen=True)
class Adam(Direction):
    """d = m̂ / (√v̂ + ε)  (Kingma & Ba 2015, arXiv 1412.6980, Algorithm 1).

    m ← β₁ m + (1−β₁) g,  v ← β₂ v + (1−β₂) g²,  m̂ = m/(1−β₁ᵗ),  v̂ = v/(1−β₂ᵗ);
    β₁, β₂ and ε are `beta1`, `beta2` and `eps`. The first direction is g/(|g| + ε).

    >>> direction, g = Adam(eps=0.0), torch.tensor([2.0, -3.0])
    >>> direction.apply(g, direction.init(g), g)[0].round(decimals=6).tolist()
    [1.0, -1.0]
    """

    descends: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.999, valid=(0.0, 1 - 1e-9))
    eps: float = setting(1e-8, valid=(0.0, 1.0))

    def init(self, param: Tensor) -> Moments:
        """m = v = 0 and t = 0."""
        zeros = torch.zeros_like(param)
        return Moments(zeros, zeros, torch.zeros((), dtype=torch.float64))

    def apply(self, grad: Tensor, state: Moments, param: Tensor) -> tuple[Tensor, Moments]:
        """d = m̂ / (√v̂ + ε) after this gradient."""
        steps = state.steps + 1
        mean = torch.lerp(state.mean, grad, 1 - self.beta1)
        square = torch.lerp(state.square, grad * grad, 1 - self.beta2)
        return _normalised(self, mean, square, steps), Moments(mean, square, steps)


class LargestMoments(NamedTuple):
    """The running moments of one tensor's gradient, and the largest second moment so far."""

    mean: Tensor  # m, shaped like the parameter
    square: Tensor  # v, shaped like the parameter
    largest: Tensor  # max v, shaped like the parameter
    steps: Tensor  # t, a scalar


@dataclass(frozen=True)
class AMSGrad(Direction):
    """Adam with v̂ = max(v₁ … v_t)/(1−β₂ᵗ)  (Reddi, Kale & Kumar 2018, Algorithm 2, in torch's form).

    The paper corrects no bias; torch does, after the maximum. As long as v grows this is Adam.

    >>> direction, g = AMSGrad(beta1=0.0, beta2=0.0, eps=0.0), torch.tensor([4.0])
    >>> first, state = direction.apply(g, direction.init(g), g)
    >>> second, state = direction.apply(g / 4, state, g)  # still divided by the larger gradient
    >>> first.item(), second.item()
    (1.0, 0.25)
    """

    descends: ClassVar[bool] = False
    elementwise: ClassVar[bool] = True
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.999, valid=(0.0, 1 - 1e-9))
    eps: float = setting(1e-8, valid=(0.0, 1.0))

    def init(self, param: Tensor) -> LargestMoments:
        """m = v = max v = 0 and t = 0."""
        zeros = torch.zeros_like(param)
        return LargestMoments(zeros, zeros, zeros, torch.zeros((), dtype=torch.float64))

    def apply(self, grad: Tensor, state: LargestMoments, param: Tensor) -> tuple[Tensor, LargestMoments]:
        """d = m̂ / (√v̂ + ε) after this gradient."""
        steps = state.steps + 1
        mean = torch.lerp(state.mean, grad, 1 - self.beta1)
        square = torch.lerp(state.square, grad * grad, 1 - self.beta2)
        largest = torch.maximum(state.largest, square)
        return _normalised(self, mean, largest, steps), LargestMoments(mean, square, largest, steps)


def _normalised(direction: Adam | AMSGrad, mean: Tensor, square: Tensor, steps: Tensor) -> Tensor:
    """m̂ / (√v̂ + ε), the bias of m folded into the scalars: every operation on a tensor is a pass over memory."""
    unbias = 1 - direction.beta1**steps
    scale = unbias / (1 - direction.beta2**steps).sqrt()
    return mean / (square.sqrt() * scale + direction.eps * unbias)
