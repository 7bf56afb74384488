"""The score of a split: the mean over its batches, or one number of all outputs and targets at once."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from trainables.components import name_of
from trainables.data import Tree
from trainables.refusal import Refusal
from trainables.tasks import Task


class Tally(ABC):
    """The score of a split while its batches come by."""

    @abstractmethod
    def add(self, outputs: Tree, targets: Tree, weight: Tensor | float) -> None:
        """Take one batch.

        Args:
            outputs: of the model
            targets: of the data
            weight: examples in it, times the share of its targets that count
        """

    @abstractmethod
    def score(self, weight: float) -> float:
        """The score of everything that has come by, of that weight in all, more than 0."""


def weighted(weight: Tensor | float, mean: Tensor) -> Tensor:
    """The mean of a batch times its weight; nothing where no target of it counts, and the mean is none.

    Args:
        weight: a scalar, at least 0
        mean: a scalar
    """
    return torch.where(weight > 0, weight * mean, 0.0) if isinstance(weight, Tensor) else weight * mean


def tally_of(task: Task, device: torch.device) -> Tally:
    """A new tally of the kind that a task asks for.

    Args:
        task: with `whole_split` and its own `scorer`, a factory of metrics or a function; else with its `score`
        device: of the outputs and targets

    Raises:
        Refusal: the scorer can be called neither as the one nor as the other.
    """
    if not task.whole_split:
        return _Mean(task.score, device)
    if task.scorer is None:
        return _Whole(task.score)
    if _takes(task.scorer, 0):
        return _Metric(task.scorer(), device, name_of(type(task)))
    if _takes(task.scorer, 2):
        return _Whole(task.scorer)
    raise Refusal(
        f"task {name_of(type(task))!r}: write def scorer(self), which returns a torchmetrics.Metric, or "
        f"def scorer(self, outputs, targets), which returns the score; got {task.scorer!r}"
    )


def _takes(function: Callable[..., Any], count: int) -> bool:
    try:
        signature(function).bind(*range(count))
    except (TypeError, ValueError):  # ValueError: a builtin without a signature
        return False
    return True


class _Mean(Tally):
    """The mean over batches, each by its weight; added up on the device."""

    def __init__(self, function: Callable[[Tree, Tree], Tensor], device: torch.device) -> None:
        self._function, self._total = function, torch.zeros((), dtype=torch.float64, device=device)

    def add(self, outputs: Tree, targets: Tree, weight: Tensor | float) -> None:
        self._total = self._total + weighted(weight, self._function(outputs, targets))

    def score(self, weight: float) -> float:
        return float(self._total) / weight


class _Metric(Tally):
    """A torchmetrics.Metric, which keeps what it needs; known by its methods, so that nobody else needs the package."""

    def __init__(self, metric: Any, device: torch.device, task: str) -> None:
        if not (hasattr(metric, "update") and hasattr(metric, "compute") and hasattr(metric, "to")):
            raise Refusal(f"task {task!r}: scorer() must return a torchmetrics.Metric, got {metric!r}")
        self._metric = metric.to(device)

    def add(self, outputs: Tree, targets: Tree, weight: Tensor | float) -> None:
        self._metric.update(outputs, targets)

    def score(self, weight: float) -> float:
        return _number(self._metric.compute())


class _Whole(Tally):
    """A function of all outputs and targets, gathered on the CPU; of a number a batch, as its loss is, all numbers."""

    def __init__(self, function: Callable[[Tree, Tree], Any]) -> None:
        self._function, self._batches = function, list[tuple[Tree, Tree]]()

    def add(self, outputs: Tree, targets: Tree, weight: Tensor | float) -> None:
        here = tree_map_only(Tensor, lambda leaf: torch.atleast_1d(leaf.detach().cpu()), (outputs, targets))
        self._batches.append(here)

    def score(self, weight: float) -> float:
        leaves, (structure, *_) = zip(*map(tree_flatten, self._batches), strict=True)
        whole = [torch.cat(each) if isinstance(each[0], Tensor) else each[0] for each in zip(*leaves, strict=True)]
        return _number(self._function(*tree_unflatten(whole, structure)))


def _number(score: Any) -> float:
    try:
        return float(score)
    except (TypeError, ValueError, RuntimeError):
        raise Refusal(f"the score of a split must be one number, got {score!r}") from None
