"""Data sets, prepared once: torchvision downloads and verifies, every trial maps the same uint8 arrays.

`LR_STUDY_DATA` names a folder in torchvision's layout that already holds the raw files (it may be read-only);
`LR_STUDY_CACHE` names the folder for the prepared arrays (default: ~/.cache/lr-study).
"""

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainables.refusal import Refusal, unknown
from trainables.tasks import Data, Split

NAMES = ("MNIST", "FashionMNIST")


class Images(NamedTuple):
    """A prepared data set: images uint8 (rows, height, width), labels int64 (rows,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def cache_folder() -> Path:
    """Where prepared arrays live."""
    return Path(os.environ.get("LR_STUDY_CACHE", "~/.cache/lr-study")).expanduser()


@cache
def load(name: str) -> Images:
    """The data set of that name, memory-mapped; prepared first if need be."""
    folder = prepare(name)
    # "c": copy on write, so that torch does not warn of read-only memory; nothing here ever writes.
    return Images(*(torch.from_numpy(np.load(folder / f"{part}.npy", mmap_mode="c")) for part in Images._fields))


def prepare(name: str) -> Path:
    """The folder with the prepared arrays of a data set, made now if it is not there."""
    if name not in NAMES:
        raise unknown("data set", name, NAMES)
    ready = cache_folder() / name
    if ready.exists():
        return ready
    ready.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ready.parent, prefix=".preparing-") as work:
        arrays = _verified(name, Path(work))
        finished = Path(work) / "finished"
        finished.mkdir()
        for part, array in zip(Images._fields, arrays, strict=True):
            np.save(finished / f"{part}.npy", array)
        try:
            finished.rename(ready)
        except OSError:
            if not ready.exists():  # another process was faster: its arrays are the same
                raise
    return ready


def _verified(name: str, work: Path) -> tuple[np.ndarray, ...]:
    """The arrays as torchvision reads them, once the raw files are here and their checksums are right."""
    from torchvision import datasets  # here, because it takes seconds to import

    given = os.environ.get("LR_STUDY_DATA")
    raw = Path(given).expanduser() / name / "raw" if given else None
    if raw and raw.is_dir():
        shutil.copytree(raw, work / name / "raw", copy_function=shutil.copyfile)
    try:
        train, test = (getattr(datasets, name)(work, train=part, download=True) for part in (True, False))
    except (OSError, RuntimeError) as error:
        place = f"LR_STUDY_DATA={given}" if given else "LR_STUDY_DATA is not set"
        reason = str(error).splitlines()[0]
        raise Refusal(
            f"{name} is missing or fails its checksum, and cannot be downloaded ({reason}; {place}): "
            f"set LR_STUDY_DATA to a folder that holds {name}/raw/*.gz, or run `lr-study prepare {name}` online"
        ) from error
    arrays = (train.data, train.targets, test.data, test.targets)
    return tuple(array.numpy() for array in arrays)


def split(images: Images, valid_size: int) -> Data:
    """Training, validation and test rows; the validation rows are the same for every trial and seed."""
    order = torch.randperm(len(images.train_labels), generator=torch.Generator().manual_seed(0))
    num_train = len(order) - valid_size
    train, valid = order[:num_train].sort().values, order[num_train:].sort().values
    return Data(
        Split(images.train_images, images.train_labels, train),
        Split(images.train_images, images.train_labels, valid),
        Split(images.test_images, images.test_labels, torch.arange(len(images.test_labels))),
    )
