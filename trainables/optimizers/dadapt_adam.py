"""D-Adaptation of Adam."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainables.optimizers import FromPackage
from trainables.space import setting


@dataclass(frozen=True)
class DAdaptAdam(FromPackage):
    """Adam at a rate d, a lower bound of the distance to the solution  (Defazio & Mishchenko 2023, arXiv 2301.07733).

    The authors' package, MIT. Nothing is tuned: `lr` stays 1, times the schedule that Adam would have. Decay is added
    to the gradient unless `decouple`.
    """

    package: ClassVar[str] = "dadaptation"
    kind: ClassVar[str] = "DAdaptAdam"
    finds_rate: ClassVar[bool] = True
    lr: float = setting(1.0, valid=(1e-12, float("inf")))
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.999, valid=(0.0, 1 - 1e-9))
    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))
    decouple: bool = setting(False)
    use_bias_correction: bool = setting(False)
    d0: float = setting(1e-6, valid=(1e-30, float("inf")))

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The product d · lr, with the d that the next step takes."""
        group = live.param_groups[0]
        return float(group["d"] * group["lr"])
