"""Schedule-free AdamW."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainables.optimizers import Optimizer
from trainables.space import LogUniform, searched, setting


@dataclass(frozen=True)
class ScheduleFreeAdamW(Optimizer):
    """AdamW whose average of iterates replaces a schedule  (Defazio et al. 2024, arXiv 2405.15682).

    Its `lr` is still tuned. Evaluated is the average x, not the y at which gradients are taken.
    """

    package: ClassVar[str] = "schedulefree"
    lr: float = searched(LogUniform(1e-5, 1e-1), default=0.0025, valid=(0.0, float("inf")))
    beta1: float = setting(0.9, valid=(1e-6, 1.0))
    beta2: float = setting(0.999, valid=(0.0, 1.0))
    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))
    warmup_steps: int = setting(0, valid=(0, 1_000_000_000))

    def make(self, params: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The package's own."""
        from schedulefree import AdamWScheduleFree  # here, because the package is optional

        return AdamWScheduleFree(
            params,
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            weight_decay=self.weight_decay,
            warmup_steps=self.warmup_steps,
        )

    def rate(self, group: Mapping[str, Tensor]) -> Tensor:
        """The lr after warm-up."""
        return group["scheduled_lr"]
