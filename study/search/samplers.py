"""Samplers: Optuna's, and sequences of points that are known beforehand, each by its name."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from study.search import sequences
from trainables.space import Choice, Derived, Domain, Integer, LogUniform, Value

if TYPE_CHECKING:  # Optuna takes a second, which nobody who only names a sampler need wait
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

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


def optuna_distribution(domain: Domain) -> "BaseDistribution":
    """The domain in Optuna's words."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Derived):
        return optuna_distribution(domain.inner)
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    if isinstance(domain, Integer):
        return IntDistribution(domain.low, domain.high)
    return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))
