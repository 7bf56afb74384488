"""A residual network with batch normalisation on CIFAR-10; for a GPU."""

from dataclasses import dataclass

from torch import Tensor, nn

from trainables import datasets
from trainables.augmentations import cropped_and_flipped
from trainables.space import setting
from trainables.tasks import Classification, Data

MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


@dataclass(frozen=True)
class Cifar10ResNet18(Classification):
    """torchvision's ResNet-18 (He et al. 2016, arXiv 1512.03385) with the usual stem for 32×32 pixels.

    A 3×3 convolution of stride 1 and no pooling in place of the 7×7 of stride 2. Images are cropped from a frame of
    4 pixels and mirrored, in one operation on the batch.
    """

    valid_size: int = setting(5_000, valid=(0, 49_000))
    augmented: bool = setting(True)

    def data(self) -> Data:
        """50,000 training images, `valid_size` of them held out, and 10,000 test images; or a subset of both."""
        return datasets.images("CIFAR10", self.valid_size)

    def model(self) -> nn.Module:
        """11.2 million parameters."""
        from torchvision.models import resnet18  # here, because it takes seconds to import

        network = resnet18(num_classes=self.num_classes)
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's others
        network.maxpool = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
        return network

    def augment(self, inputs: Tensor) -> Tensor:
        """Cropped and flipped."""
        return cropped_and_flipped(inputs, padding=4) if self.augmented else inputs

    def prepare(self, inputs: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the training set's pixels of each channel."""
        pixels = inputs.float()
        mean, deviation = (pixels.new_tensor(numbers).view(3, 1, 1) * 255 for numbers in (MEAN, DEVIATION))
        return (pixels - mean) / deviation
