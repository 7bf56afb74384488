"""Stoppers: early stopping of trials, one instance a search, a pure function of results.

Trial k is judged against trials 0…k − parallel of its search, whatever else has ended by then. It starts only when
their outcomes are in, so the bars that it must reach are known from the start and travel with its configuration:
no decision waits for a message, and none depends on the order in which results arrive.
"""

import itertools
import math
import statistics
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainables.components import Component
from trainables.refusal import Refusal, unknown
from trainables.run.stopping import Rung, best_score
from trainables.space import setting

GOLDEN = (math.sqrt(5) - 1) / 2  # of its multiples the fractional parts lie most evenly


@dataclass(frozen=True)
class Stopper(Component):
    """Says where trials are judged, what each was worth there, and what the next must reach. Holds no state."""

    min_epochs: float = setting(1.0, valid=(1e-6, 1e6))

    def first(self, record_every: float) -> float:
        """The first record at which a trial is judged; a whole number where the stopper can work."""
        return self.min_epochs / record_every

    def reached(
        self, k: int, scores: Sequence[float], record_every: float = 1.0, *, diverged: bool = False
    ) -> tuple[Rung, ...]:
        """The worth of a trial at each rung that it came to; one that diverged counts at the next, at chance level.

        Args:
            k: the number of the trial in its search.
            scores: (num_records,) validation scores, higher is better, one a record; where the trial diverged the last
                of them is the task's chance level.
            record_every: epochs from one record to the next.
            diverged: whether it did.

        Returns:
            One entry a rung, the number of its record and the worth there.
        """
        records, rungs = self.records(k, round(self.first(record_every))), list[Rung]()
        record = next(records)
        while record <= len(scores) - diverged:
            rungs.append(Rung(record, self.worth(scores[:record])))
            record = next(records)
        return (*rungs, Rung(record, scores[-1])) if diverged else tuple(rungs)

    @abstractmethod
    def records(self, k: int, first: int) -> Iterator[int]:
        """The records at which trial k is judged, without end.

        Args:
            k: the number of the trial in its search.
            first: the record of `min_epochs`.
        """

    @abstractmethod
    def worth(self, scores: Sequence[float]) -> float:
        """The worth of a trial with these scores so far, to those that come after it; NaN is no score."""

    @abstractmethod
    def bars(self, k: int, earlier: Iterable[Sequence[Rung]]) -> tuple[Rung, ...]:
        """The bars that the best score of a trial must reach at each rung.

        Args:
            k: the number of the trial in its search.
            earlier: of trials 0, 1, … of the search, in order, what each was worth at its rungs.

        Returns:
            One entry a rung at which it is judged, in order of records.
        """


