"""The cost of a loop of the user's so far: the seconds in which it trains, and the operations that it tells."""

import math
import time

from trainables.refusal import Refusal
from trainables.trial import Record


class Meter:
    """A clock that runs while time is charged, and a sum of floating-point operations.

    Attributes:
        seconds: charged up to the last pause.
        flops: told so far; NaN where none were.
    """

    def __init__(self) -> None:
        """Begin at nothing, with the clock at rest."""
        self.seconds, self.flops = 0.0, math.nan
        self._since: float | None = None

    def goes_on(self, last: Record) -> None:
        """Go on from the costs of a training's last record."""
        self.seconds, self.flops = last.seconds, last.flops

    def start(self) -> None:
        """Charge time from now on."""
        self._since = time.perf_counter()

    def pause(self) -> None:
        """Charge no more time until the next start."""
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None

    def tell(self, flops: float) -> None:
        """Add the operations since the last report."""
        self.flops = cost("flops", flops) + (0.0 if math.isnan(self.flops) else self.flops)


def cost(name: str, value: float) -> float:
    """Check a cost that a report tells of since the one before.

    Args:
        name: of the argument of `report`.
        value: finite, and at least 0.

    Raises:
        Refusal: it is neither.
    """
    number = float(value)
    if not (math.isfinite(number) and number >= 0):
        raise Refusal(f"session.report({name}=…) counts since the last report: at least 0, got {number:g}")
    return number
