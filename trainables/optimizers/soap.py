"""SOAP."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainables.optimizers import FromPackage
from trainables.space import LogUniform, searched, setting


@dataclass(frozen=True)
class SOAP(FromPackage):
    """Adam in the eigenbases of Shampoo's preconditioners  (Vyas et al. 2025, arXiv 2409.11321, Algorithm 3).

    `pytorch-optimizer`, Apache-2.0: the authors ship no package. Held once, by hand, to their file
    (github.com/nikhilvyas/SOAP, in float32 as they compute), it was 2e-6 apart after 30 steps. What is tuned is `lr`,
    and `precondition_frequency` where time counts. The first step moves nothing.
    """

    package: ClassVar[str] = "pytorch_optimizer"
    kind: ClassVar[str] = "SOAP"
    lr: float = searched(LogUniform(1e-5, 1e0), default=3e-3, valid=(0.0, float("inf")))
    beta1: float = setting(0.95, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.95, valid=(0.0, 1 - 1e-9))
    weight_decay: float = setting(0.01, valid=(0.0, float("inf")))
    precondition_frequency: int = setting(10, valid=(1, 1_000_000))
    max_precondition_dim: int = setting(10_000, valid=(1, 1_000_000))
    precondition_1d: bool = setting(False)
    eps: float = setting(1e-8, valid=(0.0, 1.0))

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The lr."""
        return float(live.param_groups[0]["lr"])
