"""Whole steps of SchemeOptimizer over torch's own, on networks of many tensors: one CPU thread, float32.

    uv run python tests/benchmarks/optimizers.py [rounds] [transformer | resnet18 | compilation …]

Gradients are there before the clock starts, each a tensor of its own as a backward pass leaves it. Rounds are
interleaved: ratios are medians [min, max] over rounds to torch's step of the same round, foreach for eager steps and
fused for compiled ones. `compilation` asks how long the first compiled step takes with one tensor and with 144.
"""

import statistics
import sys
import time

import torch
from torch import nn

from trainables.directions.adam import Adam
from trainables.directions.momentum import Momentum
from trainables.optimizer import SchemeOptimizer
from trainables.run.memory import keep_freed_memory
from trainables.schemes.cprop import CProp
from trainables.schemes.hypergradient import Hypergradient
from trainables.schemes.multilevel import MultiLevel

# Row: our optimizer, and the one of torch's that it is compared with.
ROWS = {
    "momentum": (lambda p, **k: SchemeOptimizer(p, direction=Momentum(), **k), "momentum"),
    "adam": (lambda p, **k: SchemeOptimizer(p, direction=Adam(), lr=1e-3, **k), "adam"),
    "hypergradient": (lambda p, **k: SchemeOptimizer(p, Hypergradient(beta=1e-9), **k), "momentum"),
    "levels global+layer": (lambda p, **k: SchemeOptimizer(p, MultiLevel(beta=1e-9), **k), "momentum"),
    "cprop": (lambda p, **k: SchemeOptimizer(p, CProp(), Momentum(), **k), "momentum"),
}
TORCH = {
    "momentum": lambda p, **k: torch.optim.SGD(p, lr=0.1, momentum=0.9, **k),
    "adam": lambda p, **k: torch.optim.Adam(p, lr=1e-3, **k),
}


def transformer(layers=12):
    """12 layers: 144 tensors, 0.4 million numbers."""
    layer = nn.TransformerEncoderLayer(64, 4, 128, batch_first=True)
    return nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)


def resnet18():
    from torchvision import models  # seconds

    return models.resnet18()


NETWORKS = {"transformer": transformer, "resnet18": resnet18}


def seconds(optimizer):
    started = time.process_time()  # the machine may be shared
    optimizer.step()
    return time.process_time() - started


def made(network, make, **settings):
    torch.manual_seed(0)
    model = network()
    for param in model.parameters():
        param.grad = 1e-3 * torch.randn_like(param)
    return make(list(model.named_parameters()), **settings)


def compare(network, rounds, rows, ours, theirs):
    """Print one line a row: milliseconds of both, and the ratio."""
    reference = {name: made(network, make, **theirs) for name, make in TORCH.items()}
    optimizers = {name: made(network, make, **ours) for name, (make, _) in rows.items()}
    for optimizer in (*reference.values(), *optimizers.values()):
        for _ in range(4):
            optimizer.step()
    times = {key: [] for key in [*reference.items(), *optimizers.items()]}
    for _ in range(rounds):
        for key in times:
            times[key].append(seconds(key[1]))
    for name, (_, base) in rows.items():
        own, other = times[name, optimizers[name]], times[base, reference[base]]
        ratios = [a / b for a, b in zip(own, other, strict=True)]
        numbers = f"{1e3 * statistics.median(own):8.2f} {1e3 * statistics.median(other):8.2f}"
        spread = f"[{min(ratios):.2f}, {max(ratios):.2f}]"
        print(f"{name:22} {numbers}  {statistics.median(ratios):5.2f} {spread}", flush=True)


def compilation():
    """Print the seconds to the first compiled step: of a matrix alone, and of 144 tensors; and those of a warm-up."""
    networks = {"warm-up": lambda: nn.Linear(8, 8), "one tensor": lambda: nn.Linear(64, 64, bias=False)}
    for name, network in {**networks, "144 tensors": transformer}.items():
        for row in ("adam", "cprop"):
            print(f"{name:12} {row:8} {seconds(made(network, ROWS[row][0], compile=True)):6.2f} s", flush=True)


def main():
    rounds, wanted = int(sys.argv[1]) if sys.argv[1:] else 20, sys.argv[2:] or [*NETWORKS, "compilation"]
    torch.set_num_threads(1)
    keep_freed_memory()
    for name in [name for name in NETWORKS if name in wanted]:
        print(f"{name}, eager over foreach\n{'':22}  ours ms torch ms")
        compare(NETWORKS[name], rounds, ROWS, {}, {"foreach": True})
        print(f"{name}, compiled over fused")
        flat = {row: own for row, own in ROWS.items() if not row.startswith("levels")}  # compiled by name: minutes
        compare(NETWORKS[name], rounds, flat, {"compile": True}, {"fused": True})
    if "compilation" in wanted:
        compilation()


if __name__ == "__main__":
    main()
