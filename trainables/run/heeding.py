"""The settings of a trial that a loop of the user's must ask for, since nobody else can heed them."""

from collections.abc import Container
from typing import Any

from trainables.refusal import Refusal
from trainables.trial import Trial


class Heeding:
    """The settings that a loop has asked its trial for, and those that it must.

    Attributes:
        expected: the settings that it must ask for before its first step ends.
    """

    def __init__(self, trial: Trial) -> None:
        """Expect the loop to ask for what `trial` does not leave at its defaults."""
        self._trial, self._heard = trial, set[str]()
        self.expected = given(trial)

    def asked(self, name: str) -> Any:
        """The trial's setting `name`, which counts as heeded from now on."""
        self._heard.add(name)
        return getattr(self._trial, name)

    def check(self) -> None:
        """Refuse a loop that has trained without asking for what its trials are given."""
        for name in self.expected:
            if name not in self._heard:
                raise Refusal(f"{name} is given, and recorded, and train() never asks for session.{name}")


def given(trial: Trial, searched: Container[str] = ()) -> list[str]:
    """Name the settings of a trial that are the loop's to heed, and are not left at their defaults.

    Args:
        trial: one of those that are to be trained.
        searched: keys that differ between them.
    """
    defaults = {name: Trial.__dataclass_fields__[name].default for name in ("batch_size", "precision", "gradient_clip")}
    return [name for name, value in defaults.items() if name in searched or getattr(trial, name) != value]
