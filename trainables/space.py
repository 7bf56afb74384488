"""Domains of hyper-parameters, each standing beside the field it belongs to."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeAlias, TypeGuard, cast

from trainables.log_normal import LogNormal
from trainables.refusal import Refusal, unknown

Scalar: TypeAlias = float | int | str | bool
Value: TypeAlias = Scalar | tuple[float | None, ...]  # a list may be given, not searched


class Limits(NamedTuple):
    """The values a field may take at all, searched or not: low ≤ value ≤ high."""

    low: float
    high: float


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _ordered(domain: str, low: object, high: object) -> None:
    if not (_is_number(low) and _is_number(high)):
        raise Refusal(f"{domain} needs two finite numbers, got {low!r} and {high!r}")
    if low >= high:
        raise Refusal(f"{domain} needs low < high, got low={low}, high={high}")


@dataclass(frozen=True)
class Uniform:
    """Every number between low and high, equally likely.

    >>> 0.5 in Uniform(0.0, 1.0), 2 in Uniform(0.0, 1.0)
    (True, False)
    """

    name: ClassVar[str] = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered(self.name, self.low, self.high)

    def __contains__(self, value: object) -> bool:
        return _is_number(value) and self.low <= value <= self.high


@dataclass(frozen=True)
class LogUniform:
    """Every number between low and high, its logarithm equally likely.

    >>> LogUniform(0, 1)
    Traceback (most recent call last):
    trainables.refusal.Refusal: log_uniform needs low > 0, got low=0: a logarithm has no zero
    """

    name: ClassVar[str] = "log_uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        _ordered(self.name, self.low, self.high)
        if self.low <= 0:
            raise Refusal(f"{self.name} needs low > 0, got low={self.low}: a logarithm has no zero")

    def __contains__(self, value: object) -> bool:
        return _is_number(value) and self.low <= value <= self.high


@dataclass(frozen=True)
class Integer:
    """Every integer from low to high, both included."""

    name: ClassVar[str] = "integer"
    low: int
    high: int

    def __post_init__(self) -> None:
        _ordered(self.name, self.low, self.high)
        if self.low != int(self.low) or self.high != int(self.high):
            raise Refusal(f"integer needs whole numbers, got low={self.low}, high={self.high}")

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of the listed values, equally likely; for a grid searcher, its points."""

    name: ClassVar[str] = "choice"
    options: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        given: tuple[Any, ...] = self.options
        if wrong := [option for option in given if not isinstance(option, Scalar | None)]:
            raise Refusal(f"choice takes numbers, texts, true, false and null, got {wrong[0]!r}")
        if not self.options or len(set(self.options)) < len(self.options):
            raise Refusal(f"choice needs at least one option and none twice, got {list(self.options)}")

    def __contains__(self, value: object) -> bool:
        return value in self.options


@dataclass(frozen=True)
class OverLr:
    """A search of the product of the field and the learning rate; the field is the product over it.

    On weight decay this searches the intrinsic learning rate ηλ (Li, Lyu & Arora 2020, arXiv 2010.02916).
    """

    name: ClassVar[str] = "over_lr"
    inner: Uniform | LogUniform | LogNormal  # of the product

    def __contains__(self, value: object) -> bool:
        return _is_number(value) and value >= 0

    def resolved(self, value: Value, lr: float) -> float:
        """The field's value.

        Args:
            value: sampled, the product
            lr: the learning rate
        """
        return float(value) / lr  # type: ignore[arg-type]

    def sampled(self, value: Value, lr: float) -> float:
        """The number that was sampled for a value of the field; the inverse of `resolved`.

        Args:
            value: of the field
            lr: the learning rate
        """
        return _snapped(self.inner, float(value) * lr)  # type: ignore[arg-type]


@dataclass(frozen=True)
class TimesLr:
    """A search of the ratio of the field and the learning rate of the trial; the field is the ratio times the rate.

    On the second rate of a split this searches the ratio of both.
    """

    name: ClassVar[str] = "times_lr"
    inner: Uniform | LogUniform | LogNormal | Choice  # of the ratio

    def __post_init__(self) -> None:
        if isinstance(self.inner, Choice) and (wrong := [one for one in self.inner.options if not _is_number(one)]):
            raise Refusal(f"{self.name} multiplies the rate by numbers, got {wrong[0]!r}")

    def __contains__(self, value: object) -> bool:
        return _is_number(value)

    def resolved(self, value: Value, lr: float) -> float:
        """The field's value.

        Args:
            value: sampled, the ratio
            lr: the learning rate
        """
        return float(value) * lr  # type: ignore[arg-type]

    def sampled(self, value: Value, lr: float) -> float:
        """The number that was sampled for a value of the field; the inverse of `resolved`.

        Args:
            value: of the field
            lr: the learning rate
        """
        return _snapped(self.inner, float(value) / lr)  # type: ignore[arg-type]


def _snapped(domain: Uniform | LogUniform | LogNormal | Choice, number: float) -> float:
    """The number, put back where rounding has moved it off an option, or beyond an end, of its domain."""
    if number in domain:
        return number
    marks = domain.options if isinstance(domain, Choice) else (domain.low, domain.high)
    return next((mark for mark in marks if _is_number(mark) and math.isclose(number, mark, rel_tol=1e-9)), number)


Derived: TypeAlias = OverLr | TimesLr
"""A domain of what a field and the learning rate make together."""
Domain: TypeAlias = Uniform | LogUniform | LogNormal | Integer | Choice | Derived
_DOMAINS: dict[str, type[Uniform] | type[LogUniform] | type[Integer]] = {
    domain.name: domain for domain in (Uniform, LogUniform, Integer)
}
_DERIVED: dict[str, type[OverLr] | type[TimesLr]] = {OverLr.name: OverLr, TimesLr.name: TimesLr}
DOMAIN_NAMES = (*_DOMAINS, LogNormal.name, Choice.name, *_DERIVED)


