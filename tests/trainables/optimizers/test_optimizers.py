"""Packaged optimizers: the package's own trajectory, resumed bit for bit, evaluated in the right mode."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn

from trainables import packaged
from trainables.components import members
from trainables.data import Data, Split
from trainables.optimizers import Optimizer
from trainables.optimizers.prodigy import Prodigy
from trainables.optimizers.schedulefree_adamw import ScheduleFreeAdamW
from trainables.optimizers.schedulefree_sgd import ScheduleFreeSGD
from trainables.packaged import Packaged
from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.run.loop import REFRESH_BATCHES, Run
from trainables.seeds import generator
from trainables.tasks import Classification
from trainables.testing import check_fields, copied, noisy_bowl, same, two_layers
from trainables.trial import Trial

PACKAGED = members(Optimizer)
SETTINGS = [ScheduleFreeAdamW(lr=0.05, weight_decay=0.1), ScheduleFreeSGD(lr=0.1), Prodigy(weight_decay=0.1)]
PROGRESS = torch.zeros((), dtype=torch.float64)


@pytest.fixture(autouse=True)
def _needs_the_group():
    pytest.importorskip("schedulefree", reason="needs the dependency group packaged")
    pytest.importorskip("prodigyopt", reason="needs the dependency group packaged")


def alone(optimizer, count):
    """Training and evaluated parameters of the package's own optimizer, never interrupted."""
    leaves = {name: nn.Parameter(param) for name, param in two_layers().items()}
    theirs = optimizer.make(list(leaves.values()))
    if hasattr(theirs, "train"):
        theirs.train()
    for step in range(count):
        gradient = noisy_bowl(step).gradient({name: leaf.detach() for name, leaf in leaves.items()})[1]
        for name, leaf in leaves.items():
            leaf.grad = gradient[name]
        theirs.step()
    trained = {name: leaf.detach().clone() for name, leaf in leaves.items()}
    if hasattr(theirs, "eval"):
        theirs.eval()
    return trained, {name: leaf.detach().clone() for name, leaf in leaves.items()}


@pytest.mark.parametrize("optimizer", SETTINGS, ids=lambda optimizer: type(optimizer).__name__)
def test_walks_and_evaluates_as_the_package_itself_bit_for_bit(optimizer):
    rule, params = Packaged(optimizer), two_layers()
    state = rule.init(params)
    for step in range(12):
        before = copied((params, state))
        after = rule.step(noisy_bowl(step), params, state, PROGRESS)
        assert same(before, (params, state))
        rule.evaluated(after.params, after.state)  # in between, without consequence
        _, params, state = after
    trained, evaluated = alone(optimizer, 12)
    assert same(params, trained)
    assert same(rule.evaluated(params, state), evaluated)


def test_schedule_free_evaluates_the_average_and_prodigy_what_it_trains():
    for optimizer, averages in zip(SETTINGS, (True, True, False), strict=True):
        rule, params = Packaged(optimizer), two_layers()
        _, params, state = rule.step(noisy_bowl(0), params, rule.init(params), PROGRESS)
        _, params, state = rule.step(noisy_bowl(1), params, state, PROGRESS)
        assert same(rule.evaluated(params, state), params) != averages


@pytest.mark.parametrize("name", PACKAGED)
def test_fields(name):
    check_fields(Packaged(PACKAGED[name]()))


def test_the_schedule_multiplies_the_rate():
    trial = {"task": "quadratic", "rule": "packaged", "optimizer": "schedulefree_sgd", "optimizer.lr": 0.5}
    *_, last = Run(Trial.parse({**trial, "schedule": "cosine", "epochs": 4, "batch_size": "full"}))
    assert last.lr == pytest.approx(0.5 * (1 + torch.cos(torch.tensor(0.75 * torch.pi)).item()) / 2)


def test_a_package_that_is_not_installed_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    with pytest.raises(Refusal) as refused:
        Trial.parse({"task": "quadratic", "rule": "packaged", "optimizer": "prodigy"})
    assert str(refused.value) == (
        "optimizer: prodigy needs the package prodigyopt, which is not installed: "
        "in a checkout, uv sync --group packaged or pip install '.[packaged]'"
    )


def test_compile_is_refused():
    with pytest.raises(Refusal, match="composed rule"):
        Run(Trial.parse({"task": "quadratic", "rule": "packaged", "optimizer": "prodigy", "compile": True}))


@dataclass(frozen=True)
class Normed(Classification):
    """Two classes apart by their mean, behind a BatchNorm."""

    num_classes = 2

    def data(self):
        targets = torch.arange(256) % 2
        inputs = torch.randn(256, 4, generator=generator("normed")) * 3 + 5 * targets[:, None]
        rows = torch.arange(256)
        return Data(*(Split(inputs, targets, part) for part in (rows[:128], rows[128:192], rows[192:])))

    def model(self):
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))

    def prepare(self, inputs):
        return inputs


def test_batch_norm_is_refreshed_for_averaged_parameters():
    """One batch that is the training set: its statistics are the refreshed ones, whatever training saw before."""
    rule = Packaged(ScheduleFreeSGD(lr=0.5))
    run = Run(Trial(task=Normed(), rule=rule, epochs=5, batch_size="full"))
    *_, last = run
    params = rule.evaluated(run.params, run.rule_state)
    inputs = run.data.train.inputs[run.data.train.rows]
    before = inputs @ params["0.weight"].T + params["0.bias"]
    refreshed = run._buffers_of(params)
    torch.testing.assert_close(refreshed["1.running_mean"], before.mean(0))
    torch.testing.assert_close(refreshed["1.running_var"], before.var(0))
    assert refreshed["1.num_batches_tracked"] == 1
    assert not same(refreshed["1.running_mean"], run.buffers["1.running_mean"])
    assert last.passes == 5 * 1.5  # a gradient and a refreshing forward pass an epoch


def test_batch_norm_is_left_alone_where_the_trained_parameters_are_evaluated():
    run = Run(Trial(task=Normed(), epochs=1))
    run.epoch()
    assert run._buffers_of(run.params) is run.buffers
    assert Run(Trial(task=Normed(), rule=Packaged(Prodigy()), epochs=1)).epoch().passes == 1
    assert REFRESH_BATCHES == 50


def test_a_run_with_batch_norm_resumes_bit_for_bit():
    def run():
        return Run(Trial(task=Normed(), rule=Packaged(ScheduleFreeAdamW()), epochs=3, batch_size=32))

    whole, first, second = run(), run(), run()
    expected = [record.valid_loss for record in whole]
    first.epoch()
    second.load_state_dict(copied(first.state_dict()))
    list(second)
    assert [record.valid_loss for record in second.records] == expected
    assert same(whole.buffers, second.buffers)


class Finding(torch.optim.SGD):
    """Takes no rate, as Adafactor of transformers may."""

    def __init__(self, params, lr=None):
        super().__init__(params, 0.1)
        self.param_groups[0]["lr"] = lr

    @torch.no_grad()
    def step(self, closure=None):
        for param in self.param_groups[0]["params"]:
            param.sub_(param.grad, alpha=0.1)


def test_an_optimizer_without_a_rate_has_none_in_its_records():
    keys = {"rule": "packaged", "optimizer": trusted(f"{__name__}:Finding"), "optimizer.lr": None}
    run = Run(Trial.parse({"task": "quadratic", "epochs": 1, **keys}))
    assert math.isnan(run.epoch().lr)
