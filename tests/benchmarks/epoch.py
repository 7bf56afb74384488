"""An epoch of `Run` beside hand-written loops over the same tensors, one thread, interleaved.

    LR_STUDY_DATA=… uv run python tests/benchmarks/epoch.py [rounds]

Prints the ratio to a minimal loop (SGD and Adam, eager and compiled), and to the loop of Ray's own MNIST example
(its model, batch 64, DataLoader). A "short epoch" is 100 steps; evaluation is left out on both sides.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from ray.tune.examples import mnist_pytorch as rays
from torch.nn import functional
from torchvision import transforms
from torchvision.datasets import MNIST

from trainables.data import datasets
from trainables.data.networks import mlp
from trainables.directions.momentum import Momentum
from trainables.rules import Composed
from trainables.run.loop import Run
from trainables.schemes.fixed import Fixed
from trainables.tasks import Classification
from trainables.trial import Trial

STEPS = 100


def minimal(optimizer, images, labels):
    """STEPS of the loop that everybody writes, on float32 tensors."""
    model = mlp(784, 1000, 1000, 10)
    stepper = optimizer(model.parameters())

    def loop():
        for start in range(0, STEPS * 128, 128):
            x, y = images[start : start + 128], labels[start : start + 128]
            stepper.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            stepper.step()

    return loop


def ours(flat):
    """The same number of steps of a `Run`."""
    run = Run(Trial.parse({"task": "mnist_mlp", "epochs": 1000, **flat}))

    def loop():
        for _ in range(STEPS):
            run.step()

    return loop


@dataclass(frozen=True)
class RaysMnist(Classification):
    """Ray's example as a task: its network on MNIST."""

    def data(self):
        return datasets.split(datasets.load("MNIST"), 0)

    def model(self):
        return rays.ConvNet()

    def prepare(self, inputs):
        return (inputs.float().unsqueeze(1) - 0.1307 * 255) / (0.3081 * 255)


def of_ray(folder):
    """The training loop of Ray's example over its own loader: 60,000 images, batch 64."""
    rays.EPOCH_SIZE = 60_000
    steps = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    images = MNIST(folder, train=True, download=True, transform=transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(images, batch_size=64, shuffle=True)
    model = rays.ConvNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return lambda: rays.train_func(model, optimizer, loader)


def rays_by_run():
    """The same epoch by a `Run`."""
    rule = Composed(direction=Momentum(momentum=0.9), scheme=Fixed(lr=0.01))
    run = Run(Trial(task=RaysMnist(), rule=rule, batch_size=64, epochs=1000.0))

    def loop():
        for _ in range(run.steps_per_epoch):
            run.step()

    return loop


def timed(loops, rounds):
    """Seconds of each loop in each round, one after the other within a round; the first round is warm-up."""
    seconds = {name: [] for name in loops}
    for turn in range(rounds + 1):
        for name, loop in loops.items():
            started = time.perf_counter()
            loop()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def told(name, numerator, denominator):
    ratios = sorted(a / b for a, b in zip(numerator, denominator, strict=True))
    print(f"{name:34} {statistics.median(ratios):5.2f}  [{ratios[0]:.2f}, {ratios[-1]:.2f}]")


def main(rounds):
    torch.set_num_threads(1)
    prepared = Run(Trial.parse({"task": "mnist_mlp"})).data.train
    images = ((prepared.inputs[:12800].float() - 33.3) / 78.6).flatten(1)
    labels = prepared.targets[:12800]
    sgd = {"direction": "sgd", "scheme.lr": 0.01}
    adam = {"direction": "adam", "scheme.lr": 0.001}
    loops = {
        "sgd by hand": minimal(lambda p: torch.optim.SGD(p, lr=0.01), images, labels),
        "sgd": ours(sgd),
        "sgd compiled": ours({**sgd, "compile": True}),
        "adam by hand": minimal(lambda p: torch.optim.Adam(p, lr=0.001), images, labels),
        "adam": ours(adam),
        "adam compiled": ours({**adam, "compile": True}),
    }
    seconds = timed(loops, rounds)
    print("ratio to the hand-written loop: median [min, max] of", rounds, "rounds")
    for name in ("sgd", "sgd compiled", "adam", "adam compiled"):
        told(name, seconds[name], seconds[f"{name.split()[0]} by hand"])
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(Path(os.environ["LR_STUDY_DATA"]) / "MNIST" / "raw", f"{folder}/MNIST/raw")
        epochs = timed({"ray": of_ray(folder), "run": rays_by_run()}, max(2, rounds // 2))
    print("ratio of an epoch of MNIST to the loop of Ray's example")
    told("run", epochs["run"], epochs["ray"])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
