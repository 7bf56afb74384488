"""Control arms: the same base at the rate times the mean scale that another arm's trials were measured to have.

Trial k of a control waits for its source's trial k, and is a pure function of what the record says of that one.
"""

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TypeAlias

from study.dispatch.outcome import Outcome, SourceRecord, Suggestion
from study.dispatch.searching import Searching
from study.plan.controls import CURVE, shared_keys
from study.plan.key import Key
from study.plan.study import Search
from trainables.schemes.control import Piece

MAX_PIECES = 200  # of 27 characters at most: MLflow takes 6,000 a parameter


Reader: TypeAlias = Callable[[Key], Sequence[SourceRecord] | None]  # None: it cannot be read now


class Following:
    """The search of a control: configuration k is the source's, once every seed of the source's trial k has ended."""

    def __init__(self, search: Search, source: Searching, measured: Reader) -> None:
        self.search, self._source, self._measured = search, source, measured
        self._seeds: list[Sequence[SourceRecord]] = []  # of the source's next trial, as far as they have been read
        self._num_trials = search.arm.settings.trials
        self._outcomes: dict[int, Outcome] = {}
        self.num_asked = 0

    @property
    def exhausted(self) -> bool:
        """True once the whole budget has been handed out."""
        return self.num_asked >= self._num_trials

    @property
    def done(self) -> bool:
        """True once every outcome is in."""
        return len(self._outcomes) >= self._num_trials

    @property
    def ready(self) -> bool:
        """True where the source's next trial has ended, whatever way, and what it measured has been read."""
        return not self.exhausted and self._source.ended(self.num_asked) and self._read()

    def suggest(self) -> Suggestion:
        """The source's configuration with the curve that its seeds were measured to have."""
        k, of = self.num_asked, self._source.search
        values, seeds = self._source.values(k), self._seeds
        self.num_asked, self._seeds = k + 1, []
        return Suggestion(k, {**shared_keys(values), CURVE: curve(seeds, of.arm.trial(values, seed=0).epochs)})

    def observe(self, k: int, outcome: Outcome) -> None:
        """Keep the outcome of a configuration.

        Args:
            k: its number.
            outcome: how it ended.
        """
        self._outcomes[k] = outcome

    def _read(self) -> bool:
        """Read what the seeds of the source's next trial measured; False where one cannot be read now."""
        of = self._source.search
        while len(self._seeds) < of.arm.settings.seeds:
            rows = self._measured(of.key(self.num_asked, len(self._seeds)))
            if rows is None:
                return False
            self._seeds.append(rows)
        return True


def curve(seeds: Sequence[Sequence[SourceRecord]], epochs: float) -> str:
    """The mean scale of the seeds' records over progress, as `scheme.scales` writes it.

    Between two records it is the mean over the steps between them, over the seeds. A seed that diverged or failed
    keeps its last measured scale to the end; one that measured nothing does not count; where none did, it is 1.

    Args:
        seeds: the records of every seed of the source's trial, in order.
        epochs: of the trial, at which progress is 1.

    Returns:
        Pieces `start:scale`, parted by spaces.

    >>> curve([[SourceRecord(1, 10, 0.8), SourceRecord(2, 20, 0.6)]], epochs=2)  # .8 over ten steps, then .4 over ten
    '0:0.8 0.475:0.4'
    >>> curve([[SourceRecord(1, 10, 0.8), SourceRecord(2, 20, float("nan"))], []], epochs=2), curve([[]], epochs=2)
    ('0:0.8', '0:1')
    """
    most = max(1, MAX_PIECES // len(seeds))
    curves = [found for rows in seeds if (found := _pieces(_thinned(rows, most), epochs))]
    if not curves:
        return "0:1"
    starts = sorted({piece.start for found in curves for piece in found})
    means = [fmean(_at(found, start) for found in curves) for start in starts]
    return " ".join(f"{start:.9g}:{mean:.6g}" for start, mean in zip(starts, means, strict=True))


def _thinned(rows: Sequence[SourceRecord], most: int) -> list[SourceRecord]:
    """At most `most` of the records that measured something; they count from the start, so that no step is lost."""
    known = [row for row in rows if math.isfinite(row.mean_scale)]
    every = max(1, math.ceil(len(known) / most))
    return known[::-1][::every][::-1]


def _pieces(rows: Sequence[SourceRecord], epochs: float) -> list[Piece]:
    """One piece between two records; it starts half a step early, so that rounding never moves it by a step."""
    found, steps, total, start = list[Piece](), 0.0, 0.0, 0.0
    for row in rows:
        if row.steps <= steps:
            continue  # told again, without a step
        sum_so_far = row.steps * row.mean_scale
        found.append(Piece(start, max(0.0, (sum_so_far - total) / (row.steps - steps))))
        steps, total = row.steps, sum_so_far
        start = row.epoch / epochs * (steps - 0.5) / steps
    return found


def _at(found: Sequence[Piece], progress: float) -> float:
    return next(piece.scale for piece in reversed(found) if piece.start <= progress)
