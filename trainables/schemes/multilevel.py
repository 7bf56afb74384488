"""Multi-level hypergradients: rates for everything, a layer, a unit and a parameter, and learned weights."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from trainables.levels import Grouped, coarser, group_of, group_sums, mean_rate
from trainables.oracle import Tensors, total
from trainables.refusal import Refusal
from trainables.schemes import Known, Rate, Scheme
from trainables.schemes.hypergradient import cosine, scalar
from trainables.space import LogUniform, searched, setting


class Memory(NamedTuple):
    """The memory that the next hypergradients need."""

    rates: Grouped  # α of every group: scalars, (num_units, 1, …) at the unit level, the parameter's shape below
    weights: Tensors  # γ of every level, scalars
    previous: Tensors  # the last step's direction, shaped like the parameters; 0 before the first


class Slopes(NamedTuple):
    """The negative derivatives of a mini-batch's loss by the rates and the weights of the step before."""

    rates: Grouped
    weights: Tensors


@dataclass(frozen=True)
class MultiLevel(Scheme):
    """α* = Σ_l γ_l α_l over the `levels`  (CAM-HD: Jie, Gao, Vasnev & Tran 2020, arXiv 2008.07277, section 3).

    Every group i of a level has its own rate: everything (`global`), a layer (all parameters of one module), a unit
    (an output row or filter; a bias or norm parameter is a unit of its own in its layer), a parameter. With
    q_p = g_{p,t} d_{p,t−1} the negative hypergradients are γ_l Σ_{p∈i} q_p for a rate and Σ_i α_i Σ_{p∈i} q_p for the
    weight of its level. All move at once, from the old values: α by `beta` (or `beta_layer`, `beta_unit`,
    `beta_parameter` where given), γ by `delta`; γ is then clipped at 0 and divided by its sum (the old γ stays where
    none is positive). γ starts equal, α at `lr`. One level alone is `hypergradient`, bit for bit.

    Only the step on those derivatives is a choice. Sums differ by many orders between levels, so besides the
    `additive` step, plain descent as in the paper, there is the `multiplicative` one: α ← α(1 + β cos), with the
    cosine between g_t and d_{t−1} in the group (a sign, for one parameter), and γ moves by δ along the normalised
    slope. The regularised form has the penalty λ(α_finer − α_coarser)² between neighbouring levels; its own step comes
    after, at the new rates and with the coarser ones held fixed: α ← (1−k) α + k α_coarser, k = min(2βλ, 1), where λ is
    `penalty_layer`, `penalty_unit` or `penalty_parameter`. `floor` and `ceiling` bound every rate; off, as here, is
    the paper. The rate's base is the mean of α* over all elements that train: it is recorded as `lr`, and
    decoupled decay sees it.

    >>> from trainables.schemes import Gradients
    >>> scheme, params = MultiLevel(lr=0.1, beta=0.01, delta=0.0), {"0.w": torch.zeros(1), "1.w": torch.zeros(1)}
    >>> state, g = scheme.init(params), {"0.w": torch.tensor([1.0]), "1.w": torch.tensor([3.0])}
    >>> for _ in range(2):  # q = 1 and 9: the layers' rates move by .01 · ½ · q, the global one by .01 · ½ · 10
    ...     rate, state = scheme.rate(Known(None, Gradients(g, g), g, state, params, torch.tensor(0.0)))
    >>> [round(state.rates["layer"][layer].item(), 6) for layer in ("0", "1")]
    [0.105, 0.145]
    >>> [round((rate.base * scale).item(), 6) for scale in rate.scale.values()]  # ½ · (.15 + .105), …
    [0.1275, 0.1475]
    """

    lr: float = searched(LogUniform(1e-6, 1e1), default=1e-3, valid=(0.0, math.inf))
    beta: float = searched(LogUniform(1e-10, 1.0), default=1e-3, valid=(0.0, math.inf))
    levels: Literal[
        "global",
        "layer",
        "unit",
        "parameter",
        "global+layer",
        "global+unit",
        "global+parameter",
        "layer+unit",
        "layer+parameter",
        "unit+parameter",
        "global+layer+unit",
        "global+layer+parameter",
        "global+unit+parameter",
        "layer+unit+parameter",
        "global+layer+unit+parameter",
    ] = setting("global+layer")
    form: Literal["additive", "multiplicative"] = setting("additive")
    beta_layer: float | None = setting(None, valid=(0.0, math.inf))
    beta_unit: float | None = setting(None, valid=(0.0, math.inf))
    beta_parameter: float | None = setting(None, valid=(0.0, math.inf))
    delta: float = setting(1e-3, valid=(0.0, math.inf))
    penalty_layer: float = setting(0.0, valid=(0.0, math.inf))
    penalty_unit: float = setting(0.0, valid=(0.0, math.inf))
    penalty_parameter: float = setting(0.0, valid=(0.0, math.inf))
    floor: float = setting(-math.inf, valid=(-math.inf, math.inf))
    ceiling: float = setting(math.inf, valid=(-math.inf, math.inf))

    def check(self) -> None:
        """Refuses a floor above the ceiling."""
        if self.floor > self.ceiling:
            raise Refusal(f"floor must not be above ceiling, got {self.floor:g} and {self.ceiling:g}")

    @property
    def used(self) -> tuple[str, ...]:
        """The levels, from coarse to fine."""
        return tuple(self.levels.split("+"))

    @property
    def fine(self) -> bool:
        """True where units or parameters have rates of their own."""
        return not {"unit", "parameter"}.isdisjoint(self.used)

    @property
    def scaled(self) -> bool:
        """True where anything but the whole has a rate."""
        return self.used != ("global",)

    @property
    def layered(self) -> bool:
        """True where layers are among the levels."""
        return "layer" in self.used

    def init(self, params: Tensors) -> Memory:
        """Every rate is lr, the weights are equal, and there is no direction yet."""
        zeros = {name: torch.zeros_like(param) for name, param in params.items()}
        lr = scalar(self.lr, params)
        rates = {
            level: {key: nothing + lr for key, nothing in groups.items()}
            for level, groups in group_sums(zeros, zeros, self.used).items()
        }
        return Memory(rates, {level: scalar(1 / len(self.used), params) for level in self.used}, zeros)

    def rate(self, known: Known) -> tuple[Rate, Memory]:
        """The combined rates after one step on all of them."""
        grads = known.grads
        state: Memory = known.state
        sums = group_sums(grads.decayed, state.previous, self.used)
        found = slopes(sums, state)
        if self.form == "additive":
            steps = found.rates
            moved = _each(state.rates, lambda at, key, rate: rate + self._beta(at) * steps[at][key])
        else:
            steps = cosines(sums, grads.decayed, state.previous)
            moved = _each(state.rates, lambda at, key, rate: rate * (1 + self._beta(at) * steps[at][key]))
        rates = _each(moved, lambda at, key, rate: self._kept(at, rate, coarser(at, key, moved)))
        weights = self._reweighted(state.weights, found.weights)
        return combined(rates, weights, known.params, known.frozen), Memory(rates, weights, known.direction)

    def _beta(self, level: str) -> float:
        own = {"layer": self.beta_layer, "unit": self.beta_unit, "parameter": self.beta_parameter}.get(level)
        return self.beta if own is None else own

    def _kept(self, level: str, rate: Tensor, above: Tensor | None) -> Tensor:
        """The rate after the pull towards the level above, within its bounds."""
        penalties = {"layer": self.penalty_layer, "unit": self.penalty_unit, "parameter": self.penalty_parameter}
        penalty = penalties.get(level, 0.0)
        if above is not None and not _is(penalty, 0.0):
            pull = torch.as_tensor(2 * self._beta(level) * penalty, dtype=torch.float64).clamp(max=1.0)
            rate = (1 - pull) * rate + pull * above
        if not _is(self.floor, -math.inf):  # else it saves a pass over memory at the finest level
            rate = rate.clamp(min=self.floor)
        return rate if _is(self.ceiling, math.inf) else rate.clamp(max=self.ceiling)

    def _reweighted(self, weights: Tensors, slopes: Tensors) -> Tensors:
        """The weights after one step, clipped at 0 and divided by their sum."""
        if len(weights) == 1:
            return weights
        old, slope = torch.stack(list(weights.values())), torch.stack([slopes[level] for level in weights])
        if self.form == "multiplicative":
            slope = slope * cosine(torch.ones_like(slope[0]), (slope * slope).sum(), torch.ones_like(slope[0]))
        new = (old + self.delta * slope).clamp(min=0)
        positive = new.sum() > 0
        kept = torch.where(positive, new / torch.where(positive, new.sum(), 1.0), old)
        return dict(zip(weights, kept.unbind(), strict=True))

    def extras(self, state: Memory) -> dict[str, Tensor]:
        """The weight and the mean rate of every level: `gamma_layer`, `lr_layer`, …, where there is more than one."""
        if len(state.weights) == 1:
            return {}
        gammas = {f"gamma_{level}": weight for level, weight in state.weights.items()}
        return gammas | {f"lr_{level}": mean_rate(level, state.rates, state.previous) for level in state.rates}


