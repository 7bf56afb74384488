"""A residual network on CIFAR-10 whose loss does not see the length of its weights; for a GPU."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from trainables.data.networks import bare_norm
from trainables.refusal import Refusal
from trainables.space import setting
from trainables.tasks.cifar10 import Cifar10

BLOCK = 6  # layers that one more block in each of the three stages adds


@dataclass(frozen=True)
class Cifar10PreResNet(Cifar10):
    """PreResNet of `depth` 6n + 2 on CIFAR-10 (He et al. 2016, arXiv 1603.05027), without affine parameters.

    Li, Lyu & Arora 2020 (arXiv 2010.02916) train PreResNet-32 so that f(cW) = f(W) for every trained W and c > 0: no
    biases, the last layer frozen at its random start. For that the end of each branch is normalised too, before it is
    added to the stream, and a stream that becomes coarser and wider is averaged and padded with zeros (their choice A
    of 2015, without parameters). Negative controls: `normalised: false`, `trained_last: true`.
    """

    depth: int = setting(32, valid=(8, 10_000))
    width: int = setting(16, valid=(1, 10_000))
    normalised: bool = setting(True)
    trained_last: bool = setting(False)

    def check(self) -> None:
        """Refuses a depth that no number of blocks has."""
        if (self.depth - 2) % BLOCK:
            near = 2 + BLOCK * max(1, round((self.depth - 2) / BLOCK))
            raise Refusal(f"task.depth must be 6n + 2, as {near} is, got {self.depth}")

    def model(self) -> nn.Module:
        """0.46 million trained parameters at depth 32."""
        self.check()
        norm = _norm if self.normalised else _nothing
        layers: list[nn.Module] = [nn.Conv2d(3, self.width, 3, padding=1, bias=False), norm(self.width)]
        num_in = self.width
        for stage in range(3):
            num_out = self.width * 2**stage
            for block in range((self.depth - 2) // BLOCK):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Block(_branch(num_in, num_out, stride, norm), num_out - num_in, stride))
                num_in = num_out
        last = nn.Linear(num_in, self.num_classes, bias=False).requires_grad_(self.trained_last)
        return nn.Sequential(*layers, norm(num_in), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


def _norm(channels: int) -> nn.Module:
    return bare_norm(channels, images=True)


def _nothing(channels: int) -> nn.Module:
    return nn.Identity()


def _branch(num_in: int, num_out: int, stride: int, norm: Callable[[int], nn.Module]) -> nn.Sequential:
    return nn.Sequential(
        norm(num_in), nn.ReLU(), nn.Conv2d(num_in, num_out, 3, stride, padding=1, bias=False),
        norm(num_out), nn.ReLU(), nn.Conv2d(num_out, num_out, 3, padding=1, bias=False), norm(num_out),
    )  # fmt: skip


class Block(nn.Module):
    """stream + branch(stream); the stream is averaged over `stride` pixels and padded with `more` channels of zeros."""

    def __init__(self, branch: nn.Module, more: int, stride: int) -> None:
        super().__init__()
        self.branch, self.more, self.stride = branch, more, stride

    def forward(self, stream: Tensor) -> Tensor:
        added = self.branch(stream)
        if self.stride > 1:
            stream = functional.avg_pool2d(stream, self.stride)
        return functional.pad(stream, (0, 0, 0, 0, 0, self.more)) + added
