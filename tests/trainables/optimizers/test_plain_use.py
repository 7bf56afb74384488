"""Optimizers of torch's through a trial, through a loop of one's own, and by a loop without us: the same bits."""

import io
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainables.data import Data, Split
from trainables.optimizers import Optimizer
from trainables.packaged import Packaged
from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.run.own_loop import OwnLoop
from trainables.seeds import generator
from trainables.tasks import Classification
from trainables.testing import same
from trainables.training import Training
from trainables.trial import Trial

SETTINGS = {
    "SGD": {"lr": 0.2, "momentum": 0.9, "nesterov": True, "weight_decay": 0.02},
    "Adam": {"lr": 0.05, "weight_decay": 0.02, "amsgrad": True},
    "AdamW": {"lr": 0.05, "weight_decay": 0.5, "betas": (0.8, 0.95)},
    "NAdam": {"lr": 0.05, "weight_decay": 0.02, "decoupled_weight_decay": True},
    "RAdam": {"lr": 0.05, "weight_decay": 0.02},
    "Adamax": {"lr": 0.05, "weight_decay": 0.02},
    "RMSprop": {"lr": 0.01, "weight_decay": 0.02, "momentum": 0.5, "centered": True},
    "Adagrad": {"lr": 0.1, "weight_decay": 0.02, "lr_decay": 0.01},
    "Adadelta": {"lr": 1.0, "weight_decay": 0.02},
    "Adafactor": {"lr": 0.05, "weight_decay": 0.02},
    "ASGD": {"lr": 0.2, "weight_decay": 0.02, "t0": 10.0},
    "Muon": {"lr": 0.05, "weight_decay": 0.2},
}
WITHOUT_DECAY = {"Rprop": {"lr": 0.01, "etas": (0.6, 1.3)}, "LBFGS": {"lr": 0.5, "max_iter": 3}}
STEPS = 50


