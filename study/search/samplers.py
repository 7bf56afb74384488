"""Samplers: Optuna's, and sequences of points that are known beforehand, each by its name."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, cast

from study.search import sequences
from trainables.space import Choice, Derived, Domain, Integer, LogNormal, LogUniform, Uniform, Value

if TYPE_CHECKING:  # Optuna takes a second, which nobody who only names a sampler need wait
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

GIVEN_FIRST = "+start"  # behind the name of a searcher whose first configurations were given
STARTUP = 5  # random trials before TPE learns; Optuna's own 10 would spend most of a small budget


class Sampler(NamedTuple):
    """One of Optuna's samplers, or a sequence of points that is known beforehand."""

    make: "Callable[[int, bool], BaseSampler]"  # (seed, whether several suggestions run at once)
    learns: bool  # whether a suggestion depends on results
    points: Callable[[Mapping[str, Domain], int, int], dict[str, Value]] | None = None  # (space, search's seed, k)
    hears_stops: bool = True  # whether it makes use of trials that were stopped early, or needs no results


def _random(seed: int, _: bool) -> "BaseSampler":
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _gp(seed: int, _: bool) -> "BaseSampler":
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, n_startup_trials=STARTUP)


def _cmaes(seed: int, _: bool) -> "BaseSampler":
    from optuna.samplers import CmaEsSampler

    return CmaEsSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False)


def _tpe(seed: int, liar: bool) -> "BaseSampler":
    from optuna.samplers import TPESampler

    return TPESampler(  # all that a release may change is said: Optuna 5 changed two of its defaults
        seed=seed,
        n_startup_trials=STARTUP,
        n_ei_candidates=24,
        multivariate=True,
        group=False,
        constant_liar=liar,
    )


SAMPLERS: dict[str, Sampler] = {
    "random": Sampler(_random, learns=False),
    "sobol": Sampler(_random, learns=False, points=sequences.sobol),
    "halton": Sampler(_random, learns=False, points=sequences.halton),
    "grid": Sampler(_random, learns=False, points=sequences.grid),
    "gp": Sampler(_gp, learns=True, hears_stops=False),
    "cmaes": Sampler(_cmaes, learns=True, hears_stops=False),
    "tpe": Sampler(_tpe, learns=True),
}


def quantiles(space: Mapping[str, Domain]) -> dict[str, Domain]:
    """The space as samplers see it: a law that is no domain of theirs stands there as its quantile, even in (0, 1).

    >>> quantiles({"scheme.lr": LogNormal(0.1, 0.5), "direction.momentum": Uniform(0.0, 0.9)})
    {'scheme.lr': Uniform(low=0.0, high=1.0), 'direction.momentum': Uniform(low=0.0, high=0.9)}
    """
    return {key: Uniform(0.0, 1.0) if _law(domain) else domain for key, domain in space.items()}


def from_quantiles(space: Mapping[str, Domain], values: Mapping[str, Value]) -> dict[str, Value]:
    """Values of the space from those that a sampler suggested.

    Args:
        space: the domain of every key.
        values: by key, as `quantiles` says that samplers see them.

    Returns:
        One value a key.

    >>> from_quantiles({"scheme.lr": LogNormal(0.25, 0.5)}, {"scheme.lr": 0.5})
    {'scheme.lr': 0.25}
    """
    laws = {key: _law(space[key]) for key in values}
    return {key: law.at(cast("float", values[key])) if law else values[key] for key, law in laws.items()}


def to_quantiles(space: Mapping[str, Domain], values: Mapping[str, Value]) -> dict[str, Value]:
    """The inverse of `from_quantiles`.

    Args:
        space: the domain of every key.
        values: by key, each within its domain.

    Returns:
        One value a key.
    """
    laws = {key: _law(space[key]) for key in values}
    return {key: law.share(cast("float", values[key])) if law else values[key] for key, law in laws.items()}


def _law(domain: Domain) -> LogNormal | None:
    within = domain.inner if isinstance(domain, Derived) else domain
    return within if isinstance(within, LogNormal) else None


def optuna_distribution(domain: Domain) -> "BaseDistribution":
    """The domain in Optuna's words, a law of its own by its quantile."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Derived):
        return optuna_distribution(domain.inner)
    if isinstance(domain, LogNormal):
        return FloatDistribution(0.0, 1.0)
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    if isinstance(domain, Integer):
        return IntDistribution(domain.low, domain.high)
    return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))
