"""All that an optimizer of other people's keeps, whatever its form, as plain data and back.

torch's own `state_dict` forgets attributes, and loading one casts the floats of a parameter's state to its type. Here
nothing changes its type, one tensor in two places stays one, and a parameter, wherever an optimizer keeps one, even as
a key or by its `id`, is written as its place among the parameters.
"""

import logging
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from functools import cache, partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.refusal import Refusal

PLAIN = (bool, int, float, str, bytes, type(None), torch.dtype, torch.device)
FORMS: dict[str, type] = {form.__name__: form for form in (list, tuple, set, frozenset, deque)}
MAPPINGS: dict[str, type] = {form.__name__: form for form in (dict, OrderedDict)}
MADE = (FunctionType, MethodType, BuiltinFunctionType, partial, ModuleType, type, Enum, logging.Logger)
"""Kinds of values that a constructor gives, and hardly a step changes."""


class Unwritable(Exception):
    """Raised for what is no data: an object of somebody's class."""


def laid_open(optimizer: torch.optim.Optimizer, leaves: Sequence[Tensor]) -> dict[str, Any]:
    """All that an optimizer keeps: its state, the numbers of every group, and its attributes.

    Args:
        optimizer: between two steps; nothing is written into it.
        leaves: the parameters that it was made of, in that order.

    Returns:
        Copies, as tensors, numbers, texts, lists and dicts only.

    Raises:
        Refusal: it holds what is no data. Functions, classes and the like are left out of groups and attributes: the
            constructor gives them.
    """
    writer = _Writer(leaves)
    parts = writer.parts(optimizer)
    return {"parts": parts, "tensors": writer.tensors, "here": writer.here}


def put_back(optimizer: torch.optim.Optimizer, leaves: Sequence[Tensor], data: Mapping[str, Any]) -> None:
    """Put back what was laid open, into an optimizer made anew.

    Args:
        optimizer: written into.
        leaves: the parameters that it was made of, in that order.
        data: from `laid_open`; copied.
    """
    device = leaves[0].device if leaves else torch.device("cpu")
    pairs = zip(data["tensors"], data["here"], strict=True)
    tensors = [tensor.to(device if here else "cpu").clone() for tensor, here in pairs]
    _fill(optimizer, data["parts"], leaves, tensors)


class _Writer:
    """Writes values as plain data, and collects their tensors."""

    def __init__(self, leaves: Sequence[Tensor]) -> None:
        self._places = {id(leaf): place for place, leaf in enumerate(leaves)}
        self._device = leaves[0].device if leaves else torch.device("cpu")
        self._seen: dict[int, tuple[int, Tensor]] = {}  # holds the tensors: an id is theirs while they live
        self.tensors: list[Tensor] = []
        self.here: list[bool] = []  # those on the parameters' device; the others stay on the CPU

    def parts(self, optimizer: torch.optim.Optimizer) -> list[Any]:
        """State, groups, attributes, and the same of every optimizer inside this one."""
        own = {key: value for key, value in vars(optimizer).items() if key not in _of_every_optimizer()}
        inner = dict(_inside(own))
        attributes = {key: value for key, value in own.items() if key not in inner and value is not optimizer}
        groups = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
        try:
            state = self.written(dict(optimizer.state))
            ours = type(optimizer).__module__.startswith("trainables.")  # what these keep besides, constructors give
            entries, kept = [self._entries(group, ours) for group in groups], self._entries(attributes, ours)
        except Unwritable as found:
            told = f"optimizer {type(optimizer).__name__} keeps values of type {found}"
            raise Refusal(f"{told}: a checkpoint holds plain data only") from None
        below = [[key, [self.parts(one) for one in some]] for key, some in inner.items()]
        return [state, entries, kept, below]

    def written(self, value: Any) -> list[Any]:
        """The value as its form and its contents."""
        if id(value) in self._places:
            return ["leaf", self._places[id(value)]]
        if isinstance(value, Tensor):
            return ["tensor", self._place(value)]
        if type(value) in PLAIN:
            is_id = isinstance(value, int) and value in self._places
            return ["id", self._places[value]] if is_id else ["plain", value]
        if isinstance(value, np.generic):
            return ["numpy", value.item(), value.dtype.str]
        form = "dict" if type(value) is defaultdict else type(value).__name__
        if form == "dict" or MAPPINGS.get(form) is type(value):
            return [form, [[self.written(key), self.written(inner)] for key, inner in value.items()]]
        if FORMS.get(form) is type(value):
            size = [value.maxlen] if isinstance(value, deque) else []
            return [form, [self.written(inner) for inner in value], *size]
        raise Unwritable(form)

    def _place(self, tensor: Tensor) -> int:
        if id(tensor) not in self._seen:
            self._seen[id(tensor)] = len(self.tensors), tensor
            self.tensors.append(tensor.detach().clone())
            self.here.append(tensor.device == self._device)
        return self._seen[id(tensor)][0]

    def _entries(self, values: Mapping[str, Any], ours: bool) -> list[Any]:
        entries: list[Any] = []
        for key, value in values.items():
            try:
                entries += [] if _is_made(value) else [[key, self.written(value)]]
            except Unwritable as found:
                if not ours:
                    raise Unwritable(f"{found} as {key}") from None
        return entries


