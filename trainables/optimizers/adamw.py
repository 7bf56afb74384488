"""AdamW, torch's own."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainables.optimizers import FromPackage
from trainables.space import LogUniform, searched, setting


@dataclass(frozen=True)
class AdamW(FromPackage):
    """Adam with decoupled decay, as torch has it  (Loshchilov & Hutter 2019, arXiv 1711.05101).

    Under its name for what stands beside it in a split, or in Mechanic; elsewhere `direction: adam` with `decay:
    decoupled` takes every scheme. What is tuned is `lr`.
    """

    package: ClassVar[str] = "torch.optim"
    kind: ClassVar[str] = "AdamW"
    lr: float = searched(LogUniform(1e-5, 1e-1), default=1e-3, valid=(0.0, float("inf")))
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.999, valid=(0.0, 1 - 1e-9))
    eps: float = setting(1e-8, valid=(0.0, 1.0))
    weight_decay: float = setting(0.01, valid=(0.0, float("inf")))

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The lr."""
        return float(live.param_groups[0]["lr"])
