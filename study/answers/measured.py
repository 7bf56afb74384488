"""One arm's answers: what its own trials say of its tuning cost."""

import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from study import cost
from study.answers.arms import Trials
from study.answers.results import Flag, Result
from study.answers.spent import Spent, spent
from study.cost import Interval, NotDefined
from study.records.question import Question

Asked = TypeVar("Asked")
Told = TypeVar("Told")

FEWEST_TYPICAL = 8  # trials from which the intervals of typical trials cover (tests/cost/test_interval_coverage.py)


@dataclass(frozen=True)
class Options:
    """Settings of a summary: against whom, at what budget and tolerance (in score), with which randomness."""

    question: Question = field(default_factory=Question)
    baseline: str | None = None
    budget: int | None = None
    tolerance: float = 0.0
    unit: str | None = None
    seed: int = 0
    draws: int = 10_000
    includes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()  # of the whole table: said of every arm


class Measured:
    """One arm, its result so far, and what a comparison needs: what it spent."""

    def __init__(self, trials: Trials, options: Options) -> None:
        self.trials, self.options = trials, options
        question = options.question
        self.sign = question.sign()
        self.target, chance = question.of("target", trials.task), question.of("chance", trials.task)
        self.floor = None if chance is None else self.sign * chance
        hits = None if self.target is None else int(trials.hit.sum())
        self.result = Result(trials.task, trials.scheme, trials.score.size, hits, self.target)
        self.result.notes += [*options.notes, *trials.notes]
        self.spent = Spent(NotDefined("no target was given"))
        self.paid: dict[str, Spent] = {}  # by unit, that of the table first; none without a target
        self.result.expected_cost.unit = options.unit or ""
        self.result.expected_trials.unit = "trials"
        if trials.depends and trials.searches > 1:
            self._observed()
        elif trials.depends:
            self._undefined(f"{trials.depends}, and there is one search only: give the column repetition")
        else:
            self._independent()
        self._learning_rates()

    def stream(self, name: str) -> np.random.Generator:
        """A generator of this arm's and quantity's own: no arm depends on which others are in the table."""
        return stream(self.options.seed, self.trials, name)

    def note(self, name: str, why: NotDefined | None) -> None:
        """Say in the notes why a quantity, or its interval, is not there.

        Args:
            name: of the quantity, with its verb: "sensitivity is".
            why: the reason; None: it is there, and nothing is noted.
        """
        if why is not None:
            self.result.notes.append(f"{name} {why}")

    def _undefined(self, why: str) -> None:
        self.spent = Spent(NotDefined(why))
        units = [] if self.target is None else [self.options.unit or "", *self.trials.beside]
        self.paid = dict.fromkeys(units, self.spent)
        self.note("expected_trials, expected_cost, expected_best and both shares are", NotDefined(why))

    def _to_target(self) -> None:
        if self.target is None:
            self.note("expected_trials and expected_cost are", NotDefined("no target was given"))
            return
        unit, result = self.options.unit or "", self.result
        self.paid = spent(self.trials, unit, self.stream, self.options.draws)
        self.spent = self.paid[unit]
        result.expected_trials, result.expected_cost = self.spent.trials_quantity, self.spent.cost_quantity
        result.censored = self.spent.censored
        result.notes += [self.spent.assumed] if self.spent.assumed else []

    def _independent(self) -> None:
        arm = self.trials
        self._to_target()
        if np.isnan(arm.score).any():
            self.note("expected_best is", NotDefined("a trial has no score and no chance level stands for it"))
            return
        self._expected_best(_budgets(arm.score.size, self.options.budget))
        self._typical()

    def _expected_best(self, ks: list[int]) -> None:
        arm, result = self.trials, self.result
        draws = cost.BestDraws(arm.score, self.floor, self.stream("best"), self.options.draws)
        refused: dict[int, NotDefined] = {}
        for k in ks:
            best = number(cost.expected_best(arm.score, k))
            result.expected_best[k] = self.sign * best
            result.expected_best_biased[k] = self.sign * number(cost.expected_best_biased(arm.score, k))
            if arm.test is not None:
                result.expected_test[k] = self.sign * number(cost.expected_best(arm.score, k, arm.test))
            why = cost.why_no_best_interval(arm.score, k) if arm.spaced is None else arm.spaced
            if why is None:
                result.expected_best_interval[k] = self._own(cost.ends(draws.low(k), draws.high(k), best))
            else:
                refused[k] = why
        if refused:
            self.note(f"the interval of expected_best from k={min(refused)} is", refused[min(refused)])

    def _typical(self) -> None:
        score, quantity = self.trials.score, self.result.interquartile_mean
        middle = cost.interquartile_mean([score])
        quantity.estimate = self.sign * middle
        if score.size >= FEWEST_TYPICAL:
            drawn = cost.interquartile_draws(score, self.stream("typical"), self.options.draws)
            quantity.low, quantity.high = self._own(cost.ends(*drawn, middle))

    def _observed(self) -> None:
        """Searches that learn: their observed costs and best-so-far, over repetitions."""
        arm, result = self.trials, self.result
        result.notes.append(f"{arm.depends}: what is told are means over {arm.searches} searches as observed")
        self._to_target()
        for k in _budgets(int(np.bincount(arm.search).min()), self.options.budget):
            heads = cost.best_so_far(arm.search, arm.score, k)
            if isinstance(heads, NotDefined):
                self.note("expected_best is", heads)
                break
            result.expected_best[k] = self.sign * float(heads.mean())
            if cost.why_no_best_interval(heads, 1) is None:
                draws = cost.BestDraws(heads, self.floor, self.stream(f"so far {k}"), self.options.draws)
                ends = cost.ends(draws.low(1), draws.high(1), float(heads.mean()))
                result.expected_best_interval[k] = self._own(ends)
        self.note("expected_best_biased is", NotDefined(f"{arm.depends}"))

    def _learning_rates(self) -> None:
        arm, result = self.trials, self.result
        if arm.lr is None:
            self.note("sensitivity and width_decades are", NotDefined("there is no column lr"))
            return
        known = ~np.isnan(arm.lr)
        lrs, losses = arm.lr[known], -arm.score[known]
        if not known.any():
            self.note("sensitivity and width_decades are", NotDefined("no trial has a learning rate"))
            return
        if self.floor is None:
            self.note("sensitivity is", NotDefined("no chance level was given: --chance"))
        else:
            full = cost.sensitivity(lrs, losses, -self.floor)
            window = cost.sensitivity(lrs, losses, -self.floor, decades=1)
            self.note("sensitivity is", full if isinstance(full, NotDefined) else None)
            result.sensitivity = {"full": defined(full), "window": defined(window)}
        width = cost.width_decades(lrs, losses)
        self.note("width_decades is", width if isinstance(width, NotDefined) else None)
        result.width_decades = defined(width)
        if isinstance(width, float):
            result.notes.append(
                "the learning rates are a fixed grid: numbers are exact for random subsets of it, "
                "intervals treat its points as random draws"
            )
        if np.ptp(losses) > 0 and cost.best_on_edge(lrs, losses):
            result.flags.append(Flag("learning_rate", "the best learning rate stands on the edge of those tried"))

    def _own(self, ends: Interval) -> tuple[float, float]:
        """An interval in the table's own sense of scores."""
        low, high = sorted((self.sign * ends.low, self.sign * ends.high))
        return low, high


