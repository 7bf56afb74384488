"""Randomness as an argument: one generator a stream, each a stable hash of what it is for; and torch's own, seeded."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # keys of trials need seeds, and no torch
    import torch


def seed_of(*parts: object) -> int:
    """A seed in [0, 2⁶³) that depends on the parts and on nothing else, the same on every machine.

    >>> seed_of("quickstart", "sgd", 0) == seed_of("quickstart", "sgd", 0) != seed_of("quickstart", "sgd", 1)
    True
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*parts: object) -> "torch.Generator":
    """A CPU generator for the stream that the parts name."""
    import torch

    return torch.Generator().manual_seed(seed_of(*parts))


@contextmanager
def seeded(device: "torch.device", seed: int) -> Iterator[None]:
    """Every global generator seeded: Python's, numpy's and torch's; the caller's are put back afterwards.

    Args:
        device: whose generator is seeded beside the CPU's
        seed: of all of them
    """
    with put_back(device):
        seed_all(device, seed)
        yield


@contextmanager
def put_back(device: "torch.device") -> Iterator[None]:
    """Put Python's, numpy's and torch's global generators back afterwards as they are now.

    Args:
        device: whose generator is put back beside the CPU's
    """
    import torch

    numpy = sys.modules.get("numpy")
    drawn, drawn_numpy = random.getstate(), numpy.random.get_state() if numpy else None
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(drawn)
        if numpy and drawn_numpy:
            numpy.random.set_state(drawn_numpy)


def seed_all(device: "torch.device", seed: int) -> None:
    """Seed every global generator that a loop of the user's may draw from: Python's, numpy's and torch's.

    Args:
        device: whose generator is seeded beside the CPU's
        seed: of all of them
    """
    random.seed(seed)
    if "numpy" in sys.modules or find_spec("numpy"):
        import numpy as np

        np.random.seed(seed % 2**32)
    seed_globally(device, seed)


def seed_globally(device: "torch.device", seed: int) -> None:
    """Seed torch's global generators; `torch.manual_seed` would format a traceback at every call without a GPU.

    Args:
        device: whose generator is seeded beside the CPU's
        seed: of both
    """
    import torch

    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
