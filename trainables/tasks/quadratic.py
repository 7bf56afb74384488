"""A noisy quadratic whose optimum is known: the oracle of the tests, and the quickest task there is."""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from trainables.data import Data, Split
from trainables.space import setting
from trainables.tasks import Task


class Centre(nn.Module):
    """One parameter θ, started at 0; the output is θ − x."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        return self.centre - x


@dataclass(frozen=True)
class Quadratic(Task):
    """J(θ) = ½ mean_n Σ_j a_j (θ_j − x_nj)², with a from 1 down to 1/condition.

    The points have mean 1 exactly, so the optimum is θ = 1, J there is ½ Σ a_j var_j, and a mini-batch moves it
    to the batch's own mean: the example of de Gournay & Gossard 2022 (arXiv 2210.14520), section 2.

    >>> task = Quadratic(dim=2, condition=4.0, noise=0.0)
    >>> round(task.chance, 6)  # J(0) = ½ (1 + ¼)
    0.625
    """

    metric: ClassVar[str] = "loss"
    mode: ClassVar[Literal["max", "min"]] = "min"
    dim: int = setting(10, valid=(1, 100_000))
    condition: float = setting(10.0, valid=(1.0, 1e12))
    noise: float = setting(1.0, valid=(0.0, 1e6))
    num_examples: int = setting(512, valid=(2, 1_000_000))

    @property
    def chance(self) -> float:
        """J at the start, θ = 0."""
        points = self.data().train.inputs
        return float(self.loss(-points, points.new_empty(0)))

    def data(self) -> Data:
        """The same points for training, validation and test."""
        return _points(self.dim, self.noise, self.num_examples)

    def model(self) -> nn.Module:
        """θ = 0."""
        return Centre(self.dim)

    def prepare(self, inputs: Tensor) -> Tensor:
        """The points themselves."""
        return inputs

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """½ mean_n Σ_j a_j (θ_j − x_nj)²; `targets` are not used."""
        exponents = torch.linspace(0, 1, self.dim, dtype=outputs.dtype, device=outputs.device)
        return (self.condition**-exponents * outputs**2).sum(-1).mean() / 2

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss itself."""
        return self.loss(outputs, targets)


@cache
def _points(dim: int, noise: float, num_examples: int) -> Data:
    drawn = torch.randn(num_examples, dim, generator=torch.Generator().manual_seed(0))
    points = 1 + noise * (drawn - drawn.mean(0))
    everything = Split(points, torch.zeros(num_examples, dtype=torch.int64), torch.arange(num_examples))
    return Data(everything, everything, everything)
