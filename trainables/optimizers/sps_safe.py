"""Polyak's step, safeguarded."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainables.optimizers import FromPackage
from trainables.space import LogUniform, searched, setting


@dataclass(frozen=True)
class SPSSafe(FromPackage):
    """(J − ℓ*) / max(‖g‖², M) along −g: Polyak's step  (Oikonomou & Loizou 2026, arXiv 2512.02342, safeguarded).

    The authors' package, MIT. There is no lr, hence no schedule. What is tuned is `M`; `ell_star` is a lower
    bound ℓ* of the mini-batch loss.
    """

    package: ClassVar[str] = "sps_safe"
    kind: ClassVar[str] = "SPS_safe"
    finds_rate: ClassVar[bool] = True
    skips: ClassVar[bool] = False
    decays_by_group: ClassVar[bool] = False
    M: float = searched(LogUniform(1e-3, 1e3), default=1.0, valid=(1e-12, float("inf")))
    ell_star: float = setting(0.0)
    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The length of the last step, in gradients."""
        return float(live.ss)  # type: ignore[attr-defined]
