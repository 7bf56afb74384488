"""The price of a training step in gradients, as a clock told it: what travels from a worker to the record."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trainables.refusal import Refusal

QUARTER = 1.25  # a ratio: beyond it two prices differ


class Price(NamedTuple):
    """One whole training step over one forward and backward of the same mini-batch, on one kind of device.

    Plain SGD's is a little above 1: its step takes the mini-batch from the data, moves the parameters, and adds up
    loss and score besides. It is wall clock: two measurements differ.

    >>> price = Price("cpu", "cpu, 1 thread", gradients=1.5, passes=1.0, steps=20)
    >>> price.gradients_a_pass, price.differs
    (1.5, True)
    """

    device: str  # its type: cpu or cuda
    name: str  # of the device, with the threads of a trial
    gradients: float = float("nan")  # median over steps of the ratio of the step's time to that of one gradient
    passes: float = float("nan")  # gradients that the same steps asked for, as records count them; median
    steps: int = 0  # that were measured
    why: str = ""  # nothing was measured; empty where it was
    of: Mapping[str, Any] = {}  # sizes, names and switches that its arm searches, by key: those it was measured at

    @property
    def gradients_a_pass(self) -> float:
        """The time of a pass that a record counts, in gradients; NaN where nothing was measured."""
        return self.gradients / self.passes if self.passes > 0 else float("nan")

    @property
    def differs(self) -> bool:
        """True where what was measured and what is counted differ by more than a quarter."""
        return not self.why and differ(self.gradients, self.passes)


def differ(one: float, other: float) -> bool:
    """True where two prices differ by more than a quarter of the smaller.

    Args:
        one: positive.
        other: positive, in the same unit.

    >>> differ(1.2, 1.0), differ(1.0, 1.3)
    (False, True)
    """
    return not 1 / QUARTER <= one / other <= QUARTER


def written(prices: Sequence[Price]) -> str:
    """Prices of an arm as a record keeps them.

    >>> read(written([Price("cpu", "cpu, 1 thread", 1.1, 1.0, 20)]))[0].gradients
    1.1
    """
    return json.dumps([price._asdict() for price in prices], sort_keys=True)


def read(text: Any) -> list[Price]:
    """The inverse of `written`.

    Raises:
        Refusal: for anything else.
    """
    try:
        return [Price(**told) for told in json.loads(text)]
    except (TypeError, ValueError) as error:
        raise Refusal(f"{text!r} are no prices of a step, as a study's record keeps them") from error
