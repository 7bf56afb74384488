"""Line search: the rate is shortened until the mini-batch loss has fallen enough."""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.oracle import Oracle, Tensors, inner
from trainables.schemes import Gradients, Known, Rate, Scheme
from trainables.space import LogUniform, searched, setting


class Last(NamedTuple):
    """The memory that the next search starts from."""

    rate: Tensor  # the last rate, a scalar; ∞ before the first


class Penalty(NamedTuple):
    """The penalty λ‖θ‖²/2 that belongs to the loss."""

    weight_decay: float  # λ
    names: tuple[str, ...]  # of the parameters that it pulls


class Line(NamedTuple):
    """The mini-batch loss along θ − α d, coupled weight decay included."""

    oracle: Oracle
    params: Tensors
    direction: Tensors
    penalty: Penalty

    def __call__(self, rate: float) -> float:
        """J(θ − α d) + λ‖θ − α d‖²/2 at α = `rate`; half a pass."""
        there = {name: param - rate * self.direction[name] for name, param in self.params.items()}
        pulled = {name: there[name] for name in self.penalty.names}
        penalty = self.penalty.weight_decay * float(inner(pulled, pulled)) / 2 if self.penalty.weight_decay else 0.0
        return float(self.oracle.loss(there)) + penalty


@dataclass(frozen=True)
class LineSearch(Scheme):
    """The first α of a falling sequence with  J(θ − α d) ≤ J(θ) − c α ⟨g, d⟩  (Armijo 1966).

    On the step's own mini-batch, as Vaswani et al. 2019 (arXiv 1905.09997, equation 1). The sequence starts at
    min(`lr`, `growth` · the last rate) and falls by the factor `shrink`; with `interpolate` it falls to the minimiser
    α²s / 2(J(θ − αd) − J(θ) + αs), s = ⟨g, d⟩, of the parabola through what is known, if that lies between
    (Nocedal & Wright 2006, equation 3.58): on a quadratic that is the exact line search. c is `decrease`.

    At most `trials` rates are tried, half a pass each and another for J(θ); what follows the last is taken untried.
    So where d does not descend the step is tiny. With coupled decay, J is the penalised loss.

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
        line = Line(oracle, params, direction, _penalty(grads, params))
        loss, slope = line(0.0), float(inner(grads.decayed, direction))
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


def _penalty(grads: Gradients, params: Tensors) -> Penalty:
    """The penalty, from g + λθ and g; what it does not pull has the same tensor in both."""
    pull = {name: there - grads.raw[name] for name, there in grads.decayed.items() if there is not grads.raw[name]}
    pulled = {name: params[name] for name in pull}
    size = float(inner(pulled, pulled)) if pull else 0.0
    return Penalty(float(inner(pull, pulled)) / size if size else 0.0, tuple(pull))
