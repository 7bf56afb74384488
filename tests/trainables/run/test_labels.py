"""The labels that a network predicts are kept as they are, however many classes there are."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from trainables.data import Split
from trainables.run import artifacts
from trainables.run.predictor import Predictor
from trainables.tasks import Classification


@dataclass(frozen=True)
class Identity(Classification):
    """Says of every row the class that its only 1 stands for."""

    num_classes: ClassVar[int] = 0

    def data(self):
        raise NotImplementedError

    def model(self):
        return torch.nn.Identity()

    def prepare(self, inputs):
        return torch.nn.functional.one_hot(inputs, self.num_classes).float()


@pytest.mark.parametrize(
    ("num_classes", "kept_as"), [(10, "uint8"), (256, "uint8"), (257, "int16"), (32768, "int16"), (32769, "int32")]
)
def test_the_highest_class_is_kept_and_no_more_is_stored_than_is_needed(num_classes, kept_as, monkeypatch, tmp_path):
    monkeypatch.setattr(Identity, "num_classes", num_classes)
    rows = torch.tensor([0, num_classes // 2, num_classes - 1])
    split, labels = Split(rows, rows, torch.arange(3)), []
    assert Predictor(Identity(), "float32", torch.device("cpu"), 0).scores({}, {}, split, labels).score == 1
    kept = artifacts.kept(artifacts.Kept([], {}, 0), labels, {}, late=False)
    with np.load(artifacts.save(artifacts.named(kept, {}), tmp_path)) as arrays:
        assert arrays[artifacts.LABELS].tolist() == [rows.tolist()]
        assert arrays[artifacts.LABELS].dtype == kept_as
