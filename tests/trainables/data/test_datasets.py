"""Data sets: every source gives the arrays it holds, verified, or one clear line."""

import io
import socket

import numpy as np
import pytest
import torch

from trainables.data import datasets
from trainables.refusal import Refusal


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """An empty LR_STUDY_DATA and an empty cache."""
    monkeypatch.setenv("LR_STUDY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("LR_STUDY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def _offline(monkeypatch):
    def refuse(*_):
        raise OSError("the network is down")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def npz(folder, count, seed):
    drawn = np.random.default_rng(seed)
    images = drawn.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    labels = drawn.integers(0, 10, count)
    folder.parent.mkdir(exist_ok=True)
    np.savez(folder, images=images, labels=labels, index=np.arange(count))
    return images, labels


def test_cifar10_from_a_subset_is_channels_first_and_prepared_once(folders):
    images, labels = npz(folders / "cifar10" / "train.npz", 20, seed=0)
    npz(folders / "cifar10" / "test.npz", 5, seed=1)
    ready = datasets.prepare("CIFAR10")
    prepared = np.load(ready / "train_images.npy")
    assert prepared.shape == (20, 3, 32, 32)
    assert all((prepared[:, channel] == images[..., channel]).all() for channel in range(3))
    assert (np.load(ready / "train_labels.npy") == labels).all()
    assert len(np.load(ready / "test_labels.npy")) == 5
    (folders / "cifar10" / "train.npz").unlink()
    assert datasets.prepare("CIFAR10") == ready


def test_a_subset_never_stands_in_for_the_whole_set(folders):
    for part in ("train", "test"):
        npz(folders / "cifar10" / f"{part}.npz", 3, seed=0)
    assert datasets.prepare("CIFAR10").name != "CIFAR10"


@pytest.mark.usefixtures("folders", "_offline")
@pytest.mark.parametrize("name", datasets.NAMES)
def test_what_is_neither_here_nor_on_the_net_is_refused_in_one_line(name):
    with pytest.raises(Refusal, match=f"{name} is missing.*LR_STUDY_DATA=.*lr-study prepare {name}") as refused:
        datasets.prepare(name)
    assert len(str(refused.value).splitlines()) == 1
    assert not list(datasets.cache_folder().iterdir())


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(Refusal, match=r"unknown data set 'CIFAR': did you mean 'CIFAR10'\?"):
        datasets.prepare("CIFAR")


@pytest.mark.usefixtures("_offline")
def test_a_text_that_differs_is_refused(folders):
    (folders / "tinyshakespeare").mkdir()
    (folders / "tinyshakespeare" / "input.txt").write_text("First Citizen: something else")
    with pytest.raises(Refusal, match=r"TinyShakespeare .*sha256"):
        datasets.prepare("TinyShakespeare")


def test_shakespeare_is_the_same_from_the_net_and_survives_its_encoding(shared, monkeypatch, tmp_path):
    text = (shared / "data" / "tinyshakespeare" / "input.txt").read_bytes()
    monkeypatch.delenv("LR_STUDY_DATA", raising=False)
    monkeypatch.setenv("LR_STUDY_CACHE", str(tmp_path))
    asked = []
    monkeypatch.setattr(datasets, "urlopen", lambda url, timeout: asked.append(url) or io.BytesIO(text))
    ready = datasets.prepare("TinyShakespeare")
    alphabet, characters = (np.load(ready / f"{part}.npy") for part in ("alphabet", "characters"))
    assert asked == [datasets.SHAKESPEARE_URL]
    assert len(alphabet) == 65
    assert alphabet[characters].tobytes() == text


def test_held_out_images_are_fixed_and_no_more_than_there_are():
    images = datasets.Images(*(torch.arange(10) for _ in range(4)))
    first, second = (datasets.split(images, 4) for _ in range(2))
    assert first.valid.rows.tolist() == second.valid.rows.tolist()
    assert sorted(first.train.rows.tolist() + first.valid.rows.tolist()) == list(range(10))
    with pytest.raises(Refusal, match="below the 10 training images, got 10"):
        datasets.split(images, 10)
