"""Learning rates among the values of a trial, and the values that domains make of them."""

from collections.abc import Mapping
from typing import Any

from trainables.refusal import Refusal
from trainables.space import Derived, Domain, OverLr, TimesLr, Value

RATES = "scheme.lr", "optimizer.lr"  # a composed rule's learning rate, and that of an optimizer of other people's
SIDES = "hidden.", "rest."  # of a split: in front of the keys of each


def lr_of(flat: Mapping[str, Any], key: str = "") -> Any:
    """The learning rate among the values of a trial, by dotted key; None for a rule that has none.

    Args:
        flat: the values
        key: of a field: the rate beside it is meant, where the two sides of a split have one each

    Returns:
        The rate; of a split that of the hidden matrices, unless `key` says otherwise.

    >>> lr_of({"optimizer": "prodigy", "optimizer.lr": 1.0}), lr_of({"scheme": "control"})
    (1.0, None)
    >>> lr_of({"scheme.lr": float("nan"), "hidden.optimizer.lr": 0.02})
    0.02
    >>> lr_of({"hidden.optimizer.lr": 0.1, "rest.scheme.lr": 0.2}, "rest.decay.weight_decay")
    0.2
    """
    side = next((side for side in SIDES if key.startswith(side)), None)
    given = (flat.get(before + rate) for before in ([side] if side else ["", *SIDES]) for rate in RATES)
    return next((rate for rate in given if rate is not None and rate == rate), None)  # NaN is a table's empty cell


def resolved(space: Mapping[str, Domain], values: Mapping[str, Value], flat: Mapping[str, Any]) -> dict[str, Value]:
    """Sampled values as their fields take them: products over the learning rate, and ratios of two rates.

    Args:
        space: the domain of every searched key
        values: sampled, by key
        flat: all values of the trial, with the learning rate among them

    Returns:
        All values, by key.

    Raises:
        Refusal: for a rate that would be a multiple of itself

    >>> from trainables.space import Uniform
    >>> resolved({"decay.weight_decay": OverLr(Uniform(0, 1))}, {"decay.weight_decay": 0.5}, {"scheme.lr": 0.25})
    {'decay.weight_decay': 2.0}
    """
    found = dict(values)
    multiples = {key for key, domain in space.items() if isinstance(domain, TimesLr)}
    for kind in (TimesLr, OverLr):  # a product may be over a rate that is a multiple
        known = {key: value for key, value in {**flat, **found}.items() if kind is OverLr or key not in multiples}
        for key, domain in space.items():
            if isinstance(domain, kind):
                found[key] = domain.resolved(values[key], lr_beside(key, domain, known))
    return found


def lr_beside(key: str, domain: Derived, flat: Mapping[str, Any]) -> float:
    """The learning rate that a derived domain is over, or a multiple of.

    Args:
        key: of the field
        domain: of the field
        flat: the values of the trial

    Raises:
        Refusal: there is none, or it may be 0
    """
    others = {name: value for name, value in flat.items() if name != key}
    lr = lr_of(others, key if isinstance(domain, OverLr) else "")
    if lr is None:
        raise Refusal(f"{key}: {domain.name} needs the learning rate of something else, and there is none")
    if not lr > 0:
        raise Refusal(f"{key}: {domain.name} needs a learning rate above 0, and it may be {lr:g}")
    return float(lr)
