"""Scale-invariant tensors: which they are, how fast they turn, and the equilibrium that theory predicts for them."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.directions.adam import Adam
from trainables.directions.momentum import Momentum
from trainables.directions.sgd import SGD
from trainables.oracle import Objective, Tensors
from trainables.rules import Composed, Coupled, Decoupled, Rule
from trainables.schedules import Constant

FACTORS = (0.5, 2.0)
TOLERANCE = 1e-4  # of the loss: what a normalisation's ε may do to it


def invariant(objective: Objective, params: Tensors) -> list[str]:
    """The names of the tensors w with f(cw) = f(w), tried at c = ½ and 2, all others as they are.

    One that is 0 is none, whatever the loss does, and neither is one that the loss does not depend on.

    Args:
        objective: f, from parameters by name to a scalar, without chance
        params: where it is tried, by name

    >>> loss = lambda p: (p["w"] / p["w"].norm()).sum() + p["b"].sum()
    >>> invariant(loss, {"w": torch.tensor([1.0, 2.0]), "b": torch.tensor([1.0])})
    ['w']
    """
    leaves = {name: param.detach().requires_grad_() for name, param in params.items()}
    with torch.enable_grad():
        loss = objective(leaves)
        found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    moved = {name for name, gradient in zip(leaves, found, strict=True) if gradient.any()}
    with torch.no_grad():
        return [
            name
            for name in params
            if name in moved and params[name].any() and _same(objective, params, name, float(loss))
        ]


def _same(objective: Objective, params: Tensors, name: str, loss: float) -> bool:
    scaled = [float(objective({**params, name: factor * params[name]})) for factor in FACTORS]
    return all(math.isclose(other, loss, rel_tol=TOLERANCE) for other in scaled)


class Turned(NamedTuple):
    """The angle that each tensor has turned by since the last record."""

    squares: Tensors  # the sum of squared angles over steps, in rad², by name
    steps: int


def still(names: Iterable[str], device: torch.device) -> Turned:
    """The angles before the first step, all 0.

    Args:
        names: of the tensors that are followed
        device: where the sums lie
    """
    return Turned({name: torch.zeros((), dtype=torch.float64, device=device) for name in names}, 0)


def turned(seen: Turned, before: Tensors, after: Tensors) -> Turned:
    """The angles after one step more.

    Args:
        seen: those so far
        before: the parameters before the step, by name
        after: those after it
    """
    squares = {name: total + angle(before[name], after[name]).square() for name, total in seen.squares.items()}
    return Turned(squares, seen.steps + 1)


def angle(left: Tensor, right: Tensor) -> Tensor:
    """The angle between two tensors in rad, from the chord of their directions: small ones have no exact cosine.

    Args:
        left: any shape, not 0
        right: the same shape, not 0

    Returns:
        A scalar in [0, π], of double precision.

    >>> round(angle(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 3.0])).item(), 4)  # π/2
    1.5708
    """
    chord = (left.double() / left.double().norm() - right.double() / right.double().norm()).norm()
    return 2 * torch.asin((chord / 2).clamp(max=1.0))


def extras(seen: Turned, params: Tensors, rule: Rule, lr: float) -> dict[str, float]:
    """For each tensor its norm, its effective rate η/‖w‖², its RMS angle a step, and the angle of the equilibrium.

    Args:
        seen: how far the tensors have turned
        params: as they are now, by name
        rule: that trains them
        lr: η, the rate of the moment

    Returns:
        `norm.NAME`, `effective_lr.NAME` unless the rule scales η, `angle.NAME`, and `angle_predicted.NAME` where theory
        knows it.
    """
    found: dict[str, float] = {}
    predicted, scaled = equilibrium(rule, lr), isinstance(rule, Composed) and rule.scheme.scaled
    for name, square in seen.squares.items():
        norm = float(params[name].double().norm())
        found[f"norm.{name}"] = norm
        if not scaled:
            found[f"effective_lr.{name}"] = lr / norm**2
        found[f"angle.{name}"] = math.sqrt(float(square) / max(seen.steps, 1))
        if predicted is not None and isinstance(rule, Composed) and rule.decay.pulls(params[name]):
            found[f"angle_predicted.{name}"] = predicted
    return found


def equilibrium(rule: Rule, lr: float) -> float | None:
    """The RMS angle a step at which noise and decay balance.

    After Li, Lyu & Arora 2020 (arXiv 2010.02916), for gradients that are noise at right angles to w, η the rate and
    λ the decay, ηλ small:  SGD √(2ηλ);  momentum √(2ηλ/(1+μ));  Adam with decoupled decay √(2ηλ(1−β₁)/(1+β₁)).

    Args:
        rule: of the training
        lr: η

    Returns:
        The angle in rad; None where no closed form is known.

    >>> round(equilibrium(Composed(decay=Coupled(weight_decay=0.05)), lr=0.1), 6)
    0.1
    """
    if not isinstance(rule, Composed) or rule.scheme.scaled or lr < 0:
        return None
    direction, decay = rule.direction, rule.decay
    if decay.schedule != Constant():
        return None
    turn = math.sqrt(2 * lr * float(decay.weight_decay))
    if isinstance(decay, Coupled) and isinstance(direction, SGD):
        return turn
    if isinstance(decay, Coupled) and isinstance(direction, Momentum) and direction.dampening == 0.0:
        return turn / math.sqrt(1 + direction.momentum)
    if isinstance(decay, Decoupled) and isinstance(direction, Adam):
        return turn * math.sqrt((1 - direction.beta1) / (1 + direction.beta1))
    return None
