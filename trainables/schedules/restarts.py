"""The cosine with warm restarts."""

import math
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from trainables.schedules import Schedule
from trainables.space import setting


@dataclass(frozen=True)
class Restarts(Schedule):
    """`cycles` cosines from 1 to `floor`, each `growth` times as long as the one before.

    SGDR (Loshchilov & Hutter 2017, arXiv 1608.03983, equation 5; T_mult = `growth`), the lengths chosen so that the
    last cycle ends with the training. One cycle is Cosine.

    >>> schedule = Restarts(cycles=2, growth=2)  # lengths 1/3 and 2/3
    >>> [round(schedule(torch.tensor(p, dtype=torch.float64)).item(), 6) for p in (0.0, 1 / 6, 1 / 3, 2 / 3, 1.0)]
    [1.0, 0.5, 1.0, 0.5, 0.0]
    """

    cycles: int = setting(3, valid=(1, 1000))
    growth: int = setting(2, valid=(1, 10))
    floor: float = setting(0.0, valid=(0.0, 1.0))

    def shape(self, progress: Tensor) -> Tensor:
        lengths = [self.growth**cycle for cycle in range(self.cycles)]
        # Python's exact integers first, so that a cycle starts where its share of the training says.
        starts = [begun / sum(lengths) for begun in accumulate(lengths, initial=0)]
        begins = torch.tensor(starts[:-1], dtype=torch.float64, device=progress.device)
        ends = torch.tensor(starts[1:], dtype=torch.float64, device=progress.device)
        inside = (progress >= begins - 1e-9) & (progress < torch.cat([ends[:-1] - 1e-9, ends[-1:] + 1]))
        share = ((progress - begins) / (ends - begins)).clamp(0, 1)
        waves = self.floor + (1 - self.floor) * (1 + torch.cos(math.pi * share)) / 2
        return torch.where(inside, waves, 0.0).sum().to(progress.dtype)
