"""A small residual network with batch normalisation on a fifth of CIFAR-10; for a core or two."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from trainables.data import Data, datasets
from trainables.space import setting
from trainables.tasks.cifar10 import Cifar10
from trainables.tasks.cifar10_preresnet import Block

IMAGES = 10_000
STAGES = (8, 1), (16, 2), (32, 2)  # channels, stride


@dataclass(frozen=True)
class Cifar10PreResNetSmall(Cifar10):
    """PreResNet-8 of width 8 (He et al. 2016, arXiv 1603.05027) on 10,000 images of CIFAR-10.

    Batch normalisation with its usual scales and shifts. A stream that becomes coarser and wider is averaged and padded
    with zeros, as in `cifar10_preresnet`.
    """

    # at half of these epochs (at their end 0.37175): lr-study target cifar10_preresnet_small batch_size=64 --epochs 2
    # --trials 32 --seeds 20 --record-every 0.2; 2026-11-28
    target: ClassVar[float | None] = 0.312

    valid_size: int = setting(2_000, valid=(0, IMAGES - 1))

    def data(self) -> Data:
        """8,000 training and 2,000 validation images, the same for every trial; all test images."""
        return datasets.images("CIFAR10", self.valid_size, IMAGES)

    def model(self) -> nn.Module:
        """19,218 parameters in 23 tensors."""
        num_in = STAGES[0][0]
        layers: list[nn.Module] = [nn.Conv2d(3, num_in, 3, padding=1, bias=False)]
        for num_out, stride in STAGES:
            branch = nn.Sequential(
                nn.BatchNorm2d(num_in), nn.ReLU(), nn.Conv2d(num_in, num_out, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(num_out), nn.ReLU(), nn.Conv2d(num_out, num_out, 3, padding=1, bias=False),
            )  # fmt: skip
            layers.append(Block(branch, num_out - num_in, stride))
            num_in = num_out
        head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(num_in, self.num_classes)
        return nn.Sequential(*layers, nn.BatchNorm2d(num_in), nn.ReLU(), *head)