def of_each(answer: Callable[[Asked], Told], every: Iterable[Asked]) -> list[Told]:
    """The answers, in order, on all cores: nearly all of their time goes to draws, for which numpy lets others run.

    Args:
        answer: of one; it changes nothing that it shares with another.
        every: of whom they are asked.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(answer, every))


def stream(seed: int, arm: Trials, name: str) -> np.random.Generator:
    """The generator of one arm's quantity of that name.

    Args:
        seed: of the whole summary.
        arm: its task and scheme take part in the seed, its trials do not.
        name: of the quantity.
    """
    return np.random.default_rng([seed, zlib.crc32(f"{arm.task}\0{arm.scheme}\0{name}".encode())])


def defined(value: float | NotDefined) -> float | None:
    """The number, or None for what is not defined."""
    return None if isinstance(value, NotDefined) else value


def number(value: float | NotDefined) -> float:
    """The number, where the caller knows that it is defined."""
    if isinstance(value, NotDefined):
        raise ValueError(f"a number was expected: it is {value}")
    return value


def _budgets(n: int, budget: int | None) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, … 64, 128, 256, … up to n, n itself, and the budget that was asked for."""
    powers = [2**i for i in range(n.bit_length())]
    asked = {n, *powers, *(3 * k for k in powers if k < 32)} | ({budget} if budget else set())
    return sorted(k for k in asked if 1 <= k <= n)
