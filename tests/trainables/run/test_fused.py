"""Trainings side by side as one program: each of them ends as it would have by itself."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from trainables.components import members
from trainables.data import Data, Split
from trainables.data.augmentations import cropped_and_flipped
from trainables.directions import Direction
from trainables.refusal import Refusal
from trainables.run.fused import FusedRun
from trainables.run.loop import Run
from trainables.run.stopping import Rung
from trainables.schedules import Schedule
from trainables.schemes import Scheme
from trainables.seeds import generator
from trainables.space import setting
from trainables.tasks import Classification
from trainables.testing import check_fuses, same
from trainables.trial import Trial

ROWS = torch.arange(120).split([96, 24])
IMAGES = torch.randn(120, 2, 6, 6, generator=generator("fused"), dtype=torch.float64)
LABELS = (IMAGES.mean((1, 2, 3)) > 0).long()


@dataclass(frozen=True)
class Small(Classification):
    """A convolution, BatchNorm, a frozen layer and two kinds of dropout on images that are augmented."""

    num_classes: ClassVar[int] = 2
    dropped: float = setting(0.3, valid=(0.0, 0.9))

    def data(self):
        train, other = (Split(IMAGES, LABELS, rows) for rows in ROWS)
        return Data(train, other, other)

    def model(self):
        return nn.Sequential(
            nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout2d(self.dropped), nn.Flatten(),
            nn.Linear(48, 8), nn.ReLU(), nn.Dropout(self.dropped), nn.Linear(8, 2).requires_grad_(False),
        )  # fmt: skip

    def prepare(self, inputs):
        return inputs

    def augment(self, inputs):
        return cropped_and_flipped(inputs, padding=1)


class Plain(Small):
    """The same images as they are, without a dropout: the numbers of its lanes differ in nothing else."""

    def model(self):
        return nn.Sequential(nn.Flatten(), nn.Linear(72, 8), nn.ReLU(), nn.Linear(8, 2))

    def augment(self, inputs):
        return inputs


BASE = {"batch_size": 20, "epochs": 10.0, "record_every": 5.0, "precision": "float64"}
RULES = {
    "momentum with all that a study file may add": [
        {"direction": "momentum", "scheme.schedule": "cosine", "scheme.schedule.warmup": 0.1 * lane,
         "decay.weight_decay": 0.1 * lane, "gradient_clip": 0.5 + lane, "scheme.lr": 0.05}
        for lane in range(3)
    ],
    "adam, decoupled decay with a schedule of its own": [
        {"direction": "adam", "direction.beta2": 0.9 + 0.04 * lane, "decay": "decoupled", "decay.weight_decay": 0.01,
         "decay.schedule": "linear", "decay.on": "matrices", "scheme.lr": 0.01}
        for lane in range(3)
    ],
    "cprop, off in one lane": [
        {"scheme": "cprop", "direction": "momentum", "scheme.lr": 0.1, "scheme.c": c} for c in (1.0, 2.0, float("inf"))
    ],
    "hypergradient, multiplicative": [
        {"scheme": "hypergradient", "scheme.form": "multiplicative", "scheme.lr": 0.01, "scheme.beta": 0.02 * lane}
        for lane in range(2)
    ],
    "four levels, bounded above": [
        {"scheme": "multilevel", "scheme.levels": "global+layer+unit+parameter", "scheme.ceiling": 0.1 + lane,
         "scheme.penalty_unit": 0.5 * lane}
        for lane in range(2)
    ],
    "plateau": [
        {"scheme": "plateau", "scheme.patience": 1, "scheme.factor": 0.5, "scheme.lr": 0.1 * lane} for lane in range(2)
    ],
    "several mini-batches a step": [{"accumulate": 2, "scheme.lr": 0.1, "gradient_clip": 1.0} for lane in range(2)],
}  # fmt: skip


def trials(task, flats, **more):
    return [replace(Trial.parse({"task": "quadratic", **BASE, **more, "seed": seed, **flat}), task=task)
            for seed, flat in enumerate(flats)]  # fmt: skip


@pytest.mark.parametrize("flats", RULES.values(), ids=RULES)
def test_every_lane_ends_as_its_training_by_itself(flats):
    assert check_fuses(trials(Plain(), flats)).steps in (50, 30)


@pytest.mark.parametrize("rule", ["momentum with all that a study file may add", "several mini-batches a step"])
def test_dropout_augmentation_batchnorm_and_frozen_parameters_are_every_lanes_own(rule):
    tasks = [Small(dropped) for dropped in (0.3, 0.5, 0.3)]
    given = [replace(each, task=task) for each, task in zip(trials(Small(), RULES[rule]), tasks, strict=False)]
    check_fuses(given)


def test_in_float32_one_step_from_equal_states_agrees():
    """A whole trajectory proves nothing: rounding grows with every step."""
    given = trials(Plain(), RULES["momentum with all that a study file may add"], precision="float32")
    fused, alone = FusedRun(given), [Run(trial) for trial in given]
    for _ in range(5):
        fused.load_state_dict({"steps": alone[0].steps, "lanes": [run.state_dict() for run in alone]})
        fused.rehearse()
        for lane, run in zip(fused.state_dict()["lanes"], alone, strict=True):
            run.step()
            torch.testing.assert_close(lane["params"], run.params, rtol=1e-5, atol=1e-6)


def test_a_lane_that_diverges_or_is_stopped_changes_no_bit_of_another():
    rates, bars = (0.1, 1e308, 0.2, 0.05), [(), (), (Rung(1, 2.0),), ()]
    calm, wild = ([{"scheme.lr": lr} for lr in each] for each in ((0.1, 0.01, 0.2, 0.05), rates))
    whole, broken = FusedRun(trials(Plain(), calm)), FusedRun(trials(Plain(), wild), bars=bars)
    for fused in (whole, broken):
        while not fused.finished:
            fused.epoch()
    assert [(lane.diverged, lane.stopped, lane.steps) for lane in broken.lanes] == [
        (False, False, 50), (True, False, 16), (False, True, 25), (False, False, 50)
    ]  # fmt: skip
    for place in (0, 3):
        assert same(whole.lanes[place].params, broken.lanes[place].params)
    assert broken.lanes[1].records[-1].diverged
    assert broken.lanes[1].best_score == Plain().chance


def test_lanes_of_other_lengths_and_records_agree():
    lengths = [{"epochs": 3.0, "record_every": 1.0}, {"epochs": 4.4, "record_every": 0.6}]
    assert [lane.steps for lane in check_fuses(trials(Plain(), lengths)).lanes] == [15, 22]


def test_broken_off_anywhere_it_goes_on_with_the_same_bits(tmp_path):
    given = trials(Small(), RULES["plateau"], record_every=1.0, epochs=4.0)
    whole, first, second = FusedRun(given), FusedRun(given), FusedRun(given)
    first.epoch()
    first.epoch()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for fused in (whole, second):
        while not fused.finished:
            fused.epoch()
    assert same([lane.params for lane in whole.lanes], [lane.params for lane in second.lanes])
    for one, other in zip(whole.lanes, second.lanes, strict=True):
        assert [replace(record, seconds=0) for record in one.records] == [replace(r, seconds=0) for r in other.records]


class Scaled(Plain):
    """A loss that depends on a number of the task."""

    def loss(self, outputs, targets):
        return self.dropped * super().loss(outputs, targets)


class Pulled(Plain):
    """A loss with a small part that depends on a number of the task."""

    def loss(self, outputs, targets):
        return super().loss(outputs, targets) + 1e-4 * self.dropped * outputs.square().mean()


class Drawing(Plain):
    """A network that draws at random, and not in a dropout."""

    def loss(self, outputs, targets):
        return super().loss(outputs + torch.rand_like(outputs), targets)


class Remembering(Plain):
    """A network whose statistics depend on a number of the task, and its first gradient does not."""

    def model(self):
        flat, first, *rest = super().model()
        return nn.Sequential(flat, first, nn.BatchNorm1d(8, momentum=self.dropped), *rest)


class Judged(Plain):
    """A score that depends on a number of the task."""

    def score(self, outputs, targets):
        return (outputs.float() > self.dropped).float().mean()


class Looking(Plain):
    """A loss that looks at its value."""

    def loss(self, outputs, targets):
        loss = super().loss(outputs, targets)
        return loss if loss.item() > 0 else -loss


@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ([Scaled(0.3), Scaled(0.4)], "lane 1 has another gradient than by itself"),
        ([Remembering(0.1), Remembering(0.2)], "lane 1 has another statistic than by itself"),
        ([Judged(-9.0), Judged(9.0)], "lane 1 has another score than by itself"),
        ([Drawing()] * 2, "vmap: called random operation"),
        ([Looking()] * 2, "does not fuse: vmap: It looks like you're either"),
        ([Small(0.3), Plain(0.3)], "must have the same task"),
    ],
    ids=["a number of the loss", "a statistic", "a score", "random numbers", "control flow", "another task"],
)
def test_what_does_not_fuse_is_refused_at_the_start(tasks, told):
    given = [replace(each, task=task) for each, task in zip(trials(Plain(), [{}, {}]), tasks, strict=True)]
    with pytest.raises(Refusal, match=told):
        FusedRun(given)


def test_a_number_that_changes_little_at_the_start_is_seen_in_single_precision_too():
    given = [
        replace(each, task=task, precision="float32")
        for each, task in zip(trials(Plain(), [{}, {}]), (Pulled(0.0), Pulled(0.9)), strict=True)
    ]
    with pytest.raises(Refusal, match="lane 1 has another gradient than by itself"):
        FusedRun(given)


@pytest.mark.parametrize(
    ("flat", "told"),
    [
        ({"rule": "packaged", "optimizer": "prodigy"}, "a composed rule"),
        ({"scheme": "line_search"}, "got 'line_search'"),
        ({"scheme": "curvature"}, "got 'curvature'"),
        ({"compile": True}, "compile: false"),
        ({"scale_invariance": True}, "scale_invariance: false"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value.values())),
)
def test_what_cannot_be_fused_says_so_in_one_line(flat, told):
    with pytest.raises(Refusal, match=f"^fuse: 4 needs .*{told}"):
        Trial.parse({"task": "quadratic", "fuse": 4, **flat})


def test_seconds_are_the_shared_steps_divided_by_the_living_lanes():
    fused = FusedRun(trials(Plain(), [{"epochs": 1.0}, {"epochs": 2.0, "record_every": 1.0}], record_every=1.0))
    fused.epoch()
    shared = {lane.seconds for lane in fused.lanes}
    fused.epoch()
    assert len(shared) == 1
    assert fused.lanes[0].seconds == shared.pop() < fused.lanes[1].seconds


@pytest.mark.slow
@pytest.mark.parametrize("direction", members(Direction))
@pytest.mark.parametrize("scheme", [name for name, scheme in members(Scheme).items() if not scheme.asks])
def test_every_scheme_on_every_direction_agrees_over_fifty_steps(scheme, direction):
    rule = {"scheme": scheme, "direction": direction}
    check_fuses(trials(Plain(), [{**rule, "scheme.lr": lr, "decay.weight_decay": 0.01} for lr in (0.01, 0.02)]))


@pytest.mark.slow
@pytest.mark.parametrize("schedule", members(Schedule))
def test_every_schedule_agrees_over_fifty_steps(schedule):
    given = [{"scheme.schedule": schedule, "scheme.schedule.warmup": warmup} for warmup in (0.0, 0.2)]
    check_fuses(trials(Plain(), given))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("width", [1, 3])
def test_on_a_gpu_a_captured_step_ends_as_its_training_by_itself(width, capsys, monkeypatch):
    monkeypatch.setenv("LR_STUDY_CUDA_GRAPHS", "1")
    given = trials(Small(), RULES["momentum with all that a study file may add"][:width])
    fused, alone = FusedRun(given, "cuda"), [Run(trial, "cuda") for trial in given]
    while not fused.finished:
        fused.epoch()
    for lane, run in zip(fused.lanes, alone, strict=True):
        list(run)
        torch.testing.assert_close(lane.params, run.params, rtol=1e-9, atol=1e-9)
    assert "not captured" not in capsys.readouterr().err
