"""Running an objective while every torch function in it is looked up in the table."""

import logging
import weakref
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from inspect import signature
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from trainables.second_order.bodies import body
from trainables.second_order.graph import twice_differentiable
from trainables.second_order.jets import Lifted, Parts
from trainables.second_order.table import TABLE

Tensors: TypeAlias = dict[str, Tensor]
Objective: TypeAlias = Callable[[Tensors], Tensor]
Noted: TypeAlias = Any
"""The knowledge that a way of computing a curvature has of a tensor that depends on the parameters."""


class _Seen(NamedTuple):
    tensor: weakref.ref[Tensor]
    noted: Noted
    version: int  # torch counts what is written into a tensor, through whichever view
    free: bool = False  # no jet reads its value: it may be written into by the next call


class Recorder(TorchFunctionMode):
    """Follows what depends on the parameters through every call, and hands each lifted call to `note`.

    `note` gets the call and what it returned for each of its inputs (None for a constant). Where a call cannot be
    lifted, or something that was noted is written into later, `refused` says why, nothing more is noted, and the
    objective runs on as if nobody watched.
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
        # Weak, both: what the model has dropped is not kept here; what a jet keeps is watched.
        self._known: dict[int, _Seen] = {}
        self._open: set[Any] = set()
        self._watched: list[tuple[weakref.ref[Tensor], int]] = []
        for leaf, noted in leaves:
            self._remember(leaf, noted)
        self.refused: str | None = None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.refused is not None or not torch.is_grad_enabled():
            return func(*args, **kwargs)
        lift = TABLE.get(func)
        if lift is None:
            return self._without_rule(func, args, kwargs)
        given = list(_tensors((*args, *kwargs.values())))
        active = [tensor for tensor in given if tensor.requires_grad]
        return self._lifted(func, lift, given, active, args, kwargs) if active else func(*args, **kwargs)

    def _without_rule(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """The result of a function that is not in the table: by its parts where they can be seen."""
        parts = body(func)
        if parts is not None and func not in self._open:
            self._open.add(func)  # some check again further down
            try:
                with self:
                    return parts(*args, **kwargs)
            finally:
                self._open.discard(func)
        result = func(*args, **kwargs)
        if any(tensor.requires_grad for tensor in _tensors((result,))):
            self.refused = f"{_name(func)} has no second-order rule"
        return result

    def _lifted(
        self, func: Any, lift: Any, given: list[Tensor], active: list[Tensor], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        seen = {id(tensor): self._known.get(id(tensor)) for tensor in active}
        self.refused = _objection(func, active, seen.values())
        if self.refused is not None:
            return func(*args, **kwargs)
        for one in seen.values():
            self._meet(one.noted)  # type: ignore[union-attr]
        before = [tensor._version for tensor in given]
        lifted = lift(*args, **kwargs) if _takes(lift, len(args), tuple(kwargs)) else None
        if lifted is None:
            self.refused = f"{_name(func)} has no second-order rule for these arguments"
            return func(*args, **kwargs)
        parts = lifted if isinstance(lifted, Parts) else Parts(lifted.value, (lifted,))
        taken = [tensor for call in parts.calls for tensor in call.inputs]
        if not all(any(t is one for one in taken) for t in active):
            self.refused = f"{_name(func)} has no second-order rule for these arguments"
            return parts.result
        for tensor, version in zip(given, before, strict=True):
            self._keep(tensor, version, parts.calls)
        for call in parts.calls:
            if self.refused is None and call.value.requires_grad:
                self._call(call)
        return parts.result

    def _keep(self, tensor: Tensor, version: int, calls: tuple[Lifted, ...]) -> None:
        """Watches what a call has taken, unless the call has written into it."""
        seen = self._known.get(id(tensor))
        if tensor._version == version:
            self._watched.append((weakref.ref(tensor), version))
            if seen is not None:
                self._known[id(tensor)] = seen._replace(free=False)
        elif any(call.value is tensor for call in calls):  # in place
            if seen is None or not seen.free:
                self.refused = "a tensor was written into after it was used"
            else:
                last = max(n for n, (watched, _) in enumerate(self._watched) if watched() is tensor)
                del self._watched[last]
        # what else the call has changed are statistics: no jet reads them

    def _call(self, call: Lifted) -> None:
        seen = [self._known.get(id(t)) if t is not None and t.requires_grad else None for t in call.inputs]
        noted = self._note(call, [None if one is None else one.noted for one in seen])
        # Whoever writes into a view gives it another history, and the edge of its adjoint leads nowhere then.
        self._remember(call.value, noted, not call.keeps and not (call.curved and call.value._is_view()))
        self._watched.append((weakref.ref(call.value), call.value._version))

    def _remember(self, tensor: Tensor, noted: Noted, free: bool = False) -> None:
        known, key = self._known, id(tensor)

        def forget(gone: weakref.ref[Tensor]) -> None:
            if key in known and known[key].tensor is gone:
                del known[key]

        known[key] = _Seen(weakref.ref(tensor, forget), noted, tensor._version, free)

    def run(self, objective: Objective, leaves: Tensors) -> tuple[Tensor, Noted]:
        """The loss, and what was noted about it.

        Args:
            objective: from parameters by name to a scalar
            leaves: the parameters

        Returns:
            None beside the loss, with a reason said once, where that is not the whole.
        """
        try:
            with twice_differentiable(), self:
                loss = objective(leaves)
            end = self._known.get(id(loss))
            self.refused = self.refused or self._left_over(end)
        finally:
            self._known.clear()  # it is a circle of references
        if self.refused is not None or end is None:
            _say(str(self.refused))
            return loss, None
        return loss, end.noted

    def _left_over(self, end: _Seen | None) -> str | None:
        if end is None:
            return "the loss comes from a function that torch does not show"
        for watched, version in self._watched:
            tensor = watched()
            if tensor is not None and tensor._version != version:
                return "a tensor was written into after it was used"
        return None


def _objection(func: Any, active: list[Tensor], seen: Iterable[_Seen | None]) -> str | None:
    if torch.is_autocast_enabled(active[0].device.type):
        return "autocast mixes precisions"
    for one in seen:
        tensor = None if one is None else one.tensor()
        if one is None or tensor is None:
            return f"{_name(func)} takes a tensor whose origin was not seen"
        if one.version != tensor._version:
            return f"{_name(func)} takes a tensor that was written into"
    return None


@cache
def _takes(lift: Callable[..., Lifted | Parts | None], count: int, names: tuple[str, ...]) -> bool:
    """True where the rule knows all arguments of a call, `count` by place and the others by name."""
    if "out" in names:  # a result that is written into somebody's tensor
        return False
    try:
        signature(lift).bind(*range(count), **dict.fromkeys(names))
    except TypeError:
        return False
    return True


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
