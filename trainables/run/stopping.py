"""Rungs: what a training had reached by certain records, and what another must reach there to go on."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Rung(NamedTuple):
    """A score at a record: what one trial was worth by then, or the bar that another must reach."""

    record: int  # 1 the first
    score: float  # higher is better, whatever the task's own sense


def stopped_at(bars: Iterable[Rung], scores: Sequence[float]) -> int | None:
    """The record at which a training ends early, the first where no score so far is as good as its bar.

    Args:
        bars: in order of records
        scores: (num_records,) validation scores so far, higher is better; NaN is no score

    Returns:
        The number of the record; None where it goes on.

    >>> bars = [Rung(1, 0.5), Rung(3, 0.8)]
    >>> stopped_at(bars, [0.5, 0.7, 0.7, 0.9]), stopped_at(bars, [0.5, 0.9, 0.1])
    (3, None)
    """
    for bar in bars:
        if bar.record <= len(scores) and best_score(scores[: bar.record]) < bar.score:
            return bar.record
    return None


def best_score(scores: Iterable[float], mode: str = "max") -> float:
    """The best of the scores that are numbers; the worst that there is where none is.

    `study.records.trials` judges recorded trials by the same law, in arrays.

    Args:
        scores: NaN is no score
        mode: max or min

    >>> best_score([0.5, float("nan"), 0.7]), best_score([0.5, float("nan"), 0.7], "min"), best_score([])
    (0.7, 0.5, -inf)
    """
    numbers = [score for score in scores if score == score]
    return max(numbers, default=-float("inf")) if mode == "max" else min(numbers, default=float("inf"))
