"""The overhead of a step: memory and FLOPs exactly, time roughly."""

import math
import re
import time

import pytest
import torch
from click.testing import CliRunner

from study.commands.overhead import overhead as command
from trainables.components import members
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.run.overhead import Allocations, overhead
from trainables.run.pricing import gradient
from trainables.schemes import Scheme
from trainables.tasks.digits_mlp import DigitsMLP
from trainables.trial import Trial

COMMON = {"task": "digits_mlp", "task.hidden": 256}


def test_state_counts_as_memory_and_second_gradients_as_flops():
    rows = {"hd": {"scheme": "hypergradient"}, "adam": {"direction": "adam"}, "sgd again": {}}
    found = {row.name: row for row in overhead(COMMON, rows, steps=5)}
    assert found["sgd"].memory == found["sgd again"].memory == 1.0
    assert 1.0 < found["hd"].memory < found["adam"].memory
    assert {row.flops for row in found.values()} == {1.0}
    assert all(row.seconds > 0 and row.time > 0 for row in found.values())


def test_the_flops_of_a_curvature_are_those_that_its_passes_count():
    """Counted by hooks on modules it would fall back, to three gradients and a little less."""
    keys = {"scheme": "curvature"}
    _, row = overhead(COMMON, {"curvature": keys}, steps=1)
    run = Run(Trial.parse({**COMMON, **keys}))
    run.step()
    assert row.flops == pytest.approx(run.passes, rel=1e-3)
    assert row.flops < 2


def test_all_schemes_are_measured_where_all_are_asked_for():
    given = ["--task", "quadratic", "--scheme", "all", "--steps", "1", "--device", "cpu"]
    done = CliRunner().invoke(command, given, catch_exceptions=False)
    rows = [line.split()[0] for line in done.output.splitlines()[2:] if line[0] not in "*O"]
    assert rows == ["sgd", *members(Scheme)]


@pytest.fixture
def losses(monkeypatch):
    """A clock that shows how many losses of the task were computed."""
    counted, loss = [0], DigitsMLP.loss

    def counting(task, outputs, targets):
        counted[0] += 1
        return loss(task, outputs, targets)

    monkeypatch.setattr(DigitsMLP, "loss", counting)
    monkeypatch.setattr(time, "perf_counter", lambda: float(counted[0]))
    return counted


ROWS = {
    "adam": ({"direction": "adam"}, 1.0, 1.0),
    "mean of two": ({"accumulate": 2}, 2.0, 2.0),
    "graph": ({"scheme": "curvature", "scheme.recipe": "graph"}, 3.0, 1.0),
    "sweep": ({"scheme": "curvature", "scheme.recipe": "sweep"}, None, 2.0),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_step_is_priced_in_gradients_of_its_own_mini_batches(name, losses):
    """By this clock a gradient takes as long as a loss, so that a sweep takes as long as a gradient besides."""
    keys, passes, gradients = ROWS[name]
    base, row = overhead(COMMON, {name: keys}, steps=3)
    assert (base.passes, base.gradients, base.differs) == (1.0, 1.0, False)
    assert row.gradients == gradients
    assert passes is None or row.passes == passes
    assert row.differs == (abs(math.log(row.gradients / row.passes)) > math.log(1.25))


def test_the_gradient_beside_a_step_leaves_the_training_as_it_is():
    keys = {**COMMON, "direction": "adam"}
    alone, beside = (Run(Trial.parse(keys)) for _ in range(2))
    for _ in range(3):
        gradient(beside)()
        for run in (alone, beside):
            run.step()
    assert all(torch.equal(alone.params[name], beside.params[name]) for name in alone.params)
    assert (alone.passes, alone.totals.examples) == (beside.passes, beside.totals.examples)
    assert torch.equal(alone.totals.loss, beside.totals.loss)


def test_what_is_counted_otherwise_than_measured_is_marked():
    given = ["--task", "digits_mlp", "--scheme", "line_search", "--steps", "1", "--device", "cpu"]
    done = CliRunner().invoke(command, given, catch_exceptions=False)
    rows = [line for line in done.output.splitlines() if line.startswith(("sgd", "line_search"))]
    assert all(re.search(r"\d+\.\d\d +\d+\.\d\d( \*)?$", row) for row in rows)
    assert ("differ by more than a quarter" in done.output) == any(row.endswith("*") for row in rows)


def test_what_autograd_keeps_is_alive_until_it_is_freed():
    weight = torch.zeros(100, requires_grad=True)
    with Allocations() as seen:
        loss = (weight.exp() * 2).sum()  # exp is kept for its own backward pass
        kept = seen.alive
        loss.backward()
        del loss
    assert kept == 400 + 4
    assert seen.alive == 400  # weight.grad
    assert seen.most >= 1200


def test_a_row_that_cannot_be_is_refused_beside_the_others():
    first, refused = overhead(COMMON, {"wrong": {"scheme": "cprob"}}, steps=1)
    assert first.name == "sgd"
    assert refused.refused.startswith("unknown scheme 'cprob'")


def test_the_command_prints_a_row_a_scheme_and_an_optimizer():
    arguments = ["--task", "quadratic", "--steps", "2", "--scheme", "cprop", "--device", "cpu"]
    arguments += ["--optimizer", "torch.optim:NAdam", "--row", "optimizer=torch.optim:Adam,optimizer.lr=0.1"]
    done = CliRunner().invoke(command, [*arguments, "--row", "scheme=multilevel,scheme.levels=unit"])
    assert done.exit_code == 0, done.output
    names = [line.split()[0] for line in done.output.splitlines()[2:]]
    rows = ["optimizer=torch.optim:Adam,optimizer.lr=0.1", "scheme=multilevel,scheme.levels=unit"]
    assert names[:5] == ["sgd", "cprop", "torch.optim:NAdam", *rows]


def test_a_row_that_is_no_row_is_refused():
    with pytest.raises(Refusal, match="--row needs KEY=VALUE"):
        CliRunner().invoke(command, ["--task", "quadratic", "--row", "foo"], catch_exceptions=False)
