"""A small normalised network on Fashion-MNIST whose loss does not see the length of its weights."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from trainables.data import Data, datasets
from trainables.data.networks import bare_norm
from trainables.space import setting
from trainables.tasks import Classification


@dataclass(frozen=True)
class FashionMLPNorm(Classification):
    """784-hidden-hidden-10 on Fashion-MNIST, BatchNorm before each ReLU; f(cW) = f(W) for every trained W and c > 0.

    Li, Lyu & Arora 2020 (arXiv 2010.02916): no biases, no affine parameters, the last layer frozen at its random start.
    Two negative controls see the lengths: `normalised: false` leaves BatchNorm out, `trained_last: true` trains the
    last layer too. `start` multiplies the weights that training starts from. A trial with `scale_invariance: true`
    records how far each W turns (`trainables/run/scale_invariance.py`).
    """

    # lr-study target fashion_mlp_norm --epochs 2 --trials 16 --seeds 5; 2026-11-22
    target: ClassVar[float | None] = 0.8663

    hidden: int = setting(128, valid=(1, 100_000))
    normalised: bool = setting(True)
    trained_last: bool = setting(False)
    start: float = setting(1.0, valid=(1e-6, 1e6))
    valid_size: int = setting(10_000, valid=(0, 59_000))

    def data(self) -> Data:
        """60,000 training images, `valid_size` of them held out, and 10,000 test images."""
        return datasets.images("FashionMNIST", self.valid_size)

    def model(self) -> nn.Module:
        """Two hidden layers."""
        layers: list[nn.Module] = [nn.Flatten()]
        for num_in, num_out in pairwise((784, self.hidden, self.hidden)):
            norm = [bare_norm(num_out)] if self.normalised else []
            layers += [nn.Linear(num_in, num_out, bias=False), *norm, nn.ReLU()]
        last = nn.Linear(self.hidden, self.num_classes, bias=False)
        network = nn.Sequential(*layers, last.requires_grad_(self.trained_last))
        with torch.no_grad():
            for param in network.parameters():
                if param.requires_grad:
                    param.mul_(self.start)
        return network

    def prepare(self, inputs: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the training set's pixels."""
        return (inputs.float() - 0.2860 * 255) / (0.3530 * 255)
