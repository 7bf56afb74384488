"""Data: the splits that a task trains and is judged on; datasets, networks and augmentations beside them."""

from typing import NamedTuple

from torch import Tensor


class Split(NamedTuple):
    """Rows of a data set: those of `inputs` and `targets` that `rows` names."""

    inputs: Tensor  # (num_rows, …) as stored, uint8 for images
    targets: Tensor  # (num_rows,)
    rows: Tensor  # (num_examples,) int64

    def __len__(self) -> int:
        return len(self.rows)


class Data(NamedTuple):
    """The three splits: to train on, to choose on, and to tell the choice's worth on."""

    train: Split
    valid: Split
    test: Split
