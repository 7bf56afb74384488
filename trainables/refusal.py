"""Refusals of bad input: one clear line that names the value and what would be right."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class Refusal(ValueError):
    """Input that cannot be used. The command line prints its one line and exits with `exit_code`."""

    exit_code: ClassVar[int] = 2


def unknown(kind: str, name: object, known: Iterable[str]) -> Refusal:
    """The refusal of a name that does not exist, with the nearest one that does.

    Args:
        kind: of thing, as the line calls it
        name: that was given
        known: the names that exist

    >>> unknown("scheme", "cprob", ["cprop", "fixed"])
    Refusal("unknown scheme 'cprob': did you mean 'cprop'? Known: cprop, fixed")
    """
    names = sorted(known)
    nearest = get_close_matches(str(name), names, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return Refusal(f"unknown {kind} {name!r}: {hint}Known: {', '.join(names)}")


def not_installed(what: str, package: str, extra: str) -> Refusal:
    """The refusal of what needs a package that is not there.

    Args:
        what: as the user knows it
        package: as it is imported
        extra: of this project, and the dependency group of the same name in a checkout, that brings it
    """
    remedy = f"in a checkout, uv sync --group {extra} or pip install '.[{extra}]'"
    return Refusal(f"{what} needs the package {package}, which is not installed: {remedy}")


def first_line(error: BaseException) -> str:
    r"""The first line of an error; its kind where it says nothing.

    >>> first_line(ValueError("too long\nfor one line")), first_line(ValueError())
    ('too long', 'ValueError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
