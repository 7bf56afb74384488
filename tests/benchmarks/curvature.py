"""What a step with the curvature costs, in gradient steps: batch 128, float32, one thread, interleaved.

    uv run python tests/benchmarks/curvature.py [rounds] [device] [auto] [network …]

`auto` times the recipe that is taken by default along the gradient, and nothing else. Freed memory is kept, as in a
trial: to ask the system for it anew at every step takes as long as a gradient does.
A step is forward, backward, curvature, and the update of the parameters; the base is the same step at a fixed
rate. Prints the count of products (`Oracle.passes`), the median of the measured ratios with their range, and the
largest memory of a step above what is held between steps, as a ratio too: on a CUDA device what its allocator tells,
on the CPU what torch's allocator told the profiler (scratch of the libraries below torch is not in it).
"""

import statistics
import sys
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch._C._profiler import _EventType
from torch.func import functional_call
from torch.nn import functional

from trainables.data.networks import mlp
from trainables.directions import Direction
from trainables.directions.sgd import SGD
from trainables.oracle import Oracle
from trainables.rules import Composed
from trainables.run.memory import keep_freed_memory
from trainables.schemes.curvature import Curvature
from trainables.schemes.fixed import Fixed
from trainables.tasks import shakespeare_transformer as blocks

EVERY = 10
PROGRESS = torch.tensor(0.5, dtype=torch.float64)


@dataclass(frozen=True)
class Preconditioned(Direction):
    """RMSProp's direction."""

    descends = True

    def init(self, param):
        return (torch.zeros_like(param),)

    def apply(self, grad, state, param):
        square = 0.9 * state[0] + 0.1 * grad * grad
        return grad / (square.sqrt() + 1e-8), (square,)


def lenet5():
    """The network of the task `mnist_lenet5`."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def net_3c3d():
    """The network of the task `cifar10_3c3d`."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 5), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(64, 96, 3), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(96, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten(),
        nn.Linear(3 * 3 * 128, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10),
    )  # fmt: skip


class Block(nn.Module):
    """Linear layers around a pre-norm transformer block on 32 tokens of width 64."""

    def __init__(self):
        super().__init__()
        self.block, self.head = blocks.Block(64, 4, 0.0), nn.Linear(64, 10)
        self.embed = nn.Linear(64, 64)

    def forward(self, x):
        return self.head(self.block(self.embed(x)).mean(1))


def depthwise():
    """Two separable convolutions with GroupNorm and SiLU."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        *(layer for _ in range(2) for layer in (
            nn.GroupNorm(4, 32), nn.SiLU(), nn.Conv2d(32, 32, 3, padding=1, groups=32),
            nn.GroupNorm(4, 32), nn.SiLU(), nn.Conv2d(32, 32, 1),
        )),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip


class Recurrent(nn.Module):
    """A gated recurrent unit of 128 over 32 steps."""

    def __init__(self):
        super().__init__()
        self.embed, self.gru, self.head = nn.Linear(16, 64), nn.GRU(64, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.gru(self.embed(x))[0][:, -1])


class ByHand(nn.Module):
    """A long short-term memory of 64 over 24 steps, its gates written out."""

    def __init__(self):
        super().__init__()
        self.input, self.state, self.head = nn.Linear(16, 256), nn.Linear(64, 256, bias=False), nn.Linear(64, 10)

    def forward(self, x):
        h = c = x.new_zeros(len(x), 64)
        for now in x.unbind(1):
            i, f, g, o = (self.input(now) + self.state(h)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return self.head(h)


class Cells(nn.Module):
    """The same by torch's cell."""

    def __init__(self):
        super().__init__()
        self.cell, self.head = nn.LSTMCell(16, 64), nn.Linear(64, 10)

    def forward(self, x):
        state = None
        for now in x.unbind(1):
            state = self.cell(now, state)
        return self.head(state[0])


NETWORKS = {
    "mnist_mlp": (lambda: mlp(784, 1000, 1000, 10), (784,), 20),
    "mnist_lenet5": (lenet5, (1, 28, 28), 20),
    "cifar10_3c3d": (net_3c3d, (3, 32, 32), 2),
    "transformer block": (Block, (32, 64), 3),  # at most 2.4 gradients, curvature and all
    "depthwise": (depthwise, (3, 16, 16), 3),  # 2.6
    "gru": (Recurrent, (32, 16), 3),  # 2.6
    "lstm by hand": (ByHand, (24, 16), 1),  # this and the next are faster by the graph, which `auto` takes
    "lstm cells": (Cells, (24, 16), 1),
}


