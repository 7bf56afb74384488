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
    >>> unknown("key", "lr", ["hidden.lr", "rest.lr"])
    Refusal("unknown key 'lr': did you mean 'hidden.lr' or 'rest.lr'? Known: hidden.lr, rest.lr")
    """
    names = sorted(known)
    meant = " or ".join(map(repr, _meant(str(name), names)))
    hint = f"did you mean {meant}? " if meant else ""
    return Refusal(f"unknown {kind} {name!r}: {hint}Known: {', '.join(names)}")


def _meant(name: str, names: list[str]) -> list[str]:
    """The names that somebody may have meant: in another case, the end of a dotted one, or alike."""
    other_case = [each for each in names if each.lower() == name.lower()]
    ends = [each for each in names if each.endswith(f".{name}")]
    return other_case or ends[:3] or get_close_matches(name, names, n=1, cutoff=0.62)


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
