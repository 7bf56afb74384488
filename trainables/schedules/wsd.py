"""Warm-up, stable, decay."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainables.schedules import Schedule
from trainables.space import setting


@dataclass(frozen=True)
class WSD(Schedule):
    """1, then over the last `cooldown` share of the training 1 − √s, s rising from 0 to 1.

    Warm-up–stable–decay (Hu et al. 2024, arXiv 2404.06395) with the cool-down that Hägele et al. 2024
    (arXiv 2405.18392) found best; the warm-up is `warmup`, as of every schedule.

    >>> [round(WSD(cooldown=0.5)(torch.tensor(p)).item(), 6) for p in (0.0, 0.5, 0.625, 1.0)]
    [1.0, 1.0, 0.5, 0.0]
    """

    cooldown: float = setting(0.2, valid=(1e-6, 1.0))

    def shape(self, progress: Tensor) -> Tensor:
        share = (progress - (1 - self.cooldown)) / self.cooldown
        return 1 - torch.sqrt(share.clamp(0, 1))
