"""Logistic regression on MNIST: convex, and the task of hypergradient descent's published curves."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from trainables.data import Data, datasets
from trainables.data.networks import mlp
from trainables.space import setting
from trainables.tasks import Classification


@dataclass(frozen=True)
class MnistLogreg(Classification):
    """784-10 on MNIST, as Baydin et al. 2018 (arXiv 1703.04782), section 4.1; their L2 of 1e-4 is the arm's."""

    # lr-study target mnist_logreg --epochs 2 --trials 16 --seeds 5; 2026-11-21
    target: ClassVar[float | None] = 0.9195
    valid_size: int = setting(10_000, valid=(0, 59_000))

    def data(self) -> Data:
        """60,000 training images, `valid_size` of them held out, and 10,000 test images."""
        return datasets.images("MNIST", self.valid_size)

    def model(self) -> nn.Module:
        """One linear layer."""
        return mlp(784, 10)

    def prepare(self, inputs: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the training set's pixels."""
        return (inputs.float() - 0.1307 * 255) / (0.3081 * 255)
