"""DeepOBS's network on CIFAR-10."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from trainables.tasks.cifar10 import Cifar10


@dataclass(frozen=True)
class Cifar103C3D(Cifar10):
    """conv5×5(64)-pool-conv3×3(96)-pool-conv3×3(128)-pool-512-256-10 with ReLU on CIFAR-10 (Krizhevsky 2009).

    The network of DeepOBS (Schneider, Balles & Hennig 2019, arXiv 1903.05499): Glorot's normal for convolutions and
    uniform for dense layers, biases 0, every image standardised by itself. Images are cropped from a frame of 2
    pixels and mirrored; the authors also vary brightness, saturation and contrast, and decay the weights by .002.
    """

    padding: ClassVar[int] = 2

    def model(self) -> nn.Module:
        """Three convolutions and three dense layers."""
        network = nn.Sequential(
            # ceil_mode is what TensorFlow's padding "same" comes to here: one column more, at the end
            nn.Conv2d(3, 64, 5), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(64, 96, 3), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Conv2d(96, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten(),
            nn.Linear(3 * 3 * 128, 512), nn.ReLU(),
            nn.Linear(512, 256), nn.ReLU(),
            nn.Linear(256, 10),
        )  # fmt: skip
        for param in network.parameters():
            draw = {1: nn.init.zeros_, 2: nn.init.xavier_uniform_, 4: nn.init.xavier_normal_}
            draw[param.dim()](param)
        return network

    def prepare(self, inputs: Tensor) -> Tensor:
        """Mean 0 and variance 1 over the pixels of each image, a flat one left dark."""
        pixels = inputs.float()
        centred = pixels - pixels.mean((1, 2, 3), keepdim=True)
        deviation = centred.square().mean((1, 2, 3), keepdim=True).sqrt()
        return centred / deviation.clamp(min=pixels[0].numel() ** -0.5)
