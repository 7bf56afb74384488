"""The luck of a trial that was chosen for its score: what it scores on seeds that no choice has seen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from study import cost
from study.cost import Interval, NotDefined
from study.plan.key import Key
from trainables.run.here import train
from trainables.run.stopping import best_score
from trainables.seeds import seed_of
from trainables.trial import Record, Trial


@dataclass(frozen=True)
class Luck:
    """A trial's score beside those of fresh seeds."""

    score: float  # for which it was chosen; of several seeds the mean of each one's own best
    fresh: tuple[float, ...]  # its best validation score on each fresh seed; chance where it diverged
    mean: float
    interval: Interval | NotDefined  # Student's 95 % interval of that mean
    diverged: int

    @property
    def luck(self) -> float:
        """The score minus the mean over the fresh seeds."""
        return self.score - self.mean

    @property
    def told(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        ends = [None, None] if isinstance(self.interval, NotDefined) else list(self.interval)
        return {"luck": self.luck, "mean": self.mean, "interval": ends, "fresh": list(self.fresh)}


def luck(
    score: float, flat: Mapping[str, Any], key: Key, seeds: int, show: Callable[[str], None] = lambda line: None
) -> Luck:
    """Train a configuration on fresh seeds, here and one after the other.

    Args:
        score: of the trial that was chosen; of several seeds the mean of each one's own best, as fresh ones count.
        flat: its configuration; names of other people's code in it are trusted where they are to be imported.
        key: of that trial; the fresh seeds follow from it, so that they are the same the next time.
        seeds: how many.
        show: is told a line after each.

    Returns:
        The scores, and what they say of the trial's own.
    """
    found: list[float] = []
    diverged = 0
    for number in range(1, seeds + 1):
        trial = Trial.parse({**flat, "seed": seed_of("fresh", *key, number)})
        worth, lost = _worth(trial)
        found.append(worth)
        diverged += lost
        told = "diverged" if lost else f"{trial.task.metric} {worth:.4g}"
        show(f"fresh seed {number} of {seeds}: {told}")
    return Luck(score, tuple(found), float(np.mean(found)), cost.student_interval(found), diverged)


def _worth(trial: Trial) -> tuple[float, bool]:
    """The best validation score of a training, chance at least, as `study.records.trials` counts it."""
    every: list[Record] = []
    train(trial, every.append)
    if any(record.diverged for record in every):
        return float(trial.task.chance), True
    scores = [*(record.valid_score for record in every), float(trial.task.chance)]
    return best_score(scores, trial.task.mode), False
