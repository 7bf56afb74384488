"""`accumulate: k` is the step of a batch k times as large, in the memory of one, whatever the rule."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional

from trainables.data import Data, Split
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.seeds import generator, seed_of
from trainables.tasks import Classification
from trainables.testing import check_resume, cut, same
from trainables.training import Training
from trainables.trial import Trial

ROWS = torch.arange(260).split([192, 68])
POINTS = torch.randn(260, 6, generator=generator("accumulated"))
DIGITS = {"task": "digits_mlp", "precision": "float64", "epochs": 2.0, "evaluate_test": "never"}
RULES = [
    {"direction": "adam", "scheme.lr": 0.003, "decay": "decoupled", "decay.weight_decay": 0.1},
    {"direction": "momentum", "scheme.lr": 0.03, "gradient_clip": 0.5},
    {"scheme": "multilevel", "scheme.levels": "global+layer"},
    {"scheme": "line_search", "decay.weight_decay": 0.01},
    {"scheme": "curvature", "decay.weight_decay": 0.01},
    {"scheme": "curvature", "scheme.recipe": "graph", "gradient_clip": 0.5},
    {"scheme": "curvature", "scheme.recipe": "sweep", "direction": "rmsprop"},
]


@dataclass(frozen=True)
class Noisy(Classification):
    """BatchNorm and dropout, of which every mini-batch has its own."""

    num_classes: ClassVar[int] = 2

    def data(self):
        train, other = (Split(POINTS, (POINTS.sum(1) > 0).long(), rows) for rows in ROWS)
        return Data(train, other, other)

    def model(self):
        return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2))

    def prepare(self, inputs):
        return inputs


def trained(**flat):
    run = cut(Run(Trial.parse({**DIGITS, **flat})), train=200, others=100)
    for _ in run:
        pass
    return run


def test_a_hand_written_loop_that_accumulates_has_the_same_bits():
    run = Run(Trial(task=Noisy(), batch_size=16, accumulate=4, epochs=2.0))
    model = Noisy().model().train()
    model.load_state_dict({**run.params, **run.buffers})
    inputs, targets, rate = POINTS, (POINTS.sum(1) > 0).long(), torch.tensor(0.1)
    for step in range(run.course.num_steps):
        order = ROWS[0][torch.randperm(192, generator=generator(0, "order", step // 3))]
        model.zero_grad()
        for place in range(4):
            rows = order[(step % 3 * 4 + place) * 16 :][:16]
            torch.manual_seed(seed_of(0, "noise", step, *([place] if place else [])))
            (functional.cross_entropy(model(inputs[rows]), targets[rows]) / 4).backward()
        with torch.no_grad():
            for param in model.parameters():
                param.copy_(torch.addcmul(param, param.grad, -rate))
        run.step()
    assert run.steps == 6
    theirs = model.state_dict()
    assert same({name: {**run.params, **run.buffers}[name] for name in theirs}, dict(theirs))


@pytest.mark.parametrize("flat", RULES, ids=lambda flat: "-".join(map(str, flat.values())))
def test_it_is_the_step_of_a_larger_batch_for_every_rule(flat):
    """Of 200 examples, in steps of 36: the last mini-batches of an epoch are fewer, and one is smaller."""
    several, one = trained(batch_size=12, accumulate=3, **flat), trained(batch_size=36, **flat)
    assert several.steps == one.steps == 12
    torch.testing.assert_close(several.params, one.params, rtol=1e-7, atol=1e-9)
    for ours, theirs in zip(several.records, one.records, strict=True):
        for key in ("train_loss", "train_score", "valid_loss", "valid_score", "lr"):
            assert getattr(ours, key) == pytest.approx(getattr(theirs, key), rel=1e-7)


def test_every_mini_batch_is_charged():
    several, plain = trained(batch_size=12, accumulate=3), trained(batch_size=12)
    assert several.passes == plain.passes == 2 * 17
    assert several.records[-1].flops == plain.records[-1].flops
    asking = trained(batch_size=12, accumulate=3, scheme="line_search")
    assert asking.passes >= 2 * 17 * (1 + 2 * 0.5)  # the losses of a search are asked of every mini-batch, too


def test_one_mini_batch_is_what_it_was():
    assert same(trained(batch_size=12, accumulate=1).params, trained(batch_size=12).params)
    assert "accumulate" in Trial.parse(DIGITS).flat()


@pytest.mark.parametrize("flat", [{"direction": "adam", "scheme.lr": 1e-3}, {"scheme": "curvature"}], ids=str)
def test_it_resumes_bit_for_bit(flat):
    check_resume({**DIGITS, "batch_size": 4, "accumulate": 3, **flat}, interrupt=3, rows=32)


@dataclass(frozen=True)
class Own(Training):
    """A loop of its own, which accumulates as it likes."""

    metric, mode, chance = "accuracy", "max", 0.5

    def train(self, session):
        raise NotImplementedError


def test_a_loop_of_ones_own_accumulates_by_itself():
    with pytest.raises(Refusal, match=r"accumulate means nothing for .*Own, which has a loop of its own"):
        Trial(task=Own(), accumulate=2).check()


def test_a_full_batch_leaves_nothing_to_accumulate():
    with pytest.raises(Refusal, match="accumulate: 2 needs a batch_size in numbers: 'full' is one batch an epoch"):
        Trial.parse({"task": "quadratic", "batch_size": "full", "accumulate": 2})
