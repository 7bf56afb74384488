"""Schedules: pure functions of progress in [0, 1], as factors of a rate (or of anything else)."""

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.components import Component
from trainables.space import setting


class Schedule(Component):
    """A factor as a function of progress, the share of the training that is done before this step."""

    @abstractmethod
    def __call__(self, progress: Tensor) -> Tensor:
        """The factor at `progress`; both are scalars."""


@dataclass(frozen=True)
class Constant(Schedule):
    """1, always.

    >>> Constant()(torch.tensor(0.7)).item()
    1.0
    """

    def __call__(self, progress: Tensor) -> Tensor:
        return torch.ones_like(progress)


@dataclass(frozen=True)
class Step(Schedule):
    """factor^⌊progress · drops⌋ … : `drops` equal multiplications by `factor`, evenly spaced.

    The training falls into drops + 1 equal parts; part i runs at factorⁱ (torch's StepLR).

    >>> [round(Step(factor=0.1, drops=1)(torch.tensor(p)).item(), 6) for p in (0.0, 0.49, 0.5, 0.99)]
    [1.0, 1.0, 0.1, 0.1]
    """

    factor: float = setting(0.1, valid=(0.0, 1.0))
    drops: int = setting(2, valid=(0, 1000))

    def __call__(self, progress: Tensor) -> Tensor:
        part = torch.floor(progress * (self.drops + 1) + 1e-9)  # 1e-9: 2/3 · 3 must not round to 1.999…
        return self.factor ** part.clamp(max=self.drops)


@dataclass(frozen=True)
class Cosine(Schedule):
    """floor + (1 − floor)(1 + cos π·progress)/2  (Loshchilov & Hutter 2017, arXiv 1608.03983, equation 5).

    >>> [round(Cosine()(torch.tensor(p)).item(), 6) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.5, 0.0]
    """

    floor: float = setting(0.0, valid=(0.0, 1.0))

    def __call__(self, progress: Tensor) -> Tensor:
        return self.floor + (1 - self.floor) * (1 + torch.cos(math.pi * progress)) / 2
