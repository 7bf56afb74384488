"""MoMo-Adam."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from trainables.optimizers import FromPackage
from trainables.space import LogUniform, searched, setting


@dataclass(frozen=True)
class MomoAdam(FromPackage):
    """Adam at the rate where a model of the loss, bounded below, is least  (Schaipp et al. 2024, arXiv 2305.07583).

    The authors' package, MIT. What is tuned is `lr`, the largest rate that it may take, over a range far wider than
    Adam's; `lb` is a lower bound of the loss. The rate in records is that largest one: the package does not tell more.
    """

    package: ClassVar[str] = "momo"
    kind: ClassVar[str] = "MomoAdam"
    decays_by_group: ClassVar[bool] = False  # each group's step is moved by the one before
    lr: float = searched(LogUniform(1e-5, 1e1), default=1e-2, valid=(0.0, float("inf")))
    beta1: float = setting(0.9, valid=(0.0, 1 - 1e-9))
    beta2: float = setting(0.999, valid=(0.0, 1 - 1e-9))
    eps: float = setting(1e-8, valid=(0.0, 1.0))
    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))
    lb: float = setting(0.0)
    divide: bool = setting(True)
    use_fstar: bool = setting(False)

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The lr, which no step exceeds but for its bias correction."""
        return float(live.param_groups[0]["lr"])