@dataclass(frozen=True)
class Corners(Classification):
    """Four corners of a square, in batches of 20, by a network that has vectors unless it is told otherwise."""

    num_classes = 4
    bias: bool = True

    def data(self):
        draws = generator("corners")
        labels = torch.randint(4, (140,), generator=draws)
        inputs = torch.randn(140, 2, generator=draws) + 2.0 * torch.stack([labels % 2, labels // 2], 1)
        rows = torch.arange(140)
        return Data(*(Split(inputs, labels, part) for part in (rows[:100], rows[100:120], rows[120:])))

    def model(self):
        return nn.Sequential(nn.Linear(2, 8, bias=self.bias), nn.Tanh(), nn.Linear(8, 4, bias=self.bias))

    def prepare(self, inputs):
        return inputs


def trial_of(name, given, **others):
    keys = {f"optimizer.{key}": value for key, value in given.items()}
    rule = Packaged.parse({"optimizer": trusted(f"torch.optim:{name}"), "schedule": "linear", **keys, **others})
    return Trial(task=Corners(bias=name != "Muon"), rule=rule, batch_size=20, epochs=STEPS / 5, evaluate_test="never")


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def by_us(trial, interrupted):
    run = Run(trial)
    for step in range(STEPS):
        if step == interrupted:
            state = through_a_file(run.state_dict())
            run = Run(trial)
            run.load_state_dict(state)
        run.step()
    return run.params


def by_hand(name, given, groups):
    """Train by the loop that everybody writes, on the batches of a trial."""
    task = Corners(bias=name != "Muon")
    data, model = task.data(), task.model()
    model.load_state_dict(Run(trial_of(name, given)).params)
    optimizer = getattr(torch.optim, name)(groups(model), **given)
    first = [group["lr"] for group in optimizer.param_groups]
    for step in range(STEPS):
        epoch, place = divmod(step, 5)
        if place == 0:
            order = torch.randperm(100, generator=generator(0, "order", epoch))
        rows = order[20 * place : 20 * (place + 1)]
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            group["lr"] = lr * (1 - step / STEPS)

        def closure(rows=rows):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(data.train.inputs[rows]), data.train.targets[rows])
            loss.backward()
            return loss

        if name == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()
    return {key: param.detach() for key, param in model.named_parameters()}


def two_groups(model):
    """Matrices, and what is not to be decayed."""
    found = [[p for p in model.parameters() if (p.ndim >= 2) is matrix] for matrix in (True, False)]
    return [{"params": found[0]}, *([{"params": found[1], "weight_decay": 0.0}] if found[1] else [])]


@pytest.mark.parametrize("name", SETTINGS)
def test_two_groups_a_schedule_and_a_resume_in_the_middle_are_plain_use_bit_for_bit(name):
    ours = by_us(trial_of(name, SETTINGS[name], **{"decay.on": "matrices"}), interrupted=23)
    assert same(ours, by_hand(name, SETTINGS[name], two_groups))


@pytest.mark.parametrize("name", [*WITHOUT_DECAY, "SGD"])
def test_one_group_is_plain_use_bit_for_bit(name):
    given = {**SETTINGS, **WITHOUT_DECAY}[name]
    ours = by_us(trial_of(name, given), interrupted=23)
    assert same(ours, by_hand(name, given, lambda model: model.parameters()))


@pytest.mark.parametrize("name", WITHOUT_DECAY)
def test_one_without_weight_decay_cannot_leave_it_out_for_vectors(name):
    with pytest.raises(Refusal, match=f"decay.on: matrices needs a weight_decay, and torch.optim:{name} has none"):
        Run(trial_of(name, WITHOUT_DECAY[name], **{"decay.on": "matrices"}))


# --- a loop of one's own -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class OwnCorners(Training):
    """The same by a loop of the user's, whose groups have rates of their own."""

    metric, mode, chance = "accuracy", "max", 0.25
    named: bool = False

    def train(self, session):
        data, model = Corners().data(), Corners().model()
        optimizer = session.optimizer(own_groups(model, self.named), steps_per_epoch=5)
        for epoch in session.epochs(model=model, optimizer=optimizer):
            order = torch.randperm(100, generator=generator(0, "order", epoch))
            for rows in order.split(20):
                optimizer.zero_grad()
                functional.cross_entropy(model(data.train.inputs[rows]), data.train.targets[rows]).backward()
                optimizer.step()
            last = torch.cat([param.detach().flatten() for param in model.parameters()])
            session.log(**{f"at{place}": value for place, value in enumerate(last.double())})
            session.report(0.5)


def own_groups(model, named):
    """By layer, the second at a third of the rate; `named`, as torch takes names."""
    parts = [list(layer.named_parameters() if named else layer.parameters()) for layer in (model[0], model[2])]
    return [{"params": parts[0]}, {"params": parts[1], "lr": 0.01}]


def split_by_decay(model):
    return [
        {
            **group,
            "params": [p for p in group["params"] if (p.ndim >= 2) is matrix],
            **({} if matrix else {"weight_decay": 0.0}),
        }
        for group in own_groups(model, named=False)
        for matrix in (True, False)
    ]


def own_trial(rule, named=False):
    return Trial(task=OwnCorners(named=named), rule=rule, epochs=STEPS / 5)


def broken_off(trial, after):
    """The last record of a loop that is ended after some epochs, and gone on with from a file."""
    first = OwnLoop(trial)
    for _ in range(after):
        first.epoch()
    state = through_a_file(first.state_dict())
    first.close()
    second = OwnLoop(trial)
    second.load_state_dict(state)
    return list(second)[-1]


@pytest.mark.parametrize("named", [False, True], ids=["params", "named"])
@pytest.mark.parametrize("on", ["all", "matrices"])
def test_groups_of_a_loop_of_one_s_own_are_plain_use_bit_for_bit(on, named):
    rule = trial_of("AdamW", SETTINGS["AdamW"], **{"decay.on": on}).rule
    last = broken_off(own_trial(rule, named), after=4)
    assert last.steps == STEPS
    groups = split_by_decay if on == "matrices" else lambda model: own_groups(model, named=False)
    trained = by_hand("AdamW", SETTINGS["AdamW"], groups)
    expected = torch.cat([param.flatten() for param in trained.values()]).double()
    assert [last.extras[f"at{place}"] for place in range(len(expected))] == expected.tolist()


class Tiring(torch.optim.SGD):
    """SGD whose rate falls with its steps, which it counts where no `state_dict` looks."""

    def __init__(self, params, lr=0.5):
        super().__init__(params, lr=lr)
        self.seen, self.norms = 0, []

    def step(self, closure=None):
        self.seen += 1
        self.norms = [*self.norms, float(self.param_groups[0]["params"][0].grad.norm())][-3:]
        for group in self.param_groups:
            group["lr"] = 0.5 / (self.seen + sum(self.norms))
        return super().step(closure)


def test_a_loop_of_one_s_own_keeps_what_no_state_dict_holds_and_counts_a_step_inside_of_a_step_once():
    rule = Packaged(Optimizer.adopted(Tiring, __name__)())
    trial = own_trial(rule)
    *_, whole = OwnLoop(trial)
    assert whole.steps == whole.passes == STEPS
    assert {**broken_off(trial, after=4).flat(), "seconds": 0} == pytest.approx(
        {**whole.flat(), "seconds": 0}, abs=0, rel=0, nan_ok=True
    )
