"""A log-normal law of a hyper-parameter, cut off where its values end."""

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import ClassVar, TypeGuard

from trainables.refusal import Refusal

TAIL = 1e-12  # beyond which a quantile is not asked for: it may be infinite
LARGEST = 300.0  # decades from 1 to the last quantile asked for: beyond 10^±308 a number is 0 or infinite


@dataclass(frozen=True)
class LogNormal:
    """Every positive number between low and high, its logarithm normal: what somebody takes for likely beforehand.

    `median` is that of the untruncated law, `decades` the standard deviation of the logarithm to base 10.

    >>> prior = LogNormal(0.1, 0.5)
    >>> round(prior.at(0.5), 6), round(prior.at(0.84134), 4)  # one standard deviation above: half a decade
    (0.1, 0.3162)
    >>> LogNormal(0.1, 0.5, low=0.1, high=1.0).at(0.0)
    0.1
    """

    name: ClassVar[str] = "log_normal"
    median: float
    decades: float
    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not all(isinstance(end, (int, float)) for end in (self.low, self.high)):
            raise Refusal(f"{self.name} is cut off at two numbers, got {self.low!r} and {self.high!r}")
        if not all(_is_number(number) and 0 < number < math.inf for number in (self.median, self.decades)):
            raise Refusal(
                f"{self.name} needs [median, standard deviation in decades], both above 0, got "
                f"{[self.median, self.decades]}"
            )
        if abs(math.log10(self.median)) - self.decades * NormalDist().inv_cdf(TAIL) > LARGEST:
            raise Refusal(f"{self.name} reaches beyond the numbers that there are with {self.decades} decades")
        if not (0 <= self.low <= self.median <= self.high and self.low < self.high):
            raise Refusal(f"{self.name} needs its median between low={self.low} and high={self.high}: {self.median}")

    def __contains__(self, value: object) -> bool:
        return _is_number(value) and 0 < value < math.inf and self.low <= value <= self.high

    def within(self, low: float, high: float) -> "LogNormal":
        """The same law, cut off where it leaves an interval, too.

        Args:
            low: the interval's lower end; one below 0 cuts off nothing.
            high: its upper end.

        Raises:
            Refusal: where the median lies outside.
        """
        return replace(self, low=max(self.low, low), high=min(self.high, high))

    def at(self, share: float) -> float:
        """The value below which that share of the law lies, 0 ≤ share ≤ 1."""
        low, high = self._shares
        below = min(max(low + share * (high - low), TAIL), 1 - TAIL)
        return min(max(10 ** self._normal.inv_cdf(below), self.low), self.high)

    def share(self, value: float) -> float:
        """The share of the law below a value of it."""
        low, high = self._shares
        return (self._below(value) - low) / (high - low)

    @property
    def _normal(self) -> NormalDist:
        return NormalDist(math.log10(self.median), self.decades)

    @property
    def _shares(self) -> tuple[float, float]:
        return self._below(self.low), self._below(self.high)

    def _below(self, value: float) -> float:
        return self._normal.cdf(math.log10(value)) if value > 0 else 0.0


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
