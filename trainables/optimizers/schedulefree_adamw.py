"""Schedule-free AdamW."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainables.optimizers import FromPackage
from trainables.space import LogUniform, searched, setting


@dataclass(frozen=True)
class ScheduleFreeAdamW(FromPackage):
    """AdamW whose average of iterates replaces a schedule  (Defazio et al. 2024, arXiv 2405.15682).

    The authors' package, Apache-2.0. Its `lr` is still tuned. Evaluated is the average x, not the y at which gradients
    are taken.
    """

    package: ClassVar[str] = "schedulefree"
    kind: ClassVar[str] = "AdamWScheduleFree"
    lr: float = searched(LogUniform(1e-5, 1e-1), default=0.0025, valid=(0.0, float("inf")))
    beta1: float = setting(0.9, valid=(1e-6, 1.0))
    beta2: float = setting(0.999, valid=(0.0, 1.0))
    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))
    warmup_steps: int = setting(0, valid=(0, 1_000_000_000))

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The lr after warm-up."""
        return float(live.param_groups[0]["scheduled_lr"])
