"""Prodigy."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainables.optimizers import FromPackage
from trainables.space import LogUniform, searched, setting


@dataclass(frozen=True)
class Prodigy(FromPackage):
    """AdamW at a rate d that estimates the distance to the solution  (Mishchenko & Defazio 2024, arXiv 2306.06101).

    The authors' package, MIT. What is tuned is `d_coef`; `lr` stays 1, times a cosine or nothing (`schedule`). With a
    warm-up, set `safeguard_warmup`.
    """

    package: ClassVar[str] = "prodigyopt"
    kind: ClassVar[str] = "Prodigy"
    finds_rate: ClassVar[bool] = True
    lr: float = setting(1.0, valid=(1e-12, float("inf")))
    d_coef: float = searched(LogUniform(1e-2, 1e2), default=1.0, valid=(0.0, float("inf")))
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.999, valid=(0.0, 1 - 1e-9))
    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))
    d0: float = setting(1e-6, valid=(1e-30, float("inf")))
    safeguard_warmup: bool = setting(False)
    use_bias_correction: bool = setting(False)

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The product d · lr, with the d that the next step takes."""
        group = live.param_groups[0]
        return float(group["d"] * group["lr"])
