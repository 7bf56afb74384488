"""Groups of parameters at four levels: everything, a layer, a unit, a parameter. Names carry the layers."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from trainables.oracle import Tensors, products, total

LEVELS = ("global", "layer", "unit", "parameter")  # from coarse to fine
Grouped: TypeAlias = dict[str, Tensors]
"""A value a group, by level: one for everything (""), one a layer, and one tensor a parameter at the finer levels."""


def group_sums(left: Tensors, right: Tensors, levels: Sequence[str]) -> Grouped:
    """Σ_{p∈i} left_p right_p for every group i of every level.

    Args:
        left: tensors by parameter name
        right: tensors of the same names and shapes
        levels: of LEVELS

    Returns:
        The sums by level and group.

    >>> grads = {"0.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "0.bias": torch.tensor([5.0])}
    >>> ones = {name: torch.ones_like(grad) for name, grad in grads.items()}
    >>> sums = group_sums(grads, ones, ["global", "layer", "unit"])
    >>> sums["global"][""].item(), sums["layer"]["0"].item(), sums["unit"]["0.weight"].tolist()
    (15.0, 15.0, [[3.0], [7.0]])
    """
    found: Grouped = {}
    coarse = products(left, right) if {"global", "layer"} & set(levels) else {}
    fine = {n: tensor * right[n] for n, tensor in left.items()} if {"unit", "parameter"} & set(levels) else {}
    if "global" in levels:
        found["global"] = {"": total(coarse)}
    if "layer" in levels:
        layers = dict.fromkeys(layer_of(name) for name in coarse)
        found["layer"] = {own: total({n: v for n, v in coarse.items() if layer_of(n) == own}) for own in layers}
    if "unit" in levels:
        found["unit"] = {name: _unit_sums(tensor) for name, tensor in fine.items()}
    if "parameter" in levels:
        found["parameter"] = fine
    return found


def _unit_sums(tensor: Tensor) -> Tensor:
    """One sum an output row or filter, kept broadcastable; one in all for a bias or norm parameter."""
    if tensor.dim() < 2:
        return tensor.sum(dtype=torch.float64)
    return tensor.flatten(1).sum(1).reshape(-1, *[1] * (tensor.dim() - 1))


def layer_of(name: str) -> str:
    """The module that a parameter belongs to.

    >>> layer_of("features.0.weight"), layer_of("weight")
    ('features.0', '')
    """
    return name.rpartition(".")[0]


def group_of(level: str, name: str) -> str:
    """The group of a parameter at a level.

    Args:
        level: global, layer, unit or parameter
        name: of the parameter

    Returns:
        The group's key: empty at the first, the layer's name at the second, else the parameter's own.
    """
    return {"global": "", "layer": layer_of(name)}.get(level, name)


def coarser(level: str, key: str, rates: Grouped) -> Tensor | None:
    """The rate at the next coarser level in use; none above the coarsest.

    Args:
        level: the finer level
        key: of a group at that level
        rates: of every group, by level in use
    """
    above = [upper for upper in LEVELS[: LEVELS.index(level)] if upper in rates]
    if not above:
        return None
    name = f"{key}." if level == "layer" else key
    return rates[above[-1]][group_of(above[-1], name)]


def mean_rate(level: str, rates: Grouped, params: Tensors) -> Tensor:
    """The mean over all elements of one level's rates, a scalar.

    Args:
        level: of LEVELS
        rates: of every group at that level
        params: by name; each counts by its number of elements
    """
    weighed: Tensors = {}
    for name, param in params.items():
        rate = rates[level][group_of(level, name)]
        share = param.numel() / rate.numel() if param.numel() else 0.0
        weighed[name] = rate.sum().to(torch.float64) * share
    return total(weighed) / sum(param.numel() for param in params.values())
