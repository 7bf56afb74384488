"""A value that was given for a hyper-parameter, in the type of its field."""

from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from trainables.refusal import Refusal


def converted(key: str, annotation: Any, value: Any) -> Any:
    """The value in the type that its field asks for: integers serve as floats, nothing else changes type.

    Args:
        key: of the field, for the refusal.
        annotation: the field's type.
        value: what was given.

    Raises:
        Refusal: where it is of another type.

    >>> converted("epochs", float, 3)
    3.0
    """
    options = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    for option in options:
        if get_origin(option) is Literal and value in get_args(option):
            return value
        if option is NoneType and value is None:
            return None
        if option is float and isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        if option is str and isinstance(value, str):
            return str(value)
        if option is tuple and isinstance(value, (list, tuple)) and all(map(_is_entry, value)):
            return tuple(value)
        if isinstance(option, type) and type(value) is option:
            return value
    raise Refusal(f"{key} must be {_described(options)}, got {value!r}")


def _is_entry(value: object) -> bool:
    """True for what a list may hold: a number, or nothing in the place of one."""
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _described(options: tuple[Any, ...]) -> str:
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", NoneType: "null"}
    words |= {tuple: "a list of numbers"}
    parts: list[str] = []
    for option in options:
        literal = get_origin(option) is Literal
        parts += [repr(choice) for choice in get_args(option)] if literal else [words.get(option, str(option))]
    return " or ".join(parts)
