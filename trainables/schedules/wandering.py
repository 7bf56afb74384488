"""A random walk that ends where all others do, to ask whether the way there matters."""

import math
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from trainables.schedules import Schedule
from trainables.seeds import seed_of
from trainables.space import setting


@dataclass(frozen=True)
class Wandering(Schedule):
    """`pieces` equal pieces at 10^u, u uniform within ±`decades`, until `settle`; then 1, and from `last` on `end`.

    The random schedules of Li, Lyu & Arora 2020 (arXiv 2010.02916, section 6), whose rates and decays agree after an
    early phase. `draw` numbers the walk; it does not depend on the trial's seed, so that seeds share it.

    >>> schedule = Wandering(draw=1, settle=0.5, last=0.8, end=0.1)
    >>> [round(schedule(torch.tensor(p)).item(), 6) for p in (0.5, 0.7, 0.8, 1.0)]
    [1.0, 1.0, 0.1, 0.1]
    """

    draw: int = setting(0, valid=(0, 10**9))
    pieces: int = setting(5, valid=(1, 10_000))
    decades: float = setting(1.0, valid=(0.0, 10.0))
    settle: float = setting(0.5, valid=(1e-6, 1.0))
    last: float = setting(0.8, valid=(0.0, 1.0))
    end: float = setting(0.1, valid=(0.0, 1.0))

    def shape(self, progress: Tensor) -> Tensor:
        draws = Random(seed_of("wandering", self.draw))  # Python's, because vmap knows no generators
        drawn = [draws.uniform(-1, 1) for _ in range(self.pieces)]
        exponents = torch.tensor(drawn, dtype=torch.float64, device=progress.device)
        now = progress + 1e-9  # 4/5 · 5 must not round to 3.999…
        piece = torch.floor(now / self.settle * self.pieces).clamp(0, self.pieces - 1).long()
        early = torch.exp(math.log(10) * self.decades * exponents[piece]).to(progress.dtype)
        late = torch.where(now >= self.last, torch.ones_like(progress) * self.end, torch.ones_like(progress))
        return torch.where(now < self.settle, early, late)
