"""Configurations that a search is to try first, as a study file gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainables.components import slots
from trainables.rates import RATES, lr_beside
from trainables.refusal import Refusal, unknown
from trainables.space import Derived, Domain, Value, written
from trainables.trial import Trial


def start_of(
    given: Sequence[Mapping[str, Any]], fixed: Mapping[str, Value], space: Mapping[str, Domain]
) -> tuple[dict[str, Value], ...]:
    """The configurations as their searcher knows them: of a product with the rate that product.

    Args:
        given: values of searched fields by dotted key, one mapping a configuration; what it leaves out is drawn.
        fixed: what the arm fixes.
        space: the domain of every field that it searches.

    Returns:
        One entry a configuration.

    Raises:
        Refusal: for a configuration without a value, a field that is not searched, a value outside its domain, and a
            product without its rate.

    >>> from trainables.space import LogUniform, OverLr
    >>> rate, product = LogUniform(1e-3, 1.0), OverLr(LogUniform(1e-4, 1e-2))
    >>> space = {"scheme.lr": rate, "decay.weight_decay": product}
    >>> start_of([{"scheme.lr": 0.5, "decay.weight_decay": 0.002}], {}, space)
    ({'scheme.lr': 0.5, 'decay.weight_decay': 0.001},)
    """
    if not all(given):
        raise Refusal("start: a configuration gives no value: {} would be drawn like any other")
    return tuple({key: _value(key, values, fixed, space) for key in values} for values in given)


def _value(key: str, values: Mapping[str, Any], fixed: Mapping[str, Value], space: Mapping[str, Domain]) -> Value:
    if key in fixed:
        raise Refusal(f"start: {key} is fixed in this arm: leave it out")
    if key not in space:
        raise unknown("searched key in start:", key, space)
    domain, value = space[key], values[key]
    if isinstance(domain, Derived) and value in domain:
        rate = lr_beside(key, domain, {**_default_rates(fixed, space), **fixed, **values})
        domain, value = domain.inner, domain.sampled(value, rate)
    if value not in domain:
        raise Refusal(f"start: {key} must lie in {written(domain)}, got {value!r}")
    return value


def _default_rates(fixed: Mapping[str, Value], space: Mapping[str, Domain]) -> dict[str, Any]:
    """The learning rates that an arm leaves at their defaults; none where they stand in code that is not to be run."""
    try:
        known = slots(Trial, fixed)
    except Refusal:
        return {}
    ends = tuple(RATES)
    left = (slot for key, slot in known.items() if key.endswith(ends) and key not in space)
    return {slot.key: slot.default for slot in left if isinstance(slot.default, float)}
