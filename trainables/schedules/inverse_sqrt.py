"""The inverse square root, as first used for the Transformer."""

from dataclasses import dataclass

from torch import Tensor

from trainables.schedules import Schedule
from trainables.space import setting


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """√(τ/(τ + progress)), with τ = `timescale`, a share of the training.

    With `warmup` = w and τ = w/(1 − w) this is min(progress/w, √(w/progress)), the schedule of Vaswani et al. 2017
    (arXiv 1706.03762, equation 3) as a factor of its peak.

    >>> import torch
    >>> [round(InverseSqrt(timescale=0.25)(torch.tensor(p)).item(), 6) for p in (0.0, 0.75)]
    [1.0, 0.5]
    """

    timescale: float = setting(0.1, valid=(1e-9, 1e9))

    def shape(self, progress: Tensor) -> Tensor:
        return (1 + progress / self.timescale) ** -0.5
