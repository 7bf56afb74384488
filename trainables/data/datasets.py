"""Data sets, prepared once: downloaded, verified, and kept as arrays that every trial maps into its memory.

`LR_STUDY_DATA` names a folder that already holds the raw files, in torchvision's layout (it may be read-only);
`LR_STUDY_CACHE` names the folder for the prepared arrays (default: ~/.cache/lr-study).
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, TypeAlias
from urllib.request import urlopen

import numpy as np
import torch
from torch import Tensor

from trainables.data import Data, Split
from trainables.refusal import Refusal, unknown

Arrays: TypeAlias = dict[str, np.ndarray]

# What of torchvision's layout each of its data sets is read from.
RAW = {"MNIST": "MNIST/raw", "FashionMNIST": "FashionMNIST/raw", "CIFAR10": "cifar-10-batches-py"}
NAMES = (*RAW, "TinyShakespeare")

SUBSET = "cifar10"  # a folder with train.npz and test.npz: a part of CIFAR-10, for tests and small runs
SHAKESPEARE = "tinyshakespeare/input.txt"
SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


class Images(NamedTuple):
    """A prepared set of images: uint8 (rows, height, width) or (rows, channels, height, width); labels int64."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


class Text(NamedTuple):
    """A prepared text, as places in its alphabet: both uint8."""

    characters: Tensor  # (length,)
    alphabet: Tensor  # (num_characters,) the codes, rising


def cache_folder() -> Path:
    """The folder of prepared arrays."""
    return Path(os.environ.get("LR_STUDY_CACHE", "~/.cache/lr-study")).expanduser()


@cache
def load(name: str) -> Images:
    """The images of that name, memory-mapped; prepared first if need be."""
    return Images(*_mapped(prepare(name), Images._fields))


@cache
def load_text(name: str) -> Text:
    """The text of that name, memory-mapped; prepared first if need be."""
    return Text(*_mapped(prepare(name), Text._fields))


def _mapped(folder: Path, parts: Iterable[str]) -> list[Tensor]:
    # "c": copy on write, so that torch does not warn of read-only memory; nothing here ever writes.
    return [torch.from_numpy(np.load(folder / f"{part}.npy", mmap_mode="c")) for part in parts]


def prepare(name: str) -> Path:
    """The folder with the prepared arrays of a data set, made now if it is not there."""
    if name not in NAMES:
        raise unknown("data set", name, NAMES)
    subset = name == "CIFAR10" and _subset() is not None
    ready = cache_folder() / (f"{name}-subset" if subset else name)
    if ready.exists():
        return ready
    ready.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ready.parent, prefix=".preparing-") as work:
        finished = Path(work) / "finished"
        finished.mkdir()
        for part, array in _arrays(name, Path(work)).items():
            np.save(finished / f"{part}.npy", array)
        try:
            finished.rename(ready)
        except OSError:
            if not ready.exists():  # another process was faster: its arrays are the same
                raise
    return ready


def _arrays(name: str, work: Path) -> Arrays:
    """The arrays of a data set from its source."""
    subset = _subset()
    if name == "TinyShakespeare":
        return _from_text(_shakespeare())
    if name == "CIFAR10" and subset:
        return _from_npz(subset)
    return _from_torchvision(name, work)


def _given(place: str) -> Path | None:
    """That file or folder below `LR_STUDY_DATA`, if it is there."""
    root = os.environ.get("LR_STUDY_DATA")
    path = Path(root).expanduser() / place if root else None
    return path if path and path.exists() else None


def _subset() -> Path | None:
    """The part of CIFAR-10 that `LR_STUDY_DATA` holds, where it does not hold all of it."""
    return None if _given(RAW["CIFAR10"]) else _given(SUBSET)


