"""The key of a trial: the name under which it is found again, whatever happened before."""

import re
from typing import NamedTuple

from trainables.refusal import Refusal
from trainables.seeds import seed_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PATH = re.compile(rf"{_NAME.pattern}/{_NAME.pattern}(/[0-9]{{1,9}}){{3}}")


def checked_name(kind: str, name: object) -> str:
    """The name, if it can be a folder, a tag and an argument alike.

    Args:
        kind: of thing that is named, for the message.
        name: as it stands in the file.

    Raises:
        Refusal: where it cannot.

    >>> checked_name("arm", "../sgd")
    Traceback (most recent call last):
    trainables.refusal.Refusal: arm name '../sgd' must be 1 to 64 letters, digits, '-' or '_', a letter or digit first
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        shown = repr(name) if len(str(name)) < 80 else repr(str(name)[:80]) + "…"
        raise Refusal(f"{kind} name {shown} must be 1 to 64 letters, digits, '-' or '_', a letter or digit first")
    return name


class Key(NamedTuple):
    """(study, arm, repetition, k), and the seed's number where a configuration has several.

    Everything that must be the same after a restart follows from it: the seed, the checkpoint's place, the tags.

    >>> Key("quickstart", "sgd", 0, 3).path
    'quickstart/sgd/0/3/0'
    """

    study: str
    arm: str
    repetition: int
    k: int
    seed_number: int = 0

    @property
    def path(self) -> str:
        """The key as a relative path."""
        return "/".join(str(part) for part in self)

    @property
    def seed(self) -> int:
        """The seed of the trial."""
        return seed_of("trial", *self)

    @classmethod
    def of_path(cls, path: str) -> "Key":
        """The inverse of `path`; refused where it is none, for it may come from a store that others write too.

        >>> Key.of_path("../../../0/3/0")
        Traceback (most recent call last):
        trainables.refusal.Refusal: '../../../0/3/0' is not the key of a trial
        """
        if not _PATH.fullmatch(path):
            raise Refusal(f"{path[:80]!r} is not the key of a trial")
        study, arm, *numbers = path.split("/")
        return cls(study, arm, *(int(number) for number in numbers))
