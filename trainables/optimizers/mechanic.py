"""Mechanic, around any other optimizer."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import nn

from trainables.optimizers import Optimizer
from trainables.optimizers.adamw import AdamW
from trainables.packaged import asked
from trainables.refusal import Refusal
from trainables.space import setting


@dataclass(frozen=True)
class Mechanic(Optimizer):
    """The way of another optimizer from its start, times a scale s  (Cutkosky et al. 2023, arXiv 2306.00144).

    The authors' package, Apache-2.0. `base` is any other optimizer, with the schedule that it would have; its `lr` is
    not searched: say 1. Nothing is tuned. The scale grows from `s_init`; `s_decay` is the paper's λ.
    """

    package: ClassVar[str] = "mechanic_pytorch"
    finds_rate: ClassVar[bool] = True
    base: Optimizer = field(default_factory=lambda: AdamW(lr=1.0), metadata={"kept": ("lr",)})
    s_init: float = setting(1e-8, valid=(1e-30, 1.0))
    s_decay: float = setting(0.01, valid=(0.0, float("inf")))

    def make(self, params: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The base's own, of the class that the package derives from its class."""
        from mechanic_pytorch import mechanize  # type: ignore[import-not-found]  # here, because it is optional

        if isinstance(self.base, Mechanic):
            raise Refusal("mechanic keeps one scale an optimizer: its base may be any other than mechanic")
        live: Any = self.base.make(params)
        if asked(live) or hasattr(live, "eval"):
            raise Refusal("mechanic scales a step along a gradient: its base may ask for no more, and keep no average")
        live.__class__ = mechanize(type(live), s_init=self.s_init, s_decay=self.s_decay)
        live._patch_step_function()  # of the new class, as if it had been constructed: hooks are called
        return live

    def rate(self, live: torch.optim.Optimizer) -> float:
        """The base's rate times s."""
        return self.base.rate(live) * float(live.state["_mechanic"]["s"].sum())  # type: ignore[index]