def _is(value: float | Tensor, number: float) -> bool:
    """True where it is that number in all lanes of a `vmap`."""
    return isinstance(value, float) and value == number


def _each(grouped: Grouped, change: Callable[[str, str, Tensor], Tensor]) -> Grouped:
    return {level: {key: change(level, key, v) for key, v in groups.items()} for level, groups in grouped.items()}


def slopes(sums: Grouped, state: Memory) -> Slopes:
    """The negative hypergradients: γ_l Σ_{p∈i} q_p of the rates, Σ_i α_i Σ_{p∈i} q_p of the weights.

    The weights are differentiated before they are normalised.

    Args:
        sums: Σ_{p∈i} q_p of every group
        state: α and γ
    """
    by_rate = _each(sums, lambda level, key, value: state.weights[level] * value)
    by_weight = {
        level: total({key: (state.rates[level][key] * value).sum() for key, value in groups.items()})
        for level, groups in sums.items()
    }
    return Slopes(by_rate, by_weight)


def cosines(sums: Grouped, grads: Tensors, previous: Tensors) -> Grouped:
    """The cosine between gradient and last direction in every group; the weights cancel. A sign, for one parameter.

    Args:
        sums: their inner product in every group, by level
        grads: the gradient, by name
        previous: the last direction, by name
    """
    coarse = [level for level in sums if level != "parameter"]
    lengths, before = (group_sums(tensors, tensors, coarse) for tensors in (grads, previous))
    return {
        level: {
            key: value.sign() if level == "parameter" else cosine(value, lengths[level][key], before[level][key])
            for key, value in groups.items()
        }
        for level, groups in sums.items()
    }


def combined(rates: Grouped, weights: Tensors, params: Tensors, frozen: Collection[str] = ()) -> Rate:
    """α* = Σ_l γ_l α_l, as its mean over all elements that train times a scale.

    Args:
        rates: α of every group
        weights: γ of every level
        params: by name
        frozen: those that do not train
    """
    if tuple(rates) == ("global",):
        return Rate(rates["global"][""])
    trained = {name: param for name, param in params.items() if name not in frozen}
    base = total({level: weight * mean_rate(level, rates, trained) for level, weight in weights.items()})
    share = {level: weight / torch.where(base == 0, 1.0, base) for level, weight in weights.items()}
    scale: Tensors = {}
    for name in params:
        terms = [share[level] * rates[level][group_of(level, name)] for level in rates]
        scale[name] = sum(terms[1:], start=terms[0])
    return Rate(base, scale)
