"""A residual network with batch normalisation on CIFAR-10; for a GPU."""

from dataclasses import dataclass

from torch import nn

from trainables.tasks.cifar10 import Cifar10


@dataclass(frozen=True)
class Cifar10ResNet18(Cifar10):
    """torchvision's ResNet-18 (He et al. 2016, arXiv 1512.03385) with the usual stem for 32×32 pixels.

    A 3×3 convolution of stride 1 and no pooling in place of the 7×7 of stride 2. Images are cropped from a frame of
    4 pixels and mirrored, in one operation on the batch.
    """

    def model(self) -> nn.Module:
        """11.2 million parameters."""
        from torchvision.models import resnet18  # here, because it takes seconds to import

        network = resnet18(num_classes=self.num_classes)
        network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's others
        network.maxpool = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]
        return network
