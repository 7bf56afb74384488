"""Decays with one formula each, and the exponential's increase."""

from dataclasses import dataclass

from torch import Tensor

from trainables.schedules import Schedule
from trainables.space import setting


@dataclass(frozen=True)
class Exponential(Schedule):
    """end^progress: the classical e^(−αt) with α = −ln(end) per training.

    With `end` > 1 the factor *increases*: on a scale-invariant loss, SGD at η and coupled decay λ goes through
    the same functions as SGD without decay at η(1−ηλ)^(−2t−1) (Li & Arora 2020, arXiv 1910.07454).

    >>> import torch
    >>> [round(Exponential(end=0.01)(torch.tensor(p)).item(), 6) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.1, 0.01]
    >>> round(Exponential(end=100.0)(torch.tensor(0.5)).item(), 4)
    10.0
    """

    end: float = setting(0.01, valid=(1e-30, 1e30))

    def shape(self, progress: Tensor) -> Tensor:
        return self.end**progress


@dataclass(frozen=True)
class Hyperbolic(Schedule):
    """1/(1 + α·progress), the classical 1/t decay, with α = 1/end − 1 so that it ends at `end`.

    >>> import torch
    >>> [round(Hyperbolic(end=0.25)(torch.tensor(p)).item(), 6) for p in (0.0, 1 / 3, 1.0)]
    [1.0, 0.5, 0.25]
    """

    end: float = setting(0.01, valid=(1e-30, 1.0))

    def shape(self, progress: Tensor) -> Tensor:
        return 1 / (1 + (1 / self.end - 1) * progress)


@dataclass(frozen=True)
class Diminishing(Schedule):
    """k^(−power) at k = 1 + horizon · progress: nonsummable diminishing steps (Robbins & Monro 1951) for power ≤ 1.

    Σ k^(−power) = ∞ lets the iterates go anywhere; above ½ the sum of the squares is finite, which stills the noise.
    With `horizon` = the training's number of steps, k counts them: 1, 2, 3, ….

    >>> import torch
    >>> [round(Diminishing(power=0.5, horizon=8)(torch.tensor(t / 8)).item(), 6) for t in (0, 3, 8)]
    [1.0, 0.5, 0.333333]
    """

    power: float = setting(0.51, valid=(0.0, 1.0))
    horizon: float = setting(1000.0, valid=(0.0, 1e12))

    def shape(self, progress: Tensor) -> Tensor:
        return (1 + self.horizon * progress) ** -self.power


@dataclass(frozen=True)
class Linear(Schedule):
    """1 − (1 − floor) · progress: to zero, or to `floor`.

    >>> import torch
    >>> [round(Linear(floor=0.5)(torch.tensor(p)).item(), 6) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.75, 0.5]
    """

    floor: float = setting(0.0, valid=(0.0, 1.0))

    def shape(self, progress: Tensor) -> Tensor:
        return 1 - (1 - self.floor) * progress


@dataclass(frozen=True)
class Polynomial(Schedule):
    """floor + (1 − floor)(1 − progress)^power; torch's PolynomialLR, and Linear where power = 1.

    >>> import torch
    >>> [round(Polynomial(power=2.0)(torch.tensor(p)).item(), 6) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.25, 0.0]
    """

    power: float = setting(2.0, valid=(0.0, 100.0))
    floor: float = setting(0.0, valid=(0.0, 1.0))

    def shape(self, progress: Tensor) -> Tensor:
        return self.floor + (1 - self.floor) * (1 - progress) ** self.power
