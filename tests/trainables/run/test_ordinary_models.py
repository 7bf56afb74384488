"""Ordinary models and tasks: buffers that are assigned, noise in evaluation, other generators than torch's."""

import random
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from trainables.data import Data, Split
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.tasks import Classification
from trainables.trial import Trial

INPUTS = torch.randn(64, 2, generator=torch.Generator().manual_seed(1)) + 3
LABELS = (INPUTS.sum(1) > 6).long()


@dataclass(frozen=True)
class Points(Classification):
    """Two classes in the plane."""

    num_classes = 2

    def data(self):
        return Data(*(Split(INPUTS, LABELS, rows) for rows in torch.arange(64).split([32, 16, 16])))

    def model(self):
        return nn.Linear(2, 2)

    def prepare(self, inputs):
        return inputs


class Centred(nn.Module):
    """Keeps a running mean of its inputs, by assignment or in place."""

    def __init__(self, how):
        super().__init__()
        self.how, self.out = how, nn.Linear(2, 2)
        self.register_buffer("mean", torch.zeros(2))

    def forward(self, x):
        if self.training or self.how in ("always", "written"):
            new = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            if self.how in ("copied", "written"):
                self.mean.copy_(new)
            else:
                self.mean = new
        return self.out(x - self.mean)


@dataclass(frozen=True)
class Centre(Points):
    """Such a model."""

    how: str = "assigned"

    def model(self):
        return Centred(self.how)


class Noisy(nn.Linear):
    """Draws in evaluation too, as what samples does."""

    def forward(self, x):
        return super().forward(x + torch.randn_like(x))


@dataclass(frozen=True)
class Sampled(Points):
    """Such a model."""

    def model(self):
        return Noisy(2, 2)


@dataclass(frozen=True)
class Flipped(Points):
    """Augments by Python's generator and numpy's."""

    def augment(self, inputs):
        return inputs * (-1 if random.random() < 0.5 else 1) + np.random.rand()


@dataclass(frozen=True)
class Shifted(Points):
    """Prepares in place what it is handed."""

    def prepare(self, inputs):
        inputs -= 3
        return inputs


@dataclass(frozen=True)
class Unshifted(Points):
    """The same, in a copy."""

    def prepare(self, inputs):
        return inputs - 3


def run(task, rule=None, **more):
    """A training of the task by our loop."""
    keys = rule or {"scheme.lr": 0.1}
    trial = Trial.parse({"task": "quadratic", "batch_size": 8, "epochs": 2, **keys})
    return Run(replace(trial, task=task, **more))


def told(task, rule=None, **more):
    return [(record.valid_loss, record.train_loss) for record in run(task, rule, **more)]


def test_a_buffer_that_the_model_assigns_moves_as_one_that_it_writes_into():
    copied, assigned = (run(Centre(how)) for how in ("copied", "assigned"))
    assert [record.valid_loss for record in copied] == [record.valid_loss for record in assigned]
    assert torch.equal(copied.buffers["mean"], assigned.buffers["mean"])
    assert copied.buffers["mean"].abs().min() > 1


@pytest.mark.parametrize("how", ["always", "written"])
def test_evaluation_moves_no_buffer_whatever_the_model_assigns_or_writes_into(how):
    trained = run(Centre(how))
    trained.step()
    before = trained.buffers["mean"].clone()
    trained.evaluate()
    assert torch.equal(trained.buffers["mean"], before)


@pytest.mark.parametrize("task", [Sampled(), Flipped()], ids=["noise in evaluation", "other generators"])
def test_all_that_is_random_comes_from_the_seed(task):
    assert told(task) == told(task)
    assert told(task) != told(task, seed=1)


def test_a_run_that_goes_on_draws_the_same_noise_in_its_evaluations():
    whole, first = run(Sampled()), run(Sampled())
    list(whole)
    first.epoch()
    second = run(Sampled())
    second.load_state_dict(first.state_dict())
    list(second)
    assert [record.valid_loss for record in second.records] == [record.valid_loss for record in whole.records]


