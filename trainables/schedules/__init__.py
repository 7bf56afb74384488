"""Schedules: pure functions of progress in [0, 1], as factors of a rate (or of anything else).

The three that everybody needs are here; the others lie beside this file, one file a family.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from trainables.components import Component
from trainables.space import setting


@dataclass(frozen=True, kw_only=True)
class Schedule(Component):
    """A factor as a function of progress, the share of the training that is done before this step.

    `warmup` is the share w of the training over which the factor rises linearly from 0 to where the schedule
    starts; the schedule then runs its whole course over what is left, so its progress is (progress − w)/(1 − w).

    >>> schedule = Cosine(warmup=0.2)
    >>> [round(schedule(torch.tensor(p)).item(), 6) for p in (0.0, 0.1, 0.2, 0.6, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    warmup: float = setting(0.0, valid=(0.0, 0.999))

    def __call__(self, progress: Tensor) -> Tensor:
        """The factor at `progress`; both are scalars."""
        if isinstance(self.warmup, float) and self.warmup == 0.0:
            return self.shape(progress)
        since = (progress - self.warmup) / (1 - self.warmup)
        shape = self.shape(since.clamp(min=0))
        return torch.where(progress < self.warmup, shape * progress / self.warmup, shape)

    @abstractmethod
    def shape(self, progress: Tensor) -> Tensor:
        """The factor without a warm-up."""


@dataclass(frozen=True)
class Constant(Schedule):
    """1, always.

    >>> Constant()(torch.tensor(0.7)).item()
    1.0
    """

    def shape(self, progress: Tensor) -> Tensor:
        return torch.ones_like(progress)


@dataclass(frozen=True)
class Step(Schedule):
    """`drops` equal multiplications by `factor`, evenly spaced.

    The training falls into drops + 1 equal parts; part i = 0, 1, … runs at factorⁱ (torch's StepLR).

    >>> [round(Step(factor=0.1, drops=1)(torch.tensor(p)).item(), 6) for p in (0.0, 0.49, 0.5, 0.99)]
    [1.0, 1.0, 0.1, 0.1]
    """

    factor: float = setting(0.1, valid=(0.0, 1.0))
    drops: int = setting(2, valid=(0, 1000))

    def shape(self, progress: Tensor) -> Tensor:
        part = torch.floor(progress * (self.drops + 1) + 1e-9)  # 1e-9: 2/3 · 3 must not round to 1.999…
        return self.factor ** part.clamp(max=self.drops)


@dataclass(frozen=True)
class Cosine(Schedule):
    """floor + (1 − floor)(1 + cos π·progress)/2  (Loshchilov & Hutter 2017, arXiv 1608.03983, equation 5).

    >>> [round(Cosine()(torch.tensor(p)).item(), 6) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.5, 0.0]
    """

    floor: float = setting(0.0, valid=(0.0, 1.0))

    def shape(self, progress: Tensor) -> Tensor:
        return self.floor + (1 - self.floor) * (1 + torch.cos(math.pi * progress)) / 2


def has_schedule(component: Component) -> bool:
    """Tell whether a rate or a decay in it changes with progress, if in a warm-up alone.

    Args:
        component: a rule, or a part of one
    """
    inner = [getattr(component, entry.name) for entry in fields(component)]  # type: ignore[arg-type]
    return any(
        value != Constant() if isinstance(value, Schedule) else has_schedule(value)
        for value in inner
        if isinstance(value, Component)
    )
