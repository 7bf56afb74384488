"""Functions of torch that are written in Python, without the check that would hand the whole call to who watches."""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

_CHECKS = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


@cache
def body(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The same function, every call in which is seen by itself; None where it is not of Python.

    Multi-head attention, for one, is some forty calls, each of which has a rule.

    >>> import torch
    >>> body(torch.nn.functional.normalize).__name__, body(torch.exp)
    ('normalize', None)
    """
    if not isinstance(function, FunctionType) or function.__module__ not in ("torch.nn.functional", "torch.functional"):
        return None
    names = {**function.__globals__, **dict.fromkeys(_CHECKS, lambda *_: False)}
    opened = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    opened.__kwdefaults__ = function.__kwdefaults__
    return opened
