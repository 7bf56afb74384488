"""DeepOBS's network on Fashion-MNIST, with published accuracies for three optimizers at 36 rates each."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from trainables.data import Data, datasets
from trainables.space import setting
from trainables.tasks import Classification


@dataclass(frozen=True)
class Fashion2C2D(Classification):
    """conv5×5(32)-pool-conv5×5(64)-pool-1024-10 with ReLU (Schneider, Balles & Hennig 2019, arXiv 1903.05499).

    Weights start from a normal of deviation .05 cut at two of them, biases at .05, pixels go from 0 to 1: what the
    authors' TensorFlow code does. It trains on all 60,000 images (`valid_size: 0`) in batches of 128.
    """

    # lr-study target fashion_2c2d --epochs 0.5 --trials 16 --seeds 5; 2026-11-24
    target: ClassVar[float | None] = 0.8605

    valid_size: int = setting(10_000, valid=(0, 59_000))

    def data(self) -> Data:
        """60,000 training images, `valid_size` of them held out, and 10,000 test images."""
        return datasets.images("FashionMNIST", self.valid_size)

    def model(self) -> nn.Module:
        """Two convolutions and two dense layers."""
        network = nn.Sequential(
            nn.Conv2d(1, 32, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 5, padding="same"), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(7 * 7 * 64, 1024), nn.ReLU(),
            nn.Linear(1024, 10),
        )  # fmt: skip
        for name, param in network.named_parameters():
            if name.endswith("bias"):
                nn.init.constant_(param, 0.05)
            else:
                nn.init.trunc_normal_(param, std=0.05, a=-0.1, b=0.1)
        return network

    def prepare(self, inputs: Tensor) -> Tensor:
        """One channel, from 0 to 1."""
        return inputs.unsqueeze(1).float() / 255