def _from_torchvision(name: str, work: Path) -> Arrays:
    """The arrays as torchvision reads them, once the raw files are here and their checksums are right."""
    from torchvision import datasets  # here, because it takes seconds to import

    raw = _given(RAW[name])
    if raw:
        shutil.copytree(raw, work / RAW[name], copy_function=shutil.copyfile)
    try:
        train, test = (getattr(datasets, name)(work, train=part, download=True) for part in (True, False))
    except (OSError, RuntimeError) as error:
        raise _missing(name, RAW[name], error) from error
    images = [np.asarray(part.data) for part in (train, test)]
    labels = [np.asarray(part.targets, dtype=np.int64) for part in (train, test)]
    return _images(images[0], labels[0], images[1], labels[1])


def _from_npz(folder: Path) -> Arrays:
    """The arrays of `train.npz` and `test.npz`: images (rows, height, width, channels) and labels."""
    train, test = (np.load(folder / f"{part}.npz") for part in ("train", "test"))
    return _images(train["images"], train["labels"], test["images"], test["labels"])


def _images(*arrays: np.ndarray) -> Arrays:
    """The arrays by name, channels first."""
    first = [np.moveaxis(array, -1, 1).copy() if array.ndim == 4 else array for array in arrays]
    return dict(zip(Images._fields, first, strict=True))


def _shakespeare() -> bytes:
    """The 1,115,394 characters of Karpathy's tinyshakespeare, from `LR_STUDY_DATA` or the net, verified."""
    given = _given(SHAKESPEARE)
    try:
        if given:
            text = given.read_bytes()
        else:
            with urlopen(SHAKESPEARE_URL, timeout=30) as answer:
                text = answer.read()
    except OSError as error:
        raise _missing("TinyShakespeare", SHAKESPEARE, error) from error
    if sha256(text).hexdigest() != SHAKESPEARE_SHA256:
        raise _missing("TinyShakespeare", SHAKESPEARE, f"sha256 is {sha256(text).hexdigest()}")
    return text


def _from_text(text: bytes) -> Arrays:
    alphabet, characters = np.unique(np.frombuffer(text, dtype=np.uint8), return_inverse=True)
    return dict(zip(Text._fields, (characters.astype(np.uint8), alphabet), strict=True))


def _missing(name: str, place: str, reason: object) -> Refusal:
    root = os.environ.get("LR_STUDY_DATA")
    return Refusal(
        f"{name} is missing or fails its checksum, and cannot be downloaded ({str(reason).splitlines()[0]}; "
        f"{f'LR_STUDY_DATA={root}' if root else 'LR_STUDY_DATA is not set'}): "
        f"set LR_STUDY_DATA to a folder that holds {place}, or run `lr-study prepare {name}` online"
    )


@cache
def images(name: str, valid_size: int, most: int | None = None) -> Data:
    """The data set of that name, some of its training images held out.

    Args:
        name: of the data set; downloaded and verified where it is not there
        valid_size: how many images are held out for validation
        most: as many of the training images as are used at all, drawn once for all; None: all of them

    Raises:
        Refusal: where the data cannot be had, or too many are held out
    """
    return split(load(name), valid_size, most)


def split(images: Images, valid_size: int, most: int | None = None) -> Data:
    """Training, validation and test rows; the validation rows are the same for every trial and seed.

    Args:
        images: all images and labels
        valid_size: how many training images are held out
        most: as many of the training images as are used at all; None: all of them

    Raises:
        Refusal: where none would be left to train on
    """
    order = torch.randperm(len(images.train_labels), generator=torch.Generator().manual_seed(0))[:most]
    if valid_size >= len(order):
        raise Refusal(f"valid_size must lie below the {len(order)} training images, got {valid_size}")
    num_train = len(order) - valid_size
    train, valid = order[:num_train].sort().values, order[num_train:].sort().values
    return Data(
        Split(images.train_images, images.train_labels, train),
        Split(images.train_images, images.train_labels, valid),
        Split(images.test_images, images.test_labels, torch.arange(len(images.test_labels))),
    )
