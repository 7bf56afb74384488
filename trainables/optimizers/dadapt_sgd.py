"""D-Adaptation of SGD."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainables.optimizers import FromPackage
from trainables.space import setting


@dataclass(frozen=True)
class DAdaptSGD(FromPackage):
    """SGD at a rate that is a lower bound of the distance to the solution, over the norm of the first gradient.

    Defazio & Mishchenko 2023 (arXiv 2301.07733); the authors' package, MIT. Nothing is tuned: `lr` stays 1, times the
    schedule that SGD would have. Its first step divides by its rate: no warm-up.
    """

    package: ClassVar[str] = "dadaptation"
    kind: ClassVar[str] = "DAdaptSGD"
    finds_rate: ClassVar[bool] = True
    decays_by_group: ClassVar[bool] = False
    starts_at_zero: ClassVar[bool] = False
    lr: float = setting(1.0, valid=(1e-12, float("inf")))
    momentum: float = setting(0.0, valid=(0.0, 1 - 1e-9))
    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))
    d0: float = setting(1e-6, valid=(1e-30, float("inf")))

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The product d · lr over the norm of the first gradient, with the d that the next step takes."""
        group = live.param_groups[0]
        return float(group["d"] * group["lr"] / group["g0_norm"])
