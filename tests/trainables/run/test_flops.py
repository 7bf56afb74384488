"""Floating-point operations are those that torch counts, and counting them costs no start of its compiler."""

import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.components import members
from trainables.oracle import Oracle
from trainables.run.flops import Flops
from trainables.run.loop import Run
from trainables.tasks import Task
from trainables.trial import Trial


def run_of(task, **fields):
    return Run(Trial.parse({"task": task, "batch_size": 8, "epochs": 1, **fields}))


@pytest.mark.parametrize("task", members(Task))
def test_a_gradient_costs_what_torch_counts(task, shared):
    run = run_of(task)
    rows = run.data.train.rows[:8]
    objective = run.objective(run.data.train.inputs[rows], run.data.train.targets[rows], [])
    with FlopCounterMode(display=False) as theirs:
        Oracle(objective).gradient(run.params)
    assert run.flops_per_example == theirs.get_total_flops() / len(rows)


@pytest.mark.parametrize(("layer", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_recurrent_layers_cost_their_products_whatever_torch_makes_of_them(layer, gates, dtype):
    """Forward 2·T·B·gates·h·(n + h), backward twice that; the inputs ask for no gradient."""
    made, inputs = layer(3, 8).to(dtype), torch.randn(5, 2, 3, dtype=dtype)
    with Flops() as counted:
        made(inputs)[0].sum().backward()
    forward = 2 * 5 * 2 * gates * 8 * (3 + 8)
    assert 2.2 * forward < counted.total <= 3 * forward


def test_a_training_that_is_not_compiled_starts_no_compiler():
    lines = """
import sys
from trainables.run.loop import Run
from trainables.trial import Trial
Run(Trial.parse({"task": "digits_mlp", "epochs": 1})).epoch()
print([name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor", "sympy"))])
"""
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"
