"""Weight decay: what pulls parameters to zero, in the loss or beside it."""

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import torch
from torch import Tensor

from trainables.components import Component
from trainables.oracle import Tensors
from trainables.schedules import Constant, Schedule
from trainables.space import setting


@dataclass(frozen=True)
class Decay(Component):
    """Weight decay λ, in one of its two places (Loshchilov & Hutter 2019, arXiv 1711.05101, Algorithm 1).

    λ is `weight_decay` times `schedule`, a function of progress as for a rate. `on: matrices` leaves alone what has
    fewer than two dimensions (biases, the gains of norms), for which λ is 0.
    """

    weight_decay: float
    schedule: Schedule = field(default_factory=Constant, kw_only=True)
    on: Literal["all", "matrices"] = field(default="all", kw_only=True)

    def at(self, progress: Tensor) -> Self:
        """The decay of this moment, its `weight_decay` the product of both."""
        if isinstance(self.weight_decay, float) and self.weight_decay == 0.0:
            return self
        return replace(self, weight_decay=self.weight_decay * self.schedule(progress))

    def pulls(self, param: Tensor) -> bool:
        """True where this parameter is decayed at all, however much."""
        return self.on == "all" or param.ndim >= 2

    @abstractmethod
    def couple(self, raw: Tensors, params: Tensors) -> Tensors:
        """The gradient that the direction sees.

        Args:
            raw: the gradient of the loss, by name
            params: θ, by name
        """

    @abstractmethod
    def penalised(self, params: Tensors) -> dict[str, Any]:
        """λ by name, of the parameters that `couple` pulls."""

    @abstractmethod
    def shrink(self, param: Tensor, base: Tensor) -> Tensor:
        """The parameter before the step along the direction.

        Args:
            param: one tensor of θ
            base: the base of the rate, a scalar
        """


@dataclass(frozen=True)
class Coupled(Decay):
    """λθ is added to the gradient: the gradient of the penalty λ‖θ‖²/2."""

    weight_decay: float = setting(0.0, valid=(0.0, float("inf")))

    def couple(self, raw: Tensors, params: Tensors) -> Tensors:
        """g + λθ, and g itself where λ = 0."""
        pulled = self.penalised(params)
        if not pulled:
            return raw
        # The cast is for tensors of no dimension, which a scalar of double precision would promote.
        pulls = {n: (params[n] * self.weight_decay).to(raw[n].dtype) for n in pulled}
        return {n: torch.add(g, pulls[n]) if n in pulls else g for n, g in raw.items()}

    def penalised(self, params: Tensors) -> dict[str, Any]:
        """λ of every parameter that it pulls, and nothing where λ = 0."""
        off = isinstance(self.weight_decay, float) and self.weight_decay == 0.0
        return {} if off else {name: self.weight_decay for name, param in params.items() if self.pulls(param)}

    def shrink(self, param: Tensor, base: Tensor) -> Tensor:
        """θ, untouched."""
        return param


@dataclass(frozen=True)
class Decoupled(Decay):
    """θ shrinks by the rate's base times λ, beside the direction: θ ← (1 − base · λ) θ − …."""

    weight_decay: float = setting(0.01, valid=(0.0, float("inf")))

    def couple(self, raw: Tensors, params: Tensors) -> Tensors:
        """g, untouched."""
        return raw

    def penalised(self, params: Tensors) -> dict[str, Any]:
        """Nothing."""
        return {}

    def shrink(self, param: Tensor, base: Tensor) -> Tensor:
        """(1 − base · λ) θ."""
        return param * (1 - base * self.weight_decay) if self.pulls(param) else param