def domain_of(written: Mapping[str, Any]) -> Domain:
    """The domain as a study file writes it: one name and its numbers.

    >>> domain_of({"log_uniform": [1e-4, 1.0]})
    LogUniform(low=0.0001, high=1.0)
    >>> domain_of({"choice": ["cosine", "linear"]})
    Choice(options=('cosine', 'linear'))
    >>> domain_of({"log_normal": [0.1, 0.5]})  # median and standard deviation in decades; low and high, where cut off
    LogNormal(median=0.1, decades=0.5, low=0.0, high=inf)
    """
    if len(written) != 1:
        raise Refusal(f"a domain has one name, as in {{log_uniform: [1e-4, 1.0]}}, got {dict(written)}")
    ((name, given),) = written.items()
    if name in _DERIVED:
        inner = domain_of(cast("Mapping[str, Any]", given)) if isinstance(given, Mapping) else None
        numbers = Uniform, LogUniform, LogNormal
        if not isinstance(inner, numbers if name == OverLr.name else (*numbers, Choice)):
            what = "product" if name == OverLr.name else "ratio"
            raise Refusal(f"{name} needs a domain of the {what}, as in {{log_uniform: [1e-5, 1e-1]}}, got {given!r}")
        return _DERIVED[name](inner)  # type: ignore[arg-type]
    if not isinstance(given, (list, tuple)):
        raise Refusal(f"{name} needs a list, as in {name}: [low, high], got {given!r}")
    numbers = cast("Sequence[Any]", given)
    if name == Choice.name:
        return Choice(tuple(numbers))
    if name == LogNormal.name and len(numbers) in (2, 4):
        return LogNormal(*numbers)
    if name == LogNormal.name:
        raise Refusal(f"{name} needs [median, standard deviation in decades], got {list(numbers)}")
    if name not in _DOMAINS:
        raise unknown("domain", name, DOMAIN_NAMES)
    if len(numbers) != 2:
        raise Refusal(f"{name} needs [low, high], got {list(numbers)}")
    return _DOMAINS[name](*numbers)


def corner(domain: Domain) -> Value:
    """A value that the domain's field can take, to try a configuration out.

    >>> corner(LogUniform(1e-3, 1.0)), corner(Choice(("a", "b")))
    (0.001, 'a')
    """
    return ends(domain)[0]


def ends(domain: Domain) -> tuple[Value, ...]:
    """Every option of a choice, or both ends of a range.

    >>> ends(LogUniform(1e-3, 1.0)), ends(Choice(("a", "b")))
    ((0.001, 1.0), ('a', 'b'))
    """
    if isinstance(domain, Derived):
        return ends(domain.inner)
    if isinstance(domain, LogNormal):
        return (domain.median,)
    return domain.options if isinstance(domain, Choice) else (domain.low, domain.high)


def inside(domain: Domain) -> tuple[Value, ...]:
    """Every option of a choice, or two values of a range, a thousandth of it inside of its ends.

    >>> inside(Uniform(0.0, 2.0)), inside(Integer(1, 4))
    ((0.002, 1.998), (1, 4))
    """
    if isinstance(domain, Derived):
        return inside(domain.inner)
    if isinstance(domain, Uniform):
        margin = (domain.high - domain.low) / 1000
        return domain.low + margin, domain.high - margin
    if isinstance(domain, LogUniform):
        margin = (domain.high / domain.low) ** 0.001
        return domain.low * margin, domain.high / margin
    return ends(domain)


def middle(domain: Domain) -> Value:
    """The value in the middle of what the domain's field can take, as its searcher sees it.

    >>> middle(LogUniform(1e-3, 1e-1)), middle(Integer(1, 4)), middle(Choice(("a", "b", "c")))
    (0.01, 2, 'b')
    """
    if isinstance(domain, Derived):
        return middle(domain.inner)
    if isinstance(domain, Choice):
        return domain.options[(len(domain.options) - 1) // 2]
    if isinstance(domain, Integer):
        return (domain.low + domain.high) // 2
    if isinstance(domain, LogUniform):
        return math.sqrt(domain.low * domain.high)
    if isinstance(domain, LogNormal):
        return domain.at(0.5)
    return (domain.low + domain.high) / 2


def written(domain: Domain) -> dict[str, Any]:
    """The domain as a study file writes it; the inverse of `domain_of`."""
    if isinstance(domain, Derived):
        return {domain.name: written(domain.inner)}
    if isinstance(domain, LogNormal):
        cut = (domain.low, domain.high) if (domain.low, domain.high) != (0, math.inf) else ()
        return {domain.name: [domain.median, domain.decades, *cut]}
    return {domain.name: list(ends(domain))}


def searched(domain: Domain, *, default: Any, valid: tuple[float, float] | None = None) -> Any:
    """A field that every study searches over `domain`, unless the arm says otherwise.

    Args:
        domain: that is searched
        default: the literature's value, for trials nobody tuned
        valid: the closed interval of values that make sense at all; by default the domain itself

    Returns:
        A dataclass field.
    """
    within = valid or (None if isinstance(domain, (Choice, LogNormal, OverLr, TimesLr)) else (domain.low, domain.high))
    metadata = {"domain": domain, "valid": Limits(*within) if within else None}
    return field(default=default, metadata=metadata)


def setting(default: Any, *, valid: tuple[float, float] | None = None) -> Any:
    """A field that keeps its default, unless the arm gives it a value or a domain.

    Args:
        default: of the field
        valid: the least and the largest value that is accepted; None: any
    """
    return field(default=default, metadata={"domain": None, "valid": Limits(*valid) if valid else None})
