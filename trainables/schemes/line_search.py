"""Line search: the rate is shortened until the mini-batch loss has fallen enough."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.oracle import Oracle, Tensors, inner
from trainables.schemes import Gradients, Known, Rate, Scheme
from trainables.space import LogUniform, searched, setting


class Last(NamedTuple):
    """The memory that the next search starts from."""

    rate: Tensor  # the last rate, a scalar; ∞ before the first


class Line(NamedTuple):
    """The mini-batch loss along θ − α d, coupled weight decay included."""

    oracle: Oracle
    params: Tensors
    direction: Tensors
    weight_decay: Mapping[str, Any]  # λ by name, of the parameters that it pulls

    def __call__(self, rate: float) -> float:
        """J(θ − α d) + λ‖θ − α d‖²/2 at α = `rate`; half a pass."""
        there = {name: param - rate * self.direction[name] for name, param in self.params.items()}
        pulled = {name: (pull * there[name]).to(there[name].dtype) for name, pull in self.weight_decay.items()}
        return float(self.oracle.loss(there)) + (float(inner(pulled, there)) / 2 if pulled else 0.0)

    def slope(self, grads: Gradients) -> float:
        """⟨∇J + λθ, d⟩, of the gradient as it was before it was clipped: the loss that falls is not."""
        whole, clip = float(inner(grads.decayed, self.direction)), float(self.oracle.clipped_to)
        return whole if clip in (0, 1) else whole + (1 / clip - 1) * float(inner(grads.raw, self.direction))


@dataclass(frozen=True)
class LineSearch(Scheme):
    """The first α of a falling sequence with  J(θ − α d) ≤ J(θ) − c α ⟨g, d⟩  (Armijo 1966).

    On the step's own mini-batch, as Vaswani et al. 2019 (arXiv 1905.09997, equation 1). The sequence starts at
    min(`lr`, `growth` · the last rate) and falls by the factor `shrink`; with `interpolate` it falls to the minimiser
    α²s / 2(J(θ − αd) − J(θ) + αs), s = ⟨g, d⟩, of the parabola through what is known, if that lies between
    (Nocedal & Wright 2006, equation 3.58): on a quadratic that is the exact line search. c is `decrease`.

    At most `trials` rates are tried, half a pass each and another for J(θ); what follows the last is taken untried.
    So where d does not descend the step is tiny. With coupled decay, J is the penalised loss; where gradients are
    clipped, d is, and J is not.

    >>> params = {"w": torch.tensor([3.0], dtype=torch.float64)}
    >>> oracle = Oracle(lambda at: 2 * (at["w"] ** 2).sum())
    >>> gradient = oracle.gradient(params)[1]
    >>> scheme, grads = LineSearch(lr=1.0), Gradients(gradient, gradient)
    >>> rate, _ = scheme.rate(Known(oracle, grads, gradient, scheme.init(params), params, torch.tensor(0.0)))
    >>> rate.base.item(), oracle.passes  # one over the curvature; a gradient and three losses
    (0.25, 2.5)
    """

    asks: ClassVar[bool] = True
    vmaps: ClassVar[bool] = False  # how many rates are tried depends on the data
    lr: float = searched(LogUniform(1e-3, 1e2), default=1.0, valid=(0.0, math.inf))
    decrease: float = setting(1e-4, valid=(0.0, 0.5))
    shrink: float = setting(0.1, valid=(1e-6, 1 - 1e-6))
    growth: float = setting(2.0, valid=(1.0, math.inf))
    interpolate: bool = setting(True)
    trials: int = setting(10, valid=(1, 100))

    def init(self, params: Tensors) -> Last:
        """Nothing tried yet."""
        return Last(torch.full((), math.inf, dtype=torch.float64))

    def rate(self, known: Known) -> tuple[Rate, Last]:
        """The first rate that is good enough."""
        oracle, grads, direction, params = known.oracle, known.grads, known.direction, known.params
        assert oracle is not None  # noqa: S101  — a scheme that asks is given one
        line = Line(oracle, params, direction, grads.weight_decay or {})
        loss, slope = line(0.0), line.slope(grads)
        rate = min(self.lr, self.growth * float(known.state.rate))
        for _ in range(self.trials):
            change = line(rate) - loss
            if change <= -self.decrease * rate * slope:
                break
            rate = self._shorter(rate, change, slope)
        chosen = torch.tensor(rate, dtype=torch.float64)
        return Rate(chosen), Last(chosen)

    def _shorter(self, rate: float, change: float, slope: float) -> float:
        """The next rate, after one at which the loss has changed by `change`."""
        bend = change + rate * slope
        if self.interpolate and math.isfinite(bend) and bend > 0:
            minimiser = rate * rate * slope / (2 * bend)
            if self.shrink * rate < minimiser < rate:
                return minimiser
        return self.shrink * rate
