"""The arguments of somebody's constructor as the fields of a component: plain data, with the defaults of its own."""

from collections.abc import Mapping
from dataclasses import MISSING, field
from functools import reduce
from inspect import Parameter, signature
from operator import or_
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

PLAIN: tuple[type, ...] = (bool, int, float, str, tuple, NoneType)


class Argument(NamedTuple):
    """An argument of a constructor that takes plain data."""

    name: str
    annotation: Any  # one of `PLAIN`, or several
    default: Any  # `MISSING` where it has to be given


def arguments(constructor: type) -> list[Argument]:
    """Read off the arguments of a class that take numbers, truth values, texts, null or lists of numbers.

    Args:
        constructor: the class; its first argument is left out, as are those that take none of these.

    Returns:
        One entry an argument, in the class's order; a list is a tuple here.

    >>> class Stepper:
    ...     def __init__(self, params, lr: float = 1e-3, betas=(0.9, 0.99), decay=0, inner=dict): ...
    >>> [(name, str(annotation), default) for name, annotation, default in arguments(Stepper)]  # doctest: +ELLIPSIS
    [('lr', "<class 'float'>", 0.001), ('betas', "<class 'tuple'>", (0.9, 0.99)), ('decay', 'int | float', 0)]
    """
    _, *own = _parameters(constructor).values()
    named = [each for each in own if each.kind in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)]
    read = (Argument(each.name, _annotation(each), _default(each)) for each in named)
    return [argument for argument in read if argument.annotation is not None]


def entry(argument: Argument, metadata: Mapping[str, Any]) -> tuple[str, Any, Any]:
    """The argument as `dataclasses.make_dataclass` takes a field.

    Args:
        argument: from `arguments`.
        metadata: of the field, as in `trainables.space`.
    """
    return argument.name, argument.annotation, field(default=argument.default, metadata=metadata)


def _parameters(constructor: type) -> Mapping[str, Parameter]:
    try:
        return signature(constructor, eval_str=True).parameters
    except (NameError, TypeError, SyntaxError, AttributeError):  # an annotation that only a type checker can read
        return signature(constructor).parameters


def _default(parameter: Parameter) -> Any:
    if parameter.default is Parameter.empty:
        return MISSING
    return tuple(parameter.default) if isinstance(parameter.default, list) else parameter.default


def _annotation(parameter: Parameter) -> Any:
    """The plain types that it takes: that of its default, and those that are written; None where there are none."""
    default, written = _default(parameter), _plain_types(parameter.annotation)
    if default is MISSING or default is None:
        found = written or (PLAIN if parameter.annotation is Parameter.empty else ())
        found = found if default is MISSING or not found else (*found, NoneType)
    elif type(default) not in PLAIN:
        return None
    else:  # many write 0 where any number may stand
        loose = (float,) if type(default) is int and written != (int,) else ()
        found = (type(default), *loose, *written)
    return reduce(or_, dict.fromkeys(found)) if found else None


def _plain_types(annotation: Any) -> tuple[type, ...]:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return tuple(kind for option in get_args(annotation) for kind in _plain_types(option))
    if origin is Literal:
        return tuple(type(option) for option in get_args(annotation))
    kind = tuple if (origin or annotation) in (tuple, list) else annotation
    return (kind,) if kind in PLAIN else ()
