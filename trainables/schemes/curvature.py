"""Curvature rescaling: the rate is the one that a quadratic of the measured curvature asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from trainables.oracle import Recipe, Tensors, inner
from trainables.refusal import Refusal
from trainables.schedules import Cosine, Schedule
from trainables.schemes import Known, Rate, Scheme
from trainables.space import LogUniform, searched, setting


class Seen(NamedTuple):
    """The memory of the curvature; scalars, of no dimension."""

    steps: Tensor  # k − 1
    measured: Tensor  # curvatures measured: k − 1, unless `every` is more than 1
    average: Tensor  # ĉ
    curvature: Tensor  # |c| of the last measurement
    smoothness: Tensor  # L̃
    rescaling: Tensor  # r


@dataclass(frozen=True)
class Curvature(Scheme):
    """rate = ℓ r with r = 2⟨d, g⟩ / (‖d‖² L̃), L̃ the curvature along d (de Gournay & Gossard 2022, arXiv 2210.14520).

    Algorithm 1, g the mini-batch gradient of J (L2 penalty included), d the direction, c₀ = 0; where gradients are
    clipped, g is, and so d, and the step is shorter by as much:
    c_k = |⟨∇²J d, d⟩| / ‖d‖²  (equations 6 and 8),  ĉ_k = β₃ ĉ_{k−1} + (1−β₃) c_k,  c̃_k = ĉ_k / (1 − β₃ᵏ),
    L̃_k = max(c̃_k, c_k).  J falls while ℓ < 1 (equation 11): ℓ = ½ is the step 1/L̃, Newton's in one dimension,
    and ℓ = 1 the step 2/L̃, which explores; the paper advises 1 → ½ over the training, the default here.
    ℓ is `level` · `schedule`, β₃ is `beta3`; Robbins and Monro's clamp  α ≤ r_k k^δ ≤ β  (equation 12) is
    `clamp_low`, `clamp_high` and `clamp_power`, off by default: the paper gives no values.

    Not in the paper: |·| stands before the average (a negative c would ascend, and an average of both signs
    passes near 0, which is a huge step); L̃ is at least `floor` · ⟨d, g⟩ / ‖d‖, so that on a loss without
    curvature no step is longer than 2ℓ/`floor`.

    `every: m` measures at steps 1, m+1, … only and holds L̃ in between; `share: s` measures on the first
    ⌈s · batch⌉ examples. Both are cheaper, and both are other algorithms. `recipe` chooses among exact ways to
    compute c: by jets, with kept adjoints or in a forward sweep (slower, less memory), or by the graph of the gradient
    (slower, but for recurrences step by step and calls without a jet). `auto` is the faster of adjoints and graph; a
    study settles and records it before it starts, and refuses jets of a network that has a call without.

    >>> from trainables.oracle import Oracle
    >>> from trainables.schemes import Gradients
    >>> loss = Oracle(lambda params: 3 * (params["w"] - 5).square().sum())
    >>> params, grads, now = {"w": torch.zeros(1)}, Gradients(*2 * [{"w": torch.tensor([-30.0])}]), torch.tensor(1.0)
    >>> scheme = Curvature()
    >>> rate, state = scheme.rate(Known(loss, grads, grads.raw, scheme.init(params), params, now))
    >>> round(state.curvature.item(), 4), round(rate.base.item(), 4)  # J'' = 6, and 1/6 lands on 5
    (6.0, 0.1667)
    """

    asks: ClassVar[bool] = True
    needs_descent: ClassVar[bool] = True
    vmaps: ClassVar[bool] = False
    level: float = searched(LogUniform(0.1, 4.0), default=1.0, valid=(0.0, float("inf")))
    schedule: Schedule = field(default_factory=lambda: Cosine(floor=0.5))
    beta3: float = setting(0.9, valid=(0.0, 1.0 - 1e-9))
    clamp_low: float = setting(0.0, valid=(0.0, float("inf")))
    clamp_high: float | None = setting(None, valid=(0.0, float("inf")))
    clamp_power: float = setting(0.75, valid=(0.5 + 1e-9, 1.0 - 1e-9))
    floor: float = setting(1e-9, valid=(0.0, 1.0))
    every: int = setting(1, valid=(1, 1_000_000))
    share: float = setting(1.0, valid=(1e-6, 1.0))
    recipe: Literal["auto", "adjoints", "sweep", "graph"] = setting("auto")

    def check(self) -> None:
        """Refuses a clamp whose ends are the wrong way round."""
        if self.clamp_high is not None and self.clamp_low > self.clamp_high:
            raise Refusal(f"clamp_low must not be above clamp_high, got {self.clamp_low:g} and {self.clamp_high:g}")

    def init(self, params: Tensors) -> Seen:
        """Nothing seen yet."""
        count = torch.zeros((), dtype=torch.float64)  # on the CPU: it is read at every step
        zero = torch.zeros((), dtype=torch.float64, device=next(iter(params.values())).device)
        return Seen(count, count, zero, zero, zero, zero)

    def keeps(self, state: Seen) -> Recipe | None:
        """The recipe, at the steps that measure on the whole batch."""
        return self.recipe if self._measures(state) and self.share == 1.0 else None

    def _measures(self, state: Seen) -> bool:
        return int(state.steps) % self.every == 0

    def rate(self, known: Known) -> tuple[Rate, Seen]:
        """Algorithm 1."""
        oracle, grads, direction, params = known.oracle, known.grads, known.direction, known.params
        state: Seen = known.state
        assert oracle is not None  # noqa: S101 — `asks` is True
        own = all(d is grads.decayed[name] for name, d in direction.items())
        square = inner(direction, direction).double()
        slope = square if own else inner(direction, grads.decayed).double()
        steps, measured, average, curvature = state.steps + 1, state.measured, state.average, state.curvature
        if self._measures(state):
            own_decay = (grads.weight_decay or {}) if own else None
            bent = oracle.curvature(params, direction, own_decay=own_decay, share=self.share, recipe=self.recipe)
            bent = bent.double() + _of_penalty(grads.weight_decay or {}, direction)
            curvature = torch.where(square > 0, bent.abs() / square, 0.0)
            measured = measured + 1
            average = self.beta3 * average + (1 - self.beta3) * curvature
        smoothness = torch.maximum(average / (1 - self.beta3**measured), curvature)
        smoothness = torch.maximum(smoothness, torch.where(square > 0, self.floor * slope / square.sqrt(), 0.0))
        rescaling = torch.where(slope > 0, 2 * slope / (square * smoothness), 0.0)
        scale = steps**-self.clamp_power
        highest = None if self.clamp_high is None else self.clamp_high * scale
        rescaling = rescaling.clamp(self.clamp_low * scale, highest)
        after = Seen(steps, measured, average, curvature, smoothness, rescaling)
        return Rate(self.level * self.schedule(known.progress) * rescaling), after

    def extras(self, state: Seen) -> dict[str, Tensor]:
        """|c| of the last measurement, L̃ and r."""
        return {"curvature": state.curvature, "smoothness": state.smoothness, "rescaling": state.rescaling}


def _of_penalty(weight_decay: Mapping[str, Any], direction: Tensors) -> Tensor | float:
    """⟨∇²P d, d⟩ = Σ λ ‖d‖² of the penalty P(θ) = Σ λ ‖θ‖²/2."""
    decayed = [decay * direction[name].norm().double().square() for name, decay in weight_decay.items()]
    return torch.stack(decayed).sum() if decayed else 0.0
