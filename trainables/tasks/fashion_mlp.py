"""A small network on Fashion-MNIST: real images, seconds a trial on a CPU."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from trainables.data import Data, datasets
from trainables.data.networks import mlp
from trainables.space import setting
from trainables.tasks import Classification


@dataclass(frozen=True)
class FashionMLP(Classification):
    """784-hidden-hidden-10 on Fashion-MNIST (Xiao, Rasul & Vollgraf 2017, arXiv 1708.07747)."""

    # lr-study target fashion_mlp --epochs 2 --trials 16 --seeds 5; 2026-11-21
    target: ClassVar[float | None] = 0.8654
    hidden: int = setting(128, valid=(1, 100_000))
    valid_size: int = setting(10_000, valid=(0, 59_000))

    def data(self) -> Data:
        """60,000 training images, `valid_size` of them held out, and 10,000 test images."""
        return datasets.images("FashionMNIST", self.valid_size)

    def model(self) -> nn.Module:
        """Two hidden layers."""
        return mlp(784, self.hidden, self.hidden, 10)

    def prepare(self, inputs: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the training set's pixels."""
        return (inputs.float() - 0.2860 * 255) / (0.3530 * 255)