def test_the_callers_generators_are_as_they_were():
    random.seed(3)
    np.random.seed(3)
    drawn = random.random(), np.random.rand()
    random.seed(3)
    np.random.seed(3)
    told(Flipped())
    assert (random.random(), np.random.rand()) == drawn


@cache
def shuffled(salt):
    rows = torch.from_numpy(np.random.permutation(64))
    return Data(*(Split(INPUTS, LABELS, own) for own in rows.split([32, 16, 16])))


@dataclass(frozen=True)
class Shuffled(Points):
    """Splits at random, without a generator of its own; `salt` stands for a process."""

    salt: int = 0

    def data(self):
        return shuffled(self.salt)


def test_a_split_that_is_drawn_at_random_is_the_same_in_every_process():
    first, second = (Shuffled(salt).splits().valid.rows for salt in (1, 2))
    assert torch.equal(first, second)


def test_a_task_may_write_into_what_it_prepares():
    search = {"scheme": "line_search"}
    assert told(Shifted(), search) == told(Unshifted(), search)


def test_records_more_often_than_steps_are_refused():
    with pytest.raises(Refusal, match=r"record_every is 0\.2 of an epoch, and a step is 1/4 .*: give at least 0\.25$"):
        run(Points(), record_every=0.2)
    assert [record.steps for record in run(Points(), record_every=0.25)] == [1, 2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("size", ["full", "{choice: [8, full]}"])
def test_a_study_that_records_more_often_than_it_steps_is_refused_before_it_starts(size, lr_study, tmp_path):
    text = "{question: q, common: {task: quadratic, batch_size: SIZE, record_every: 0.5, trials: 1}, arms: {a: {}}}"
    (tmp_path / "often.yaml").write_text(text.replace("SIZE", size))
    done = lr_study("run", "often.yaml")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "record_every is 0.5 of an epoch" in done.stderr
    assert not (tmp_path / "mlflow.db").exists()


class Turned(Points):
    """A model of complex numbers."""

    def model(self):
        return nn.Linear(2, 2, dtype=torch.complex64)


def test_complex_parameters_are_refused_and_not_made_real():
    with pytest.raises(Refusal, match="Turned' has complex parameters: give it a loop of its own"):
        run(Turned())


class Rotated(nn.Linear):
    """Turns its inputs by a complex buffer."""

    def __init__(self):
        super().__init__(2, 2)
        self.register_buffer("turn", torch.polar(torch.ones(1), torch.full((1,), 0.5)))

    def forward(self, x):
        return super().forward(torch.view_as_real(torch.view_as_complex(x) * self.turn))


@dataclass(frozen=True)
class Turning(Points):
    """Such a model."""

    def model(self):
        return Rotated()


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_complex_buffers_stay_complex(precision):
    trained = run(Turning(), precision=precision)
    assert trained.buffers["turn"].imag.item() == pytest.approx(np.sin(0.5))
    assert trained.params["weight"].dtype == getattr(torch, precision)


class Skipped(nn.Module):
    """Leaves its hidden layer out by a draw."""

    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, x):
        return self.out(self.hidden(x) if torch.rand(()) < 0.5 else x)


@dataclass(frozen=True)
class Skipping(Points):
    """Such a model."""

    def model(self):
        return Skipped()


def test_operations_do_not_depend_on_where_a_run_goes_on():
    whole = [record.flops for record in run(Skipping(), epochs=8.0)]
    for records in range(1, 8):
        first, second = run(Skipping(), epochs=8.0), run(Skipping(), epochs=8.0)
        for _ in range(records):
            first.epoch()
        second.load_state_dict(first.state_dict())
        assert [record.flops for record in [*first.records, *second]] == whole


class Twofold(nn.Linear):
    """Returns a tuple."""

    def forward(self, x):
        return super().forward(x), x


@dataclass(frozen=True)
class Tupled(Points):
    """Such a model."""

    def model(self):
        return Twofold(2, 2)


def test_outputs_without_logits_are_refused_in_one_line():
    with pytest.raises(Refusal, match="the model returns a tuple without logits: return them alone or under that name"):
        run(Tupled()).rehearse()