@dataclass(frozen=True)
class Asha(Stopper):
    """A trial goes on at rung i while it is among the best max(1, ⌊n / reduction⌋) of the n trials that came so far.

    Rung i lies at min_epochs · reductionⁱ epochs; n counts the trial itself; it is worth its best score so far, and
    an equal passes. A trial that diverged counts at the next rung, at chance level. Asynchronous successive halving,
    Li et al. 2020 (arXiv 1810.05934), algorithm 2, in the form that stops: what has been stopped is not taken up
    again when later trials turn out worse. r is `min_epochs`, η is `reduction`.

    Three trials of nine epochs, then the bars of the fourth, which must be the best at every rung:

    >>> asha = Asha(min_epochs=1.0, reduction=3)
    >>> curves = [0.1, 0.4, 0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.8], [0.2, 0.3, 0.3], [0.0]
    >>> asha.reached(0, curves[0])
    (Rung(record=1, score=0.1), Rung(record=3, score=0.5), Rung(record=9, score=0.8))
    >>> asha.bars(3, [asha.reached(k, curve) for k, curve in enumerate(curves)])
    (Rung(record=1, score=0.2), Rung(record=3, score=0.5), Rung(record=9, score=0.8))
    """

    reduction: int = setting(3, valid=(2, 1000))

    def records(self, k: int, first: int) -> Iterator[int]:
        return (first * self.reduction**rung for rung in itertools.count())

    def worth(self, scores: Sequence[float]) -> float:
        return best_score(scores)

    def bars(self, k: int, earlier: Iterable[Sequence[Rung]]) -> tuple[Rung, ...]:
        return tuple(Rung(record, self._bar(scores)) for record, scores in _by_record(earlier))

    def _bar(self, others: Sequence[float]) -> float:
        places = max(1, (len(others) + 1) // self.reduction)
        return sorted(others, reverse=True)[places - 1]


@dataclass(frozen=True)
class Hyperband(Stopper):
    """Successive halving in brackets, one later than the other: what begins slowly is not always stopped for it.

    The trials of bracket b are judged as by `asha`, against each other alone, first at min_epochs · reductionᵇ epochs.
    A bracket's share of the trials is in proportion to ⌈brackets/(s + 1) · reductionˢ⌉, s = brackets − 1 − b (Li et
    al. 2018, JMLR 18, algorithm 1; asynchronous as in Li et al. 2020, arXiv 1810.05934, section 3.3). k alone deals it
    out, evenly: the fractional part of k times the golden ratio falls in one of the shares. With
    1 + ⌊log(epochs / min_epochs) / log reduction⌋ brackets, as published, the last one stops nothing.

    >>> hyperband = Hyperband(brackets=3, reduction=3)  # shares of 9, 5 and 3 in 17
    >>> [hyperband.bracket(k) for k in range(8)]
    [0, 1, 0, 2, 0, 0, 1, 0]
    """

    reduction: int = setting(3, valid=(2, 1000))
    brackets: int = setting(3, valid=(1, 20))

    def bracket(self, k: int) -> int:
        """The bracket of trial k."""
        after = reversed(range(self.brackets))
        sizes = [-(-self.brackets * self.reduction**s // (s + 1)) for s in after]  # rounded up
        return sum(k * GOLDEN % 1 >= end / sum(sizes) for end in itertools.accumulate(sizes))

    def records(self, k: int, first: int) -> Iterator[int]:
        return self._halving.records(k, first * self.reduction ** self.bracket(k))

    def worth(self, scores: Sequence[float]) -> float:
        return best_score(scores)

    def bars(self, k: int, earlier: Iterable[Sequence[Rung]]) -> tuple[Rung, ...]:
        own = self.bracket(k)
        return self._halving.bars(k, (rungs for other, rungs in enumerate(earlier) if self.bracket(other) == own))

    @property
    def _halving(self) -> Asha:
        return Asha(reduction=self.reduction)


@dataclass(frozen=True)
class Median(Stopper):
    """A trial goes on while its best score so far is no worse than the median of the other trials' means so far.

    It is judged every `min_epochs` epochs against the trials that came so far, where there are `min_trials` of them.
    A trial that diverged counts at the next rung, at chance level. The median stopping rule of Golovin et al. 2017
    (Google Vizier, KDD, section 3.2.2).

    >>> median = Median(min_trials=2)
    >>> median.reached(0, [0.25, 0.75])
    (Rung(record=1, score=0.25), Rung(record=2, score=0.5))
    >>> median.bars(2, [median.reached(0, [0.25, 0.75]), median.reached(1, [0.75])])
    (Rung(record=1, score=0.5),)
    """

    min_trials: int = setting(3, valid=(1, 1_000_000))

    def records(self, k: int, first: int) -> Iterator[int]:
        return itertools.count(first, first)

    def worth(self, scores: Sequence[float]) -> float:
        numbers = [score for score in scores if score == score]
        return statistics.fmean(numbers) if numbers else -math.inf

    def bars(self, k: int, earlier: Iterable[Sequence[Rung]]) -> tuple[Rung, ...]:
        enough = ((record, others) for record, others in _by_record(earlier) if len(others) >= self.min_trials)
        return tuple(Rung(record, statistics.median(others)) for record, others in enough)


def _by_record(earlier: Iterable[Sequence[Rung]]) -> list[tuple[int, list[float]]]:
    """The scores of all trials that came to a record, record by record in their order."""
    at: dict[int, list[float]] = {}
    for rung in itertools.chain.from_iterable(earlier):
        at.setdefault(rung.record, []).append(rung.score)
    return sorted(at.items())


STOPPERS: dict[str, type[Stopper]] = {"asha": Asha, "hyperband": Hyperband, "median": Median}
NO_STOPPER = "none"  # the word for an arm that has none, where the others have


def stopper_of(name: str | None, given: Mapping[str, Any]) -> Stopper | None:
    """The stopper of that name with the fields that were given.

    Args:
        name: of the stopper; None or "none" for none.
        given: its fields, those left out at their defaults.

    Returns:
        The stopper, or None.

    Raises:
        Refusal: for a name that is not known, a field or value that it does not take, and fields without a stopper.

    >>> stopper_of("asha", {"reduction": 4})
    Asha(min_epochs=1.0, reduction=4)
    """
    if name in (None, NO_STOPPER):
        for key in given:
            raise Refusal(f"stopper.{key} needs a stopper: write stopper: {next(iter(STOPPERS))}")
        return None
    if name not in STOPPERS:
        raise unknown("stopper", name, STOPPERS)
    try:
        return STOPPERS[name].parse(given)
    except Refusal as refusal:
        raise Refusal(f"stopper {name}: {refusal}") from refusal
