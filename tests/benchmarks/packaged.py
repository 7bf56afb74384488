"""A step of `optimizer: torch.optim:Adam` through a trial beside that of a hand-written loop, one thread, interleaved.

    LR_STUDY_DATA=… uv run python tests/benchmarks/packaged.py [rounds]

On `mnist_mlp`, and on a transformer of 12 layers with 144 tensors. Prints the median over rounds of the ratio of a
round's steps, and the least and the largest; evaluation is left out on both sides.
"""

import statistics
import sys
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from trainables.data import Data, Split
from trainables.plugins import trusted
from trainables.run.loop import Run
from trainables.seeds import generator
from trainables.tasks import Classification
from trainables.trial import Trial

STEPS = 10  # a round
ADAM = {"optimizer": trusted("torch.optim:Adam"), "optimizer.lr": 1e-3, "epochs": 1000}


class Layers(nn.Module):
    """Twelve encoder layers of twelve tensors each, over sequences of vectors."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layers(inputs).mean(1)[:, :10]


@dataclass(frozen=True)
class Sequences(Classification):
    """Noise in sequences of 16, ten classes."""

    def data(self) -> Data:
        draws = generator("sequences")
        inputs, labels = torch.randn(2000, 16, 64, generator=draws), torch.randint(10, (2000,), generator=draws)
        return Data(*(Split(inputs, labels, torch.arange(*rows)) for rows in ((0, 1600), (1600, 1800), (1800, 2000))))

    def model(self) -> nn.Module:
        return Layers()

    def prepare(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs


def by_hand(run: Run):
    """A step of the loop that everybody writes, on the batches and the network of a trial."""
    task, train = run.task, run.data.train
    model = task.model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step(number: int) -> None:
        rows = train.rows[number * run.course.batch_size % 1024 :][: run.course.batch_size]
        inputs, targets = task.prepare(train.inputs[rows]), train.targets[rows]
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()

    return step


def compared(trial: Trial, rounds: int) -> list[float]:
    """The ratio of each round, its steps taken in turns."""
    run = Run(trial)
    theirs, ratios = by_hand(run), list[float]()
    for turn in range(rounds + 1):
        seconds = [0.0, 0.0]
        for number in range(STEPS):
            for which, step in enumerate((lambda _: run.step(), theirs)):
                started = time.perf_counter()
                step(number)
                seconds[which] += time.perf_counter() - started
        if turn:  # the first is warm-up
            ratios.append(seconds[0] / seconds[1])
    return sorted(ratios)


def main(rounds: int) -> None:
    torch.set_num_threads(1)
    rule = Trial.parse({"task": "quadratic", **ADAM}).rule
    trials = {
        "mnist_mlp": Trial.parse({"task": "mnist_mlp", **ADAM}),
        "transformer, 144 tensors": Trial(task=Sequences(), rule=rule, batch_size=32, epochs=1000.0),
    }
    for name, trial in trials.items():
        ratios = compared(trial, rounds)
        print(f"{name:28} {statistics.median(ratios):5.2f}  [{ratios[0]:.2f}, {ratios[-1]:.2f}]")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
