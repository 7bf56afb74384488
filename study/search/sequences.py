"""Sequences of points that are known before any result: quasi-random and grid. Point k is a function of k alone."""

import math
import warnings
from collections.abc import Mapping, Sequence

from trainables.space import Choice, Derived, Domain, Integer, LogNormal, LogUniform, Value


def sobol(space: Mapping[str, Domain], seed: int, k: int) -> dict[str, Value]:
    """Point k of a scrambled Sobol sequence (Sobol 1967; Owen's scrambling), one scramble a search.

    Args:
        space: the domain of every key, an axis each.
        seed: of the scramble.
        k: from 0.

    Returns:
        One value a key.
    """
    from scipy.stats import qmc  # takes most of a second, which every other study need not wait

    sequence = qmc.Sobol(max(1, len(space)), scramble=True, rng=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of balance: budgets need not be powers of two here
        return _placed(space, sequence.random(k + 1)[-1])


def halton(space: Mapping[str, Domain], seed: int, k: int) -> dict[str, Value]:
    """Point k of a scrambled Halton sequence (Halton 1960).

    Args:
        space: the domain of every key, an axis each.
        seed: of the scramble.
        k: from 0.

    Returns:
        One value a key.
    """
    from scipy.stats import qmc  # as above

    return _placed(space, qmc.Halton(max(1, len(space)), scramble=True, rng=seed).random(k + 1)[-1])


def grid(space: Mapping[str, Domain], seed: int, k: int) -> dict[str, Value]:
    """Cell k of the full grid, the last key turning fastest.

    Args:
        space: the domain of every key: choices and integers.
        seed: not used: a grid has no chance in it.
        k: from 0.

    Returns:
        One value a key.

    >>> space = {"a": Choice((1, 2)), "b": Integer(5, 7)}
    >>> [tuple(grid(space, 0, k).values()) for k in range(4)]
    [(1, 5), (1, 6), (1, 7), (2, 5)]
    """
    values: dict[str, Value] = {}
    for key, domain in reversed(list(space.items())):
        k, place = divmod(k, _size(domain))
        values[key] = domain.options[place] if isinstance(domain, Choice) else _integer(domain).low + place
    return {key: values[key] for key in space}


def num_cells(space: Mapping[str, Domain]) -> int:
    """The number of cells of the full grid."""
    return math.prod(_size(domain) for domain in space.values())


def _size(domain: Domain) -> int:
    return len(domain.options) if isinstance(domain, Choice) else _integer(domain).high - _integer(domain).low + 1


def _integer(domain: Domain) -> Integer:
    if not isinstance(domain, Integer):
        raise TypeError(f"a grid needs finite domains, got {domain}")
    return domain


def _placed(space: Mapping[str, Domain], unit: Sequence[float]) -> dict[str, Value]:
    return {key: _at(domain, float(unit[place])) for place, (key, domain) in enumerate(space.items())}


def _at(domain: Domain, share: float) -> Value:
    """The value below which that share of the domain lies."""
    if isinstance(domain, Derived):
        return _at(domain.inner, share)
    if isinstance(domain, Choice):
        return domain.options[min(int(share * len(domain.options)), len(domain.options) - 1)]
    if isinstance(domain, Integer):
        return min(domain.low + int(share * (domain.high - domain.low + 1)), domain.high)
    if isinstance(domain, LogNormal):
        return domain.at(share)
    if isinstance(domain, LogUniform):
        return math.exp(math.log(domain.low) + share * (math.log(domain.high) - math.log(domain.low)))
    return domain.low + share * (domain.high - domain.low)
