"""Stoppers: early stopping of trials, one instance a search, a pure function of results.

Trial k is judged against trials 0…k − parallel of its search, whatever else has ended by then. It starts only when
their outcomes are in, so the bars that it must reach are known from the start and travel with its configuration:
no decision waits for a message, and none depends on the order in which results arrive.

Curves that are known in full are stopped by the same functions without any training: `replayed`.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from trainables.components import Component
from trainables.refusal import Refusal, unknown
from trainables.run.stopping import Rung, best_score, stopped_at
from trainables.space import setting


class Curve(NamedTuple):
    """The validation scores of one trial, one a record, higher is better."""

    scores: Sequence[float]
    diverged: bool = False  # its last score is the chance level then


class Stopper(Component):
    """Says where trials are judged, what each was worth there, and what the next must reach. Holds no state."""

    @abstractmethod
    def first(self, record_every: float) -> float:
        """The first record at which a trial is judged; a whole number where the stopper can work."""

    @abstractmethod
    def reached(
        self, scores: Sequence[float], record_every: float = 1.0, *, diverged: bool = False
    ) -> tuple[Rung, ...]:
        """The worth of a trial at each rung that it came to.

        Args:
            scores: (num_records,) validation scores, higher is better, one a record; where the trial diverged the last
                of them is the task's chance level.
            record_every: epochs from one record to the next.
            diverged: whether it did.

        Returns:
            One entry a rung, the number of its record and the worth there.
        """

    @abstractmethod
    def bars(self, earlier: Iterable[Sequence[Rung]]) -> tuple[Rung, ...]:
        """The bars that the next trial must reach at each rung, from what each of the earlier ones was worth there."""


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
    >>> asha.reached(curves[0])
    (Rung(record=1, score=0.1), Rung(record=3, score=0.5), Rung(record=9, score=0.8))
    >>> asha.bars([asha.reached(curve) for curve in curves])
    (Rung(record=1, score=0.2), Rung(record=3, score=0.5), Rung(record=9, score=0.8))
    """

    min_epochs: float = setting(1.0, valid=(1e-6, 1e6))
    reduction: int = setting(3, valid=(2, 1000))

    def first(self, record_every: float) -> float:
        return self.min_epochs / record_every

    def reached(
        self, scores: Sequence[float], record_every: float = 1.0, *, diverged: bool = False
    ) -> tuple[Rung, ...]:
        record, rungs = round(self.first(record_every)), list[Rung]()
        while record <= len(scores) - diverged:
            rungs.append(Rung(record, best_score(scores[:record])))
            record *= self.reduction
        return (*rungs, Rung(record, scores[-1])) if diverged else tuple(rungs)

    def bars(self, earlier: Iterable[Sequence[Rung]]) -> tuple[Rung, ...]:
        at: dict[int, list[float]] = {}
        for rungs in earlier:
            for rung in rungs:
                at.setdefault(rung.record, []).append(rung.score)
        return tuple(Rung(record, self._bar(scores)) for record, scores in sorted(at.items()))

    def _bar(self, others: Sequence[float]) -> float:
        places = max(1, (len(others) + 1) // self.reduction)
        return sorted(others, reverse=True)[places - 1]


def stopped_lengths(
    stopper: Stopper, curves: Iterable[Curve], parallel: int = 1, record_every: float = 1.0
) -> list[int]:
    """The records that each trial of one search would have had, from the curves of whole trials in order of k.

    Args:
        stopper: the one that judges.
        curves: one a trial.
        parallel: p, how many trials run at once: trial k is judged against 0 … k − p.
        record_every: epochs from one record to the next.

    Returns:
        One length a trial, in records.

    >>> stopped_lengths(Asha(min_epochs=1.0, reduction=2), [Curve([0.5, 0.6, 0.7]), Curve([0.4, 0.9, 0.9])])
    [3, 1]
    """
    lengths: list[int] = []
    reached: list[tuple[Rung, ...]] = []
    for scores, diverged in curves:
        bars = stopper.bars(reached[: max(0, len(reached) - parallel + 1)])
        length = stopped_at(bars, scores) or len(scores)
        ended = diverged and length == len(scores)
        reached.append(stopper.reached(scores[:length], record_every, diverged=ended))
        lengths.append(length)
    return lengths


STOPPERS: dict[str, type[Stopper]] = {"asha": Asha}
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
