"""The classical large network on MNIST."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from trainables.data import Data, datasets
from trainables.data.networks import mlp
from trainables.space import setting
from trainables.tasks import Classification


@dataclass(frozen=True)
class MnistMLP(Classification):
    """784-1000-1000-10 on MNIST (LeCun, Bottou, Bengio & Haffner 1998), the network of Baydin et al. 2018."""

    # lr-study target mnist_mlp --epochs 1 --trials 16 --seeds 5; 2026-11-22
    target: ClassVar[float | None] = 0.9673

    hidden: int = setting(1000, valid=(1, 100_000))
    valid_size: int = setting(10_000, valid=(0, 59_000))

    def data(self) -> Data:
        """60,000 training images, `valid_size` of them held out, and 10,000 test images."""
        return datasets.images("MNIST", self.valid_size)

    def model(self) -> nn.Module:
        """Two hidden layers."""
        return mlp(784, self.hidden, self.hidden, 10)

    def prepare(self, inputs: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the training set's pixels."""
        return (inputs.float() - 0.1307 * 255) / (0.3081 * 255)