def _is_made(value: Any) -> bool:
    """True for what a constructor gives, alone or several together."""
    inside = list(value.values()) if isinstance(value, dict) else value
    together = isinstance(inside, (list, tuple)) and len(inside) > 0
    return isinstance(value, MADE) or (together and all(map(_is_made, inside)))


def _inside(attributes: Mapping[str, Any]) -> Iterator[tuple[str, list[torch.optim.Optimizer]]]:
    """The optimizers inside of another one, by its attribute: one, or those of a list, a tuple or a dict."""
    for key, value in attributes.items():
        some = list(value.values()) if isinstance(value, dict) else value
        some = list(some) if isinstance(some, (list, tuple)) else [some]
        if some and all(isinstance(one, torch.optim.Optimizer) for one in some):
            yield key, some


def _read(written: Sequence[Any], leaves: Sequence[Tensor], tensors: Sequence[Tensor]) -> Any:
    form, inside, *size = written
    if form == "plain":
        return inside
    if form == "id":
        return id(leaves[inside])
    if form == "numpy":
        return np.dtype(size[0]).type(inside)
    if form in ("leaf", "tensor"):
        return (leaves if form == "leaf" else tensors)[inside]
    if form in MAPPINGS:
        pairs = ([_read(each, leaves, tensors) for each in pair] for pair in inside)
        return MAPPINGS[form](pairs)
    return FORMS[form]([_read(each, leaves, tensors) for each in inside], *size)


def _fill(
    optimizer: torch.optim.Optimizer, parts: Sequence[Any], leaves: Sequence[Tensor], tensors: Sequence[Tensor]
) -> None:
    state, groups, attributes, below = parts
    optimizer.state.clear()
    optimizer.state.update(_read(state, leaves, tensors))
    for group, entries in zip(optimizer.param_groups, groups, strict=True):
        group.update({key: _read(value, leaves, tensors) for key, value in entries})
    for key, value in attributes:
        before, read = getattr(optimizer, key, None), _read(value, leaves, tensors)
        if isinstance(before, defaultdict):  # its factory is the constructor's
            read = defaultdict(before.default_factory, read)
        setattr(optimizer, key, read)
    inside = dict(_inside({key: getattr(optimizer, key) for key, _ in below}))
    for key, inner in below:
        for one, its in zip(inside[key], inner, strict=True):
            _fill(one, its, leaves, tensors)


@cache
def _of_every_optimizer() -> frozenset[str]:
    """The attributes that torch gives all of them: the groups, the state, hooks."""
    bare = torch.optim.Optimizer([torch.zeros(1, requires_grad=True)], {})
    return frozenset(vars(bare))
