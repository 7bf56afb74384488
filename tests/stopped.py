"""Whole curves, stopped as a search stops trials: what searches and replays must agree with."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from study.search.stoppers import Stopper
from trainables.run.stopping import Rung, stopped_at


class Curve(NamedTuple):
    """The validation scores of one trial, one a record, higher is better."""

    scores: Sequence[float]
    diverged: bool = False  # its last score is the chance level then


def stopped_lengths(stopper: Stopper, curves: Iterable[Curve], parallel: int = 1) -> list[int]:
    """The records that each trial of one search would have had.

    Args:
        stopper: the one that judges.
        curves: of whole trials, in order of k.
        parallel: p, how many trials run at once: trial k is judged against 0 … k − p.
    """
    lengths: list[int] = []
    reached: list[tuple[Rung, ...]] = []
    for k, (scores, diverged) in enumerate(curves):
        bars = stopper.bars(k, reached[: max(0, k - parallel + 1)])
        length = stopped_at(bars, scores) or len(scores)
        ended = diverged and length == len(scores)
        reached.append(stopper.reached(k, scores[:length], diverged=ended))
        lengths.append(length)
    return lengths
