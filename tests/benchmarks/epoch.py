"""An epoch of `Run` beside hand-written loops over the same tensors, one thread, interleaved.

    LR_STUDY_DATA=… uv run python tests/benchmarks/epoch.py [rounds] [mnist | ray | transformer …]

Prints the ratio to a minimal loop (SGD and Adam, eager and compiled), to the loop of Ray's own MNIST example (its
model, batch 64, DataLoader), and, for a transformer of 12 layers that spells, to a minimal loop with torch's fused
Adam. Beside Ray's, an "epoch" is 100 or 4 steps; evaluation is left out on both sides. Time is the process's own.
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

from trainables.data import datasets
from trainables.data.networks import mlp
from trainables.directions.momentum import Momentum
from trainables.rules import Composed
from trainables.run.loop import Run
from trainables.schemes.fixed import Fixed
from trainables.tasks import Classification
from trainables.trial import Trial

STEPS = 100


def minimal(model, optimizer, loss, batches):
    """The loop that everybody writes, over batches of tensors."""
    stepper = optimizer(model.parameters())

    def loop():
        for x, y in batches:
            stepper.zero_grad()
            loss(model(x), y).backward()
            stepper.step()

    return loop


def ours(flat, steps=STEPS):
    """The same number of steps of a `Run`."""
    run = Run(Trial.parse({"epochs": 1000, **flat}))

    def loop():
        for _ in range(steps):
            run.step()

    return loop


def rays():
    """Ray's example; it imports torchvision, for which nobody waits who only reads this file."""
    from ray.tune.examples import mnist_pytorch

    return mnist_pytorch


@dataclass(frozen=True)
class RaysMnist(Classification):
    """Ray's example as a task: its network on MNIST."""

    def data(self):
        return datasets.split(datasets.load("MNIST"), 0)

    def model(self):
        return rays().ConvNet()

    def prepare(self, inputs):
        return (inputs.float().unsqueeze(1) - 0.1307 * 255) / (0.3081 * 255)


def of_ray(folder):
    """The training loop of Ray's example over its own loader: 60,000 images, batch 64."""
    from torchvision import transforms
    from torchvision.datasets import MNIST

    example = rays()
    example.EPOCH_SIZE = 60_000
    steps = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    images = MNIST(folder, train=True, download=True, transform=transforms.Compose(steps))
    loader = torch.utils.data.DataLoader(images, batch_size=64, shuffle=True)
    model = example.ConvNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return lambda: example.train_func(model, optimizer, loader)


def rays_by_run():
    """The same epoch by a `Run`."""
    rule = Composed(direction=Momentum(momentum=0.9), scheme=Fixed(lr=0.01))
    run = Run(Trial(task=RaysMnist(), rule=rule, batch_size=64, epochs=1000.0))

    def loop():
        for _ in range(run.course.steps_per_epoch):
            run.step()

    return loop


def timed(loops, rounds):
    """Seconds of each loop in each round, one after the other within a round; the first round is warm-up."""
    seconds = {name: [] for name in loops}
    for turn in range(rounds + 1):
        for name, loop in loops.items():
            started = time.process_time()
            loop()
            if turn:
                seconds[name].append(time.process_time() - started)
    return seconds


def told(name, numerator, denominator):
    ratios = sorted(a / b for a, b in zip(numerator, denominator, strict=True))
    print(f"{name:34} {statistics.median(ratios):5.2f}  [{ratios[0]:.2f}, {ratios[-1]:.2f}]")


def of_mnist(rounds):
    prepared = Run(Trial.parse({"task": "mnist_mlp"})).data.train
    images = ((prepared.inputs[: 128 * STEPS].float() - 33.3) / 78.6).flatten(1)
    batches = list(zip(images.split(128), prepared.targets[: 128 * STEPS].split(128), strict=True))
    rules = {
        "sgd": ({"direction": "sgd", "scheme.lr": 0.01}, lambda p: torch.optim.SGD(p, lr=0.01)),
        "adam": ({"direction": "adam", "scheme.lr": 0.001}, lambda p: torch.optim.Adam(p, lr=0.001)),
    }
    for name, (flat, optimizer) in rules.items():
        compared(name, {"task": "mnist_mlp", **flat}, mlp(784, 1000, 1000, 10), optimizer, batches, rounds)


def of_transformer(rounds):
    trial = Trial.parse({"task": "shakespeare_transformer"})
    train, steps = Run(trial).data.train, 4
    rows = train.rows[: steps * trial.batch_size].split(trial.batch_size)
    batches = [(train.inputs[own].long(), train.targets[own].long()) for own in rows]
    flat = {"task": "shakespeare_transformer", "direction": "adam", "scheme.lr": 0.001}
    fused = lambda p: torch.optim.Adam(p, lr=0.001, fused=True)  # noqa: E731
    compared("transformer, adam", flat, trial.task.model(), fused, batches, rounds)


def compared(name, flat, model, optimizer, batches, rounds):
    """Print the ratios of a `Run`, eager and compiled, to the loop by hand."""
    loops = {
        "by hand": minimal(model, optimizer, Run(Trial.parse(flat)).task.loss, batches),
        name: ours(flat, len(batches)),
        f"{name} compiled": ours({**flat, "compile": True}, len(batches)),
    }
    seconds = timed(loops, rounds)
    for own in list(loops)[1:]:
        told(own, seconds[own], seconds["by hand"])


def of_rays_example(rounds):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(Path(os.environ["LR_STUDY_DATA"]) / "MNIST" / "raw", f"{folder}/MNIST/raw")
        epochs = timed({"ray": of_ray(folder), "run": rays_by_run()}, max(2, rounds // 2))
    told("an epoch of Ray's example", epochs["run"], epochs["ray"])


PARTS = {"mnist": of_mnist, "ray": of_rays_example, "transformer": of_transformer}


def main(rounds, wanted):
    torch.set_num_threads(1)
    print("ratio to the loop by hand: median [min, max] of", rounds, "rounds")
    for name in wanted:
        PARTS[name](rounds)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 7, sys.argv[2:] or list(PARTS))
