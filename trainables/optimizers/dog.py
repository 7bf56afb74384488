"""Distance over gradients, evaluated at the average of its iterates."""

from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import nn

from trainables.optimizers import FromPackage
from trainables.space import LogUniform, searched, setting

GAMMA = 8.0  # of the average, the package's own


@dataclass(frozen=True)
class DoG(FromPackage):
    """η = max ‖θᵢ − θ₀‖ / √(Σ‖gᵢ‖² + ε): the distance so far over the gradients  (Ivgi et al. 2023, arXiv 2302.12022).

    The authors' package, MIT. Evaluated is x̄ ← (1 − w) x̄ + w θ with w = 9/(t + 8), as its `PolynomialDecayAverager`
    takes it, for without an average the authors do not advise it. `lr` stays 1, without a schedule; what may be tuned
    is `reps_rel`, which sets the first step: 1e-6, or 1e-4 with BatchNorm.
    """

    package: ClassVar[str] = "dog"
    kind: ClassVar[str] = "DoG"
    decays_by_group: ClassVar[bool] = False  # each group has a distance and a rate of its own
    finds_rate: ClassVar[bool] = True
    skips: ClassVar[bool] = False
    reps_rel: float = searched(LogUniform(1e-8, 1e-2), default=1e-6, valid=(1e-30, float("inf")))
    lr: float = setting(1.0, valid=(1e-12, float("inf")))
    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))
    eps: float = setting(1e-8, valid=(1e-30, 1.0))

    def make(self, params: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The package's own, which averages."""
        return averaging()(params, **self.keywords())

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The η of the last step."""
        return float(live.param_groups[0]["eta"][0])


@cache
def averaging() -> Any:
    """The package's class, with the average of the iterates in its evaluation mode."""
    from dog import DoG as Theirs  # type: ignore[import-not-found]  # here, because the package is optional

    class Averaging(Theirs):
        """Keeps the average beside each parameter; `eval` and `train` exchange both."""

        @torch.no_grad()
        def step(self, closure: Any = None) -> Any:
            loss = super().step(closure)
            for group in self.param_groups:
                group["averaged"] = group.get("averaged", 0) + 1
                weight = (GAMMA + 1) / (GAMMA + group["averaged"])
                for param in group["params"]:
                    average = self.state[param].setdefault("average", param.detach().clone())
                    average.mul_(1 - weight).add_(param, alpha=weight)
            return loss

        def eval(self) -> None:
            _exchange(self, training=False)

        def train(self) -> None:
            _exchange(self, training=True)

    return Averaging


@torch.no_grad()
def _exchange(optimizer: torch.optim.Optimizer, *, training: bool) -> None:
    """Exchange every parameter for its average, or back, where that has not been done."""
    for group in optimizer.param_groups:
        if group.get("training", True) == training:
            continue
        group["training"] = training
        for param in group["params"]:
            average = optimizer.state[param].get("average", param.detach())
            before = param.detach().clone()
            param.copy_(average)
            average.copy_(before)
