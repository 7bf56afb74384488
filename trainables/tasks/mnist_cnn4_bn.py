"""A normalised convolutional network on MNIST whose loss does not see the length of its weights."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from trainables.data import Data, datasets
from trainables.data.networks import bare_norm
from trainables.space import setting
from trainables.tasks import Classification

STRIDES = 2, 1, 2, 1


@dataclass(frozen=True)
class MnistCNN4BN(Classification):
    """Four 3×3 convolutions on MNIST, BatchNorm before each ReLU, and a last layer on all 7×7 places.

    After Li, Lyu & Arora 2020 (arXiv 2010.02916), who train a normalised network of four layers: no biases, no affine
    parameters, the last layer frozen at its random start, so f(cW) = f(W) for every trained W and c > 0. The widths
    (`width` twice, then twice as many twice) and the strides (2, 1, 2, 1) are ours: they suit a processor. No mean over
    the places is taken: on 16 channel means (`width` 8), a frozen layer came to .70 to .82 in four epochs.
    Negative controls as in `fashion_mlp_norm`: `normalised: false`, `trained_last: true`.
    """

    # lr-study target mnist_cnn4_bn --epochs 1 --trials 16 --seeds 5; 2026-11-22
    target: ClassVar[float | None] = 0.9639

    width: int = setting(16, valid=(1, 10_000))
    normalised: bool = setting(True)
    trained_last: bool = setting(False)
    valid_size: int = setting(10_000, valid=(0, 59_000))

    def data(self) -> Data:
        """60,000 training images, `valid_size` of them held out, and 10,000 test images."""
        return datasets.images("MNIST", self.valid_size)

    def model(self) -> nn.Module:
        """Four convolutions and the last layer."""
        layers: list[nn.Module] = []
        widths = (1, self.width, self.width, 2 * self.width, 2 * self.width)
        for (num_in, num_out), stride in zip(pairwise(widths), STRIDES, strict=True):
            norm = [bare_norm(num_out, images=True)] if self.normalised else []
            layers += [nn.Conv2d(num_in, num_out, 3, stride, padding=1, bias=False), *norm, nn.ReLU()]
        last = nn.Linear(7 * 7 * 2 * self.width, self.num_classes, bias=False).requires_grad_(self.trained_last)
        return nn.Sequential(*layers, nn.Flatten(), last)

    def prepare(self, inputs: Tensor) -> Tensor:
        """One channel, mean 0 and variance 1 over the training set's pixels."""
        return ((inputs.float() - 0.1307 * 255) / (0.3081 * 255)).unsqueeze(1)
