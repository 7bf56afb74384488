"""Prodigy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainables.optimizers import Optimizer
from trainables.space import LogUniform, searched, setting


@dataclass(frozen=True)
class Prodigy(Optimizer):
    """AdamW at a rate d that estimates the distance to the solution  (Mishchenko & Defazio 2024, arXiv 2306.06101).

    What is tuned is `d_coef`; `lr` stays 1, times a cosine or nothing (`schedule`). With a warm-up, set
    `safeguard_warmup`.
    """

    package: ClassVar[str] = "prodigyopt"
    lr: float = setting(1.0, valid=(1e-12, float("inf")))
    d_coef: float = searched(LogUniform(1e-2, 1e2), default=1.0, valid=(0.0, float("inf")))
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.999, valid=(0.0, 1 - 1e-9))
    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))
    d0: float = setting(1e-6, valid=(1e-30, float("inf")))
    safeguard_warmup: bool = setting(False)
    use_bias_correction: bool = setting(False)

    def make(self, params: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The package's own."""
        import prodigyopt  # here, because the package is optional

        return prodigyopt.Prodigy(
            params,
            lr=self.lr,
            betas=(self.beta1, self.beta2),
            weight_decay=self.weight_decay,  # type: ignore[arg-type]  — its default 0 is read as its type
            d_coef=self.d_coef,
            d0=self.d0,
            safeguard_warmup=self.safeguard_warmup,
            use_bias_correction=self.use_bias_correction,
        )

    def rate(self, group: Mapping[str, Tensor]) -> Tensor:
        """The product d · lr."""
        return group["d"] * group["lr"]
