"""Running an objective while every torch function in it is looked up in the table."""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from trainables.second_order.jets import Lifted
from trainables.second_order.table import TABLE

Tensors: TypeAlias = dict[str, Tensor]
Objective: TypeAlias = Callable[[Tensors], Tensor]
Noted: TypeAlias = Any
"""What a way of computing a curvature knows about a tensor that depends on the parameters."""


class Recorder(TorchFunctionMode):
    """Follows what depends on the parameters through every call, and hands each lifted call to `note`.

    `note` gets the call and what it returned for each of its inputs (None for a constant). Where a call cannot be
    lifted, `refused` says why, nothing more is noted, and the objective runs on as if nobody watched.
    """

    def __init__(
        self,
        leaves: Iterable[tuple[Tensor, Noted]],
        note: Callable[[Lifted, list[Noted]], Noted],
        meet: Callable[[Noted], object] = lambda noted: None,
    ) -> None:
        """`meet` is told what was noted of an input, just before a call computes its value."""
        super().__init__()
        self._note, self._meet = note, meet
        self._known = WeakIdKeyDictionary(dict(leaves))  # weak: what the model has dropped is not kept here
        self.refused: str | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.refused is None and torch.is_grad_enabled():
            lift = TABLE.get(func)
            if lift is None:
                result = func(*args, **kwargs)
                if any(tensor.requires_grad for tensor in _tensors((result,))):
                    self.refused = f"{_name(func)} has no second-order rule"
                return result
            active = [t for t in _tensors((*args, *kwargs.values())) if t.requires_grad]
            if active:
                return self._lifted(func, lift, active, args, kwargs)
        return func(*args, **kwargs)

    def _lifted(self, func: Any, lift: Any, active: list[Tensor], args: Any, kwargs: Any) -> Tensor:
        if torch.is_autocast_enabled(active[0].device.type):
            self.refused = "autocast mixes precisions"
        elif any(tensor not in self._known for tensor in active):
            self.refused = f"{_name(func)} takes a tensor whose origin was not seen"
        else:
            for tensor in active:
                self._meet(self._known[tensor])
            lifted = lift(*args, **kwargs)
            if lifted is not None and all(any(t is given for given in lifted.inputs) for t in active):
                noted = [None if t is None else self._known.get(t) for t in lifted.inputs]
                self._known[lifted.value] = self._note(lifted, noted)
                return lifted.value
            self.refused = f"{_name(func)} has no second-order rule for these arguments"
        return func(*args, **kwargs)

    def run(self, objective: Objective, leaves: Tensors) -> tuple[Tensor, Noted]:
        """The loss, and what was noted about it; None, with a reason said once, where that is not the whole."""
        with self:
            loss = objective(leaves)
        if self.refused is None and loss not in self._known:
            self.refused = "the loss comes from a function that torch does not show"
        if self.refused is not None:
            _say(self.refused)
            return loss, None
        return loss, self._known[loss]


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _name(func: Any) -> str:
    return getattr(func, "__qualname__", None) or getattr(func, "__name__", None) or str(func)


@cache
def _say(reason: str) -> None:
    """Once a process for every reason."""
    logging.getLogger(__name__).warning("curvature falls back to reverse over reverse, which is slower: %s", reason)
