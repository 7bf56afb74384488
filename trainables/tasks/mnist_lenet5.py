"""The first convolutional network that everybody knows."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from trainables.data import Data, datasets
from trainables.data.networks import initialised
from trainables.space import setting
from trainables.tasks import Classification


@dataclass(frozen=True)
class MnistLeNet5(Classification):
    """LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998) with max-pooling and a linear output, on MNIST.

    conv5×5(6)-pool-conv5×5(16)-pool-120-84-10. `dropout` is the share of the 120 and the 84 that each step leaves
    out (Srivastava et al. 2014); `init` goes with `activation`: Glorot's for tanh, He's for ReLU.
    """

    # lr-study target mnist_lenet5 --epochs 0.75 --trials 16 --seeds 5; 2026-11-21
    target: ClassVar[float | None] = 0.9521
    activation: Literal["relu", "tanh"] = setting("relu")
    init: Literal["torch", "glorot", "he"] = setting("he")
    dropout: float = setting(0.0, valid=(0.0, 0.95))
    valid_size: int = setting(10_000, valid=(0, 59_000))

    def data(self) -> Data:
        """60,000 training images, `valid_size` of them held out, and 10,000 test images."""
        return datasets.images("MNIST", self.valid_size)

    def model(self) -> nn.Module:
        """Two convolutions and three dense layers."""
        active = {"relu": nn.ReLU, "tanh": nn.Tanh}[self.activation]
        drop = [nn.Dropout(self.dropout)] if self.dropout else []
        network = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), active(), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), active(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), active(), *drop,
            nn.Linear(120, 84), active(), *drop,
            nn.Linear(84, 10),
        )  # fmt: skip
        return initialised(network, self.init)

    def prepare(self, inputs: Tensor) -> Tensor:
        """One channel, mean 0 and variance 1 over the training set's pixels."""
        return ((inputs.float() - 0.1307 * 255) / (0.3081 * 255)).unsqueeze(1)
