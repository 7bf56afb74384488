"""One cycle: up to a large rate, and down to almost nothing."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.schedules import Schedule
from trainables.space import setting


@dataclass(frozen=True)
class OneCycle(Schedule):
    """From `initial` to 1 at progress `peak`, then to `final`, each along half a cosine (Smith & Topin 2018).

    arXiv 1708.07120, in the form of torch's OneCycleLR: `initial` is 1/div_factor, `final` is
    1/(div_factor · final_div_factor) and `peak` is pct_start. The momentum is not cycled.
    Constant where both ends are 1.

    >>> schedule = OneCycle(initial=0.5, final=0.0, peak=0.5)
    >>> [round(schedule(torch.tensor(p)).item(), 6) for p in (0.0, 0.25, 0.5, 0.75, 1.0)]
    [0.5, 0.75, 1.0, 0.5, 0.0]
    """

    initial: float = setting(1 / 25, valid=(0.0, 1.0))
    final: float = setting(4e-6, valid=(0.0, 1.0))
    peak: float = setting(0.3, valid=(1e-6, 1 - 1e-6))

    def shape(self, progress: Tensor) -> Tensor:
        up = (1 - self.initial) * (1 + torch.cos(math.pi * progress / self.peak)) / 2
        down = (1 - self.final) * (1 + torch.cos(math.pi * (1 - progress) / (1 - self.peak))) / 2
        return 1 - torch.where(progress < self.peak, up, down)
