"""The course of a training: its steps, its records, and the examples of every step, from seed and place alone."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from trainables.data import Split, Tree
from trainables.refusal import Refusal
from trainables.seeds import generator, seed_of
from trainables.trial import Trial


class Batch(NamedTuple):
    """The examples of one mini-batch."""

    inputs: Tree
    targets: Tree
    size: int


class Course:
    """When a training makes its records, and which examples each of its steps sees.

    An epoch goes through all training examples once, in an order of its own; its last step may see fewer.

    >>> trial = Trial.parse({"task": "digits_mlp", "batch_size": 100, "epochs": 2, "record_every": 0.5})
    >>> course = Course(trial, trial.task.splits().train)
    >>> course.steps_per_epoch, course.num_steps, course.due(1), [len(rows) for rows in course.rows(11)]
    (12, 24, 12, [97])
    """

    def __init__(self, trial: Trial, train: Split) -> None:
        """Lay out the training of `trial` on the examples of `train`; refuse records more often than steps."""
        self._trial, self._train = trial, train
        size = len(train) if trial.batch_size == "full" else min(trial.batch_size, len(train))
        self.batch_size = size  # examples a mini-batch
        self.steps_per_epoch = math.ceil(len(train) / (size * trial.accumulate))
        self.num_steps = max(1, round(trial.epochs * self.steps_per_epoch))
        if trial.record_every * self.steps_per_epoch < 1 - 1e-9:
            raise Refusal(
                f"record_every is {trial.record_every:g} of an epoch, and a step is 1/{self.steps_per_epoch} of one: "
                f"give at least {math.ceil(1e4 / self.steps_per_epoch) / 1e4:g}"
            )
        self._order: tuple[int, Tensor] | None = None

    def due(self, records: int) -> int:
        """The number of steps after which the next record is due.

        Args:
            records: that were made.
        """
        due = round((records + 1) * self._trial.record_every * self.steps_per_epoch)
        return min(max(due, 1), self.num_steps)

    def noise(self, steps: int, place: int = 0) -> int:
        """The seed of all that a step draws at random.

        Args:
            steps: before it.
            place: of the mini-batch among those of the step.
        """
        return seed_of(self._trial.seed, "noise", steps, *([place] if place else []))

    def order(self, epoch: int) -> Tensor:
        """The rows of the training split as an epoch goes through them.

        Args:
            epoch: 0 the first.
        """
        return self._shuffled("order", epoch)

    def rows(self, steps: int) -> tuple[Tensor, ...]:
        """The rows of each mini-batch of a step; the last of an epoch may be fewer, and smaller.

        Args:
            steps: before it.
        """
        epoch, place = divmod(steps, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, self.order(epoch))
        count = self.batch_size * self._trial.accumulate
        return self._order[1][place * count : (place + 1) * count].split(self.batch_size)

    def batches(self, steps: int) -> list[Batch]:
        """The mini-batches of a step.

        Args:
            steps: before it.
        """
        return [Batch(*self._train.at(rows), len(rows)) for rows in self.rows(steps)]

    def first(self) -> Batch:
        """The first examples as they are stored, as many as a mini-batch has."""
        rows = self._train.rows[: self.batch_size]
        return Batch(*self._train.at(rows), len(rows))

    def refreshing(self, steps: int, most: int) -> tuple[Tensor, ...]:
        """The rows of mini-batches that average BatchNorm's statistics anew, and train nothing.

        Args:
            steps: before it.
            most: mini-batches.
        """
        return self._shuffled("refresh", steps).split(self.batch_size)[:most]

    def _shuffled(self, *purpose: str | int) -> Tensor:
        drawn = torch.randperm(len(self._train), generator=generator(self._trial.seed, *purpose))
        return self._train.rows[drawn.to(self._train.rows.device)]
