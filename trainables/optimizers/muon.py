"""Muon, torch's own."""

from dataclasses import dataclass, fields
from typing import ClassVar, Literal

import torch
from torch import nn

from trainables.optimizers import Optimizer
from trainables.space import LogUniform, searched, setting


@dataclass(frozen=True)
class Muon(Optimizer):
    """Momentum, made orthogonal by Newton and Schulz's iteration (Jordan 2024, kellerjordan.github.io/posts/muon).

    It takes matrices alone: `rule: split` gives it those inside of a network. What is tuned is `lr`; `adjust_lr_fn:
    match_rms_adamw` makes its steps as long as AdamW's, whose rate and decay then serve (Liu et al. 2025, arXiv
    2502.16982).

    torch multiplies in bfloat16 here. On a CPU without instructions for that (`lscpu` names avx512_bf16 where there
    are some) its products take thirty times as long as in float32: 158 s a trial of `fashion_mlp` in the study
    `rivals`, where AdamW takes 7.
    """

    package: ClassVar[str] = "torch"
    matrices_only: ClassVar[bool] = True
    lr: float = searched(LogUniform(1e-4, 1e0), default=0.02, valid=(0.0, float("inf")))
    momentum: float = setting(0.95, valid=(0.0, 1.0))
    weight_decay: float = setting(0.1, valid=(0.0, float("inf")))
    nesterov: bool = setting(True)
    ns_steps: int = setting(5, valid=(1, 100))
    eps: float = setting(1e-7, valid=(0.0, 1.0))
    adjust_lr_fn: Literal["original", "match_rms_adamw"] = setting("original")

    def make(self, params: list[nn.Parameter]) -> torch.optim.Optimizer:
        """torch's own."""
        return torch.optim.Muon(params, **{entry.name: getattr(self, entry.name) for entry in fields(self)})

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The lr."""
        return float(live.param_groups[0]["lr"])
