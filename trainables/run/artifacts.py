"""The artifacts that a trial leaves behind beside its records: the labels it predicted over time, and its weights."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainables.oracle import Tensors

FILE = "artifacts.npz"
LABELS, FINAL, MEAN = "labels", "final.", "mean."


class Kept(NamedTuple):
    """The labels and weights kept so far."""

    labels: list[Tensor]  # (num_valid,) each, one a record; whole numbers, as narrow as the classes allow
    mean: Tensors  # of the evaluated parameters over late records
    records: int  # that many of them


def kept(before: Kept, labels: Sequence[Tensor], params: Tensors, *, late: bool) -> Kept:
    """The labels and weights after one record more; `late` ones, of the training's second half, count in the mean.

    Args:
        before: what was kept so far
        labels: those predicted on validation data, batch by batch; empty where there are none
        params: the parameters at this record, by name
        late: whether the record is of the second half

    >>> one = kept(Kept([], {}, 0), [torch.tensor([3])], {"w": torch.tensor([1.0])}, late=True)
    >>> kept(one, [torch.tensor([3])], {"w": torch.tensor([2.0])}, late=True).mean["w"].item()
    1.5
    """
    every = [*before.labels, torch.cat(list(labels)) if labels else torch.zeros(0, dtype=torch.uint8)]
    if not late:
        return before._replace(labels=every)
    records = before.records + 1
    mean = {name: before.mean.get(name, param) for name, param in params.items()}
    return Kept(every, {name: mean[name] + (params[name] - mean[name]) / records for name in params}, records)


def named(kept: Kept, final: Tensors) -> Tensors:
    """Everything that was kept by name: `labels` (records, num_valid), `final.NAME` and `mean.NAME` of every parameter.

    Args:
        kept: labels and means
        final: the parameters at the end, by name
    """
    labels = torch.stack(kept.labels) if kept.labels else torch.zeros(0, 0, dtype=torch.uint8)
    weights = {FINAL + name: param for name, param in final.items()}
    return {LABELS: labels} | weights | {MEAN + name: param for name, param in kept.mean.items()}


def save(tensors: Tensors, folder: Path) -> Path:
    """Write tensors into a folder as arrays, whole or not at all.

    Args:
        tensors: by name
        folder: made if it is not there

    Returns:
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays: Any = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        try:
            np.savez_compressed(file, **arrays)
            file.flush()
        except BaseException:  # no room, for one
            Path(file.name).unlink(missing_ok=True)
            raise
    return Path(file.name).replace(folder / FILE)


def weights(arrays: Mapping[str, np.ndarray], prefix: str) -> Tensors:
    """The parameters of an artifact by their own names.

    Args:
        arrays: of the artifact
        prefix: `FINAL` or `MEAN`, which of the two is meant
    """
    return {
        name.removeprefix(prefix): torch.from_numpy(array) for name, array in arrays.items() if name.startswith(prefix)
    }
