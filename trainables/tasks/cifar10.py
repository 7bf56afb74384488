"""The common part of all tasks on CIFAR-10: the images, crops and flips, and pixels standardised by channel."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from trainables.data import Data, datasets
from trainables.data.augmentations import cropped_and_flipped
from trainables.space import setting
from trainables.tasks import Classification

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # of the training set's pixels, by channel


@dataclass(frozen=True)
class Cifar10(Classification):
    """CIFAR-10 (Krizhevsky 2009): images cropped from a frame of `padding` pixels and mirrored, on the batch."""

    padding: ClassVar[int] = 4

    valid_size: int = setting(5_000, valid=(0, 49_000))
    augmented: bool = setting(True)

    def data(self) -> Data:
        """50,000 training images, `valid_size` of them held out, and 10,000 test images; or a subset of both."""
        return datasets.images("CIFAR10", self.valid_size)

    def augment(self, inputs: Tensor) -> Tensor:
        """Cropped and flipped."""
        return cropped_and_flipped(inputs, self.padding) if self.augmented else inputs

    def prepare(self, inputs: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the training set's pixels of each channel."""
        pixels = inputs.float()
        mean, deviation = (pixels.new_tensor(numbers).view(3, 1, 1) * 255 for numbers in (MEAN, DEVIATION))
        return (pixels - mean) / deviation