def stepper(network, shape, rule, device):
    """A function that makes one step, and tells its passes."""
    torch.manual_seed(0)
    model = network().to(device)
    inputs, targets = torch.randn(128, *shape, device=device), torch.randint(10, (128,), device=device)
    params = {name: param.detach().clone() for name, param in model.named_parameters()}
    place = [params, rule.init(params)]

    def step():
        oracle = Oracle(lambda given: functional.cross_entropy(functional_call(model, given, (inputs,)), targets))
        _, place[0], place[1] = rule.step(oracle, place[0], place[1], PROGRESS)
        return oracle.passes

    return step


def rules(only=None):
    """The steps compared, or `only` one recipe's; the level is tiny, so that all of them stay where they start."""
    small = {"level": 1e-6}
    if only:
        return {
            "gradient, fixed": Composed(SGD(), Fixed(lr=1e-9)),
            f"gradient, {only}": Composed(SGD(), Curvature(recipe=only, **small)),
        }
    found = {}
    for name, direction in (("gradient", SGD()), ("rmsprop", Preconditioned())):
        found[f"{name}, fixed"] = Composed(direction, Fixed(lr=1e-9))
        for recipe in ("auto", "adjoints", "sweep", "graph"):
            found[f"{name}, {recipe}"] = Composed(direction, Curvature(recipe=recipe, **small))
    found[f"gradient, every {EVERY}th"] = Composed(SGD(), Curvature(every=EVERY, **small))
    return found


def finish(device):
    if device == "cuda":
        torch.cuda.synchronize()


def timed(steps, repeats, rounds, device):
    """Seconds a step of every kind in every round, the kinds one after the other in each; a first round warms up.

    On one CPU thread they are the thread's own, which other processes disturb less.
    """
    seconds = {name: [] for name in steps}
    clock = time.perf_counter if device == "cuda" else time.process_time
    for turn in range(rounds + 1):
        for name, step in steps.items():
            finish(device)
            count = max(repeats, EVERY) if "every" in name else repeats  # whole periods, each with its one measurement
            started = clock()
            for _ in range(count):
                step()
            finish(device)
            if turn:
                seconds[name].append((clock() - started) / count)
    return seconds


def peak(step, device):
    """Bytes above what was there before, at most, in one step."""
    if device != "cuda":
        return peak_of_cpu(step)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def peak_of_cpu(step):
    """The same from the allocations and releases that the profiler has seen."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    events = list(profile.profiler.kineto_results.experimental_event_tree())
    changes = []
    while events:
        event = events.pop()
        events += event.children
        if event.tag == _EventType.Allocation:
            changes.append((event.start_time_ns, event.extra_fields.total_allocated, event.extra_fields.alloc_size))
    _, total, first = min(changes)
    return max(change[1] for change in changes) - (total - first)


def main(rounds, device, networks, only=None):
    torch.set_num_threads(1)
    keep_freed_memory()
    print(f"{'':38} count  median [  min,   max]  memory  ms of the base")
    for network in networks:
        build, shape, repeats = NETWORKS[network]
        steps = {name: stepper(build, shape, rule, device) for name, rule in rules(only).items()}
        seconds = timed(steps, repeats, rounds, device)
        counts = {name: statistics.mean(step() for _ in range(10)) for name, step in steps.items()}
        memory = {name: peak(stepper(build, shape, rule, device), device) for name, rule in rules(only).items()}
        for name in steps:
            base = f"{name.split(',')[0]}, fixed"
            if name == base:
                continue
            ratios = sorted(ours / plain for ours, plain in zip(seconds[name], seconds[base], strict=True))
            print(
                f"{network:17} {name:20} {counts[name]:5.2f}  {statistics.median(ratios):6.2f} "
                f"[{ratios[0]:5.2f}, {ratios[-1]:5.2f}]  {memory[name] / memory[base]:6.2f}  "
                f"{1e3 * statistics.median(seconds[base]):.2f}",
                flush=True,
            )


if __name__ == "__main__":
    rounds, device, *networks = [*sys.argv[1:], *["9", "cpu"][len(sys.argv) - 1 :]]
    main(
        int(rounds), device, [name for name in networks if name != "auto"] or NETWORKS, *{"auto"}.intersection(networks)
    )
