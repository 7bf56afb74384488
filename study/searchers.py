"""Searchers: Optuna's samplers, asked and told in an order that a restart can repeat.

Inside one search whose searcher learns, or which has a stopper, suggestion k sees exactly the results 0…k−parallel;
later ones count as running even if they are finished. Every ask uses a sampler freshly seeded by the key, so a search
asked again from the start draws the same configurations, and no sampler state need ever be stored.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from study import sequences
from trainables.rungs import Rung
from trainables.seeds import seed_of
from trainables.space import Choice, Domain, Integer, LogUniform, OverLr, Value

if TYPE_CHECKING:
    from study.spec import Search

optuna.logging.set_verbosity(optuna.logging.WARNING)

Status: TypeAlias = Literal["finished", "diverged", "stopped", "failed"]
STARTUP = 5  # random trials before TPE learns; Optuna's own 10 would spend most of a small budget


class Sampler(NamedTuple):
    """One of Optuna's samplers, or a sequence of points that is known beforehand."""

    make: Callable[[int, bool], BaseSampler]  # (seed, whether several suggestions run at once)
    learns: bool  # whether a suggestion depends on results
    points: Callable[[Mapping[str, Domain], int, int], dict[str, Value]] | None = None  # (space, search's seed, k)
    hears_stops: bool = True  # whether it makes use of trials that were stopped early, or needs no results


def _random(seed: int, _: bool) -> BaseSampler:
    return RandomSampler(seed=seed)


SAMPLERS: dict[str, Sampler] = {
    "random": Sampler(_random, learns=False),
    "sobol": Sampler(_random, learns=False, points=sequences.sobol),
    "halton": Sampler(_random, learns=False, points=sequences.halton),
    "grid": Sampler(_random, learns=False, points=sequences.grid),
    "gp": Sampler(lambda seed, _: GPSampler(seed=seed, n_startup_trials=STARTUP), learns=True, hears_stops=False),
    "cmaes": Sampler(
        lambda seed, _: CmaEsSampler(seed=seed, n_startup_trials=STARTUP, warn_independent_sampling=False),
        learns=True,
        hears_stops=False,
    ),
    "tpe": Sampler(lambda seed, liar: TPESampler(seed=seed, n_startup_trials=STARTUP, constant_liar=liar), learns=True),
}


class Outcome(NamedTuple):
    """How a trial ended, as its searcher is told."""

    status: Status
    score: float  # the best validation score; the task's chance level where it diverged
    rungs: tuple[Rung, ...] = ()  # what it was worth where a stopper judges; none where there is no stopper


class Suggestion(NamedTuple):
    """The k-th configuration of a search."""

    k: int
    values: dict[str, Value]
    bars: tuple[Rung, ...] = ()  # what its training must reach to go on


_STATES = {
    "finished": TrialState.COMPLETE,
    "diverged": TrialState.COMPLETE,  # at chance level: told as FAIL, TPE would keep coming back
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Searching:
    """One search under way: draws its configurations in order, and learns of outcomes at the right moment.

    >>> from study.spec import parse
    >>> study = parse("{question: q, common: {task: quadratic, searcher: tpe, trials: 2}, arms: {sgd: {}}}", "s")
    >>> searching = Searching(next(study.searches()))
    >>> searching.ready, searching.suggest().k, searching.ready
    (True, 0, False)
    >>> searching.observe(0, Outcome("finished", 0.5))
    >>> searching.ready, searching.suggest().k, searching.exhausted
    (True, 1, True)
    """

    def __init__(self, search: "Search") -> None:
        self.search = search
        self._settings = search.arm.settings
        self._sampler = SAMPLERS[self._settings.searcher]
        self._distributions = {key: distribution(domain) for key, domain in search.arm.space.items()}
        self._study = optuna.create_study(direction="maximize" if search.arm.task.mode == "max" else "minimize")
        self._asked: list[optuna.Trial] = []
        self._outcomes: dict[int, Outcome] = {}
        self._num_told = 0

    @property
    def exhausted(self) -> bool:
        """Whether the whole budget has been drawn."""
        return len(self._asked) >= self._settings.trials

    @property
    def done(self) -> bool:
        """Whether every outcome is in."""
        return len(self._outcomes) >= self._settings.trials

    @property
    def ready(self) -> bool:
        """Whether the next configuration may be drawn now."""
        return not self.exhausted and all(k in self._outcomes for k in range(self._num_told, self._visible))

    @property
    def num_asked(self) -> int:
        """Configurations drawn so far."""
        return len(self._asked)

    def suggest(self) -> Suggestion:
        """The next configuration; outcomes that it may see are told first, in order."""
        for k in range(self._num_told, self._visible):
            self._tell(k)
        k = len(self._asked)
        seed = seed_of("search", *self.search.key(k)) % 2**32
        self._study.sampler = self._sampler.make(seed, self._settings.parallel > 1)
        if self._sampler.points:
            whole = seed_of("sequence", *self.search.key(0)) % 2**32  # one scramble a search
            self._study.enqueue_trial(self._sampler.points(self.search.arm.space, whole, k))
        bars = self._bars()
        self._asked.append(self._study.ask(self._distributions))
        return Suggestion(k, dict(self._asked[k].params), bars)

    def observe(self, k: int, outcome: Outcome) -> None:
        """The outcome of configuration k, in whatever order outcomes come."""
        self._outcomes[k] = outcome

    def ended(self, k: int) -> bool:
        """Whether the outcome of configuration k is in."""
        return k in self._outcomes

    def values(self, k: int) -> dict[str, Value]:
        """Configuration k, which was suggested before."""
        return dict(self._asked[k].params)

    @property
    def _visible(self) -> int:
        """How many outcomes the next suggestion sees: none where nothing depends on them."""
        sees = self._sampler.learns or self.search.arm.stopper
        return max(0, len(self._asked) - self._settings.parallel + 1) if sees else 0

    def _bars(self) -> tuple[Rung, ...]:
        """What the next training must reach, from the outcomes that it sees and no others."""
        stopper = self.search.arm.stopper
        return stopper.bars(self._outcomes[k].rungs for k in range(self._visible)) if stopper else ()

    def _tell(self, k: int) -> None:
        outcome = self._outcomes[k]
        value = None if outcome.status == "failed" else outcome.score
        trial = self._asked[k]
        if outcome.status == "stopped":  # a pruned trial is told by its intermediate values
            value, sign = None, 1 if self.search.arm.task.mode == "max" else -1
            for rung in outcome.rungs:
                trial.report(sign * rung.score, step=rung.record)
        self._study.tell(trial, value, state=_STATES[outcome.status])
        self._num_told = k + 1


def distribution(domain: Domain) -> BaseDistribution:
    """The domain in Optuna's words."""
    if isinstance(domain, OverLr):
        return distribution(domain.product)
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    if isinstance(domain, Integer):
        return IntDistribution(domain.low, domain.high)
    return FloatDistribution(domain.low, domain.high, log=isinstance(domain, LogUniform))


def joined(outcomes: Mapping[int, Outcome]) -> Outcome:
    """The outcome of a configuration from those of its seeds: the mean score, and the worst of the statuses."""
    if len(outcomes) == 1:
        return next(iter(outcomes.values()))
    order: list[Status] = ["failed", "diverged", "stopped", "finished"]
    statuses = {outcome.status for outcome in outcomes.values()}
    scores = [outcome.score for outcome in outcomes.values()]
    return Outcome(next(status for status in order if status in statuses), sum(scores) / len(scores))
