"""The best score of a training: of the scores that are numbers, in the task's own sense."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from trainables.data import Data, Split
from trainables.run.loop import Run
from trainables.run.stopping import best_score
from trainables.tasks import Classification
from trainables.trial import Trial

NAN = float("nan")
NUM_VALID = 4


@dataclass(frozen=True)
class Told(Classification):
    """Its validation scores are what it is told."""

    num_classes: ClassVar[int] = 2
    scores: ClassVar[Iterator[float]] = iter(())

    def data(self):
        inputs, targets = torch.eye(2).repeat(8, 1), torch.arange(2).repeat(8)
        rows = torch.arange(len(targets))
        few = Split(inputs, targets, rows[:NUM_VALID])
        return Data(Split(inputs, targets, rows), few, few)

    def model(self):
        return nn.Linear(2, 2)

    def prepare(self, inputs):
        return inputs

    def score(self, outputs, targets):
        return torch.tensor(next(self.scores)) if len(targets) == NUM_VALID else torch.tensor(0.5)


@pytest.mark.parametrize(
    ("scores", "worth"), [([0.25, 0.75, NAN], 0.75), ([NAN, 0.25, NAN], 0.25), ([NAN, NAN, NAN], 0.5)]
)
def test_a_score_that_is_no_number_neither_erases_the_best_nor_is_told(scores, worth, monkeypatch):
    monkeypatch.setattr(Told, "scores", iter(scores))
    run = Run(Trial(task=Told(), batch_size="full", epochs=3.0, evaluate_test="never"))
    told = [record.valid_score for record in run]
    assert np.array_equal(told, scores, equal_nan=True)
    assert run.best_score == worth
    assert not run.diverged


@given(st.lists(st.one_of(st.just(NAN), st.floats(-1e6, 1e6)), min_size=1), st.sampled_from(["max", "min"]))
def test_the_best_is_numpys_with_what_is_no_number_left_out(scores, mode):
    sign = 1 if mode == "max" else -1
    if not all(np.isnan(scores)):
        assert best_score(scores, mode) == sign * np.nanmax(sign * np.array(scores))
