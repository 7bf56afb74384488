"""Lion."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainables.optimizers import FromPackage
from trainables.space import LogUniform, searched, setting


@dataclass(frozen=True)
class Lion(FromPackage):
    """The sign of a momentum that leans to the gradient  (Chen et al. 2023, arXiv 2302.06675, Algorithm 2).

    `pytorch-optimizer`, Apache-2.0: the authors ship no package for torch; this equals their formula but for rounding.
    What is tuned is `lr`, 3 to 10 times smaller than AdamW's, and `weight_decay`, as many times larger.
    """

    package: ClassVar[str] = "pytorch_optimizer"
    kind: ClassVar[str] = "Lion"
    lr: float = searched(LogUniform(1e-6, 1e-1), default=1e-4, valid=(0.0, float("inf")))
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.99, valid=(0.0, 1 - 1e-9))
    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The lr."""
        return float(live.param_groups[0]["lr"])
