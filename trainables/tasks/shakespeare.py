"""Spelling: the next character of Shakespeare, whatever network says it."""

import math
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from trainables.data import Data, Split, datasets
from trainables.space import setting
from trainables.tasks import Task

NUM_CHARACTERS = 65


@dataclass(frozen=True)
class Shakespeare(Task):
    """Karpathy's tinyshakespeare, a character a step.

    Examples are windows of `length` characters side by side. The first 90 % of the text are trained on, the next 5 %
    validate, the last 5 % test. The score is in bits a character.
    """

    metric: ClassVar[str] = "bits per character"
    mode: ClassVar[Literal["max", "min"]] = "min"

    length: int = setting(64, valid=(1, 50_000))

    @property
    def chance(self) -> float:
        """All characters equally likely: log₂ 65."""
        return math.log2(NUM_CHARACTERS)

    def data(self) -> Data:
        """1,115,394 characters."""
        return _windows(self.length)

    def prepare(self, inputs: Tensor) -> Tensor:
        """Places in the alphabet, as integers."""
        return inputs.long()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean softmax cross-entropy over all characters, in nats."""
        return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The same in bits."""
        return self.loss(outputs, targets) / math.log(2)


@cache
def _windows(length: int) -> Data:
    characters = datasets.load_text("TinyShakespeare").characters
    first, second = int(0.9 * len(characters)), int(0.95 * len(characters))
    return Data(*(_split(part, length) for part in characters.tensor_split([first, second])))


def _split(characters: Tensor, length: int) -> Split:
    count = (len(characters) - 1) // length
    inputs = characters[: count * length].view(count, length)
    targets = characters[1 : count * length + 1].view(count, length).long()
    return Split(inputs, targets, torch.arange(count))
