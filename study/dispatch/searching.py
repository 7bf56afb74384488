"""Searchers: Optuna's samplers, asked and told in an order that a restart can repeat.

Inside one search whose searcher learns, or which has a stopper, suggestion k sees exactly the results 0…k−parallel;
later ones count as running even if they are finished. Every ask uses a sampler freshly seeded by the key, so a search
asked again from the start draws the same configurations, and no sampler state need ever be stored.
"""

import optuna
from optuna.trial import TrialState

from study.dispatch.outcome import Outcome, Suggestion
from study.plan.study import Search
from study.search.samplers import SAMPLERS, from_quantiles, optuna_distribution, quantiles, to_quantiles
from trainables.run.stopping import Rung
from trainables.seeds import seed_of
from trainables.space import Value

optuna.logging.set_verbosity(optuna.logging.WARNING)

_STATES = {
    "finished": TrialState.COMPLETE,
    "diverged": TrialState.COMPLETE,  # at chance level: told as FAIL, TPE would keep coming back
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


class Searching:
    """One search under way: draws its configurations in order, and learns of outcomes at the right moment.

    >>> from study.plan.parse import parse
    >>> study = parse("{question: q, common: {task: quadratic, searcher: tpe, trials: 2}, arms: {sgd: {}}}", "s")
    >>> searching = Searching(next(study.searches()))
    >>> searching.ready, searching.suggest().k, searching.ready
    (True, 0, False)
    >>> searching.observe(0, Outcome("finished", 0.5))
    >>> searching.ready, searching.suggest().k, searching.exhausted
    (True, 1, True)
    """

    def __init__(self, search: Search) -> None:
        self.search = search
        self._settings = search.arm.settings
        self._sampler = SAMPLERS[self._settings.searcher]
        self._space = quantiles(search.arm.space)
        self._distributions = {key: optuna_distribution(domain) for key, domain in self._space.items()}
        self._study = optuna.create_study(direction="maximize" if search.arm.task.mode == "max" else "minimize")
        self._asked: list[optuna.Trial] = []
        self._outcomes: dict[int, Outcome] = {}
        self._num_told = 0

    @property
    def exhausted(self) -> bool:
        """True once the whole budget has been drawn."""
        return len(self._asked) >= self._settings.trials

    @property
    def done(self) -> bool:
        """True once every outcome is in."""
        return len(self._outcomes) >= self._settings.trials

    @property
    def ready(self) -> bool:
        """True where the next configuration may be drawn now."""
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
        seed = seed_of("search", *self.search.draw(k)) % 2**32
        self._study.sampler = self._sampler.make(seed, self._settings.parallel > 1)
        if chosen := self._chosen(k):
            self._study.enqueue_trial(chosen)
        bars = self._bars()
        self._asked.append(self._study.ask(self._distributions))
        return Suggestion(k, self.values(k), bars)

    def observe(self, k: int, outcome: Outcome) -> None:
        """Keep the outcome of a configuration; they may come in any order.

        Args:
            k: its number.
            outcome: how it ended.
        """
        self._outcomes[k] = outcome

    def ended(self, k: int) -> bool:
        """True once the outcome of configuration k is in."""
        return k in self._outcomes

    def values(self, k: int) -> dict[str, Value]:
        """Configuration k, which was suggested before."""
        values = from_quantiles(self.search.arm.space, self._asked[k].params)
        return {**values, **self._given(k)}  # what was given to the last digit

    def _given(self, k: int) -> dict[str, Value]:
        """The values of configuration k that the study file gives."""
        start = self.search.arm.start
        return start[k] if k < len(start) else {}

    def _chosen(self, k: int) -> dict[str, Value]:
        """The values of configuration k that no sampler draws, as it sees them."""
        first = len(self.search.arm.start)
        if k < first or not self._sampler.points:
            return to_quantiles(self.search.arm.space, self._given(k))
        whole = seed_of("sequence", *self.search.draw(0)) % 2**32  # one scramble a search
        return self._sampler.points(self._space, whole, k - first)

    @property
    def _visible(self) -> int:
        """How many outcomes the next suggestion sees: none where nothing depends on them."""
        sees = self._sampler.learns or self.search.arm.stopper
        return max(0, len(self._asked) - self._settings.parallel + 1) if sees else 0

    def _bars(self) -> tuple[Rung, ...]:
        """What the next training must reach, from the outcomes that it sees and no others."""
        stopper = self.search.arm.stopper
        earlier = (self._outcomes[k].rungs for k in range(self._visible))
        return stopper.bars(len(self._asked), earlier) if stopper else ()

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
