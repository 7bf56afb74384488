"""The measured price of a step: known ratios by a clock of known ticks, and no number where there is none."""

import json
import statistics
import time
from dataclasses import dataclass

import loops
import pytest
import torch

from trainables.directions import Direction
from trainables.price import Price, read
from trainables.ray_trainable import Trainable
from trainables.rules import Composed
from trainables.run import pricing
from trainables.run.loop import Run
from trainables.run.pricing import price_of
from trainables.tasks.quadratic import Quadratic
from trainables.trial import Trial

TICKS = [0.0]
TRIAL = {"task": "quadratic", "epochs": 2, "batch_size": "full", "scheme.lr": 0.1}


@dataclass(frozen=True)
class Dear(Direction):
    """The gradient, which takes three ticks to follow."""

    descends = True

    def init(self, param):
        return ()

    def apply(self, grad, state, param):
        TICKS[0] += 3
        return grad, state


@dataclass(frozen=True)
class Ticking(Quadratic):
    """A task of which every forward pass takes two ticks."""

    def prepare(self, inputs):
        TICKS[0] += 2
        return inputs


@pytest.fixture
def _ticks(monkeypatch):
    monkeypatch.setattr(time, "perf_counter", lambda: TICKS[0])


def price(**changed):
    return price_of([Trial(task=Ticking(), **changed)], "cpu")


@pytest.mark.usefixtures("_ticks")
@pytest.mark.parametrize(("accumulate", "gradients"), [(1, 2.5), (4, 4 * (8 + 3) / 8)])
def test_a_step_is_told_in_gradients_of_a_mini_batch(accumulate, gradients):
    """A step follows as many mini-batches as it accumulates, of two ticks each, and moves once, in three."""
    dear = price(rule=Composed(direction=Dear()), accumulate=accumulate, epochs=1)
    assert (dear.gradients, dear.passes, dear.steps, dear.why) == (gradients, accumulate, pricing.STEPS, "")
    plain = price(accumulate=accumulate)
    assert (plain.gradients, plain.gradients_a_pass) == (accumulate, 1.0)


@pytest.mark.usefixtures("_ticks")
def test_of_a_group_step_and_gradient_are_those_of_all_lanes():
    trials = [Trial.parse({**TRIAL, "fuse": 3, "scheme.lr": lr}) for lr in (0.1, 0.2, 0.3)]
    trials = [Trial(task=Ticking(), rule=trial.rule, fuse=3) for trial in trials]
    assert price_of(trials, "cpu") == Price("cpu", "cpu, 1 thread", 1.0, 1.0, pricing.STEPS)


def test_by_a_real_clock_a_slow_direction_costs_what_it_sleeps(monkeypatch):
    """Ten times as long as a gradient that takes two milliseconds: within wide margins on any machine."""
    monkeypatch.setattr(Ticking, "prepare", lambda task, inputs: time.sleep(2e-3) or inputs)
    monkeypatch.setattr(Dear, "apply", lambda of, grad, state, param: time.sleep(2e-2) or (grad, state))
    monkeypatch.setattr(pricing, "STEPS", 7)
    assert 3 < price(rule=Composed(direction=Dear())).gradients < 15


def test_what_takes_too_long_has_no_price(monkeypatch):
    monkeypatch.setattr(pricing, "LIMIT", -1.0)
    told = price()
    assert (told.why, told.steps) == ("5 steps take longer than -1 s", 0)


def test_neither_has_a_loop_of_its_own_nor_what_breaks(monkeypatch):
    assert price_of([Trial(task=loops.Plain())], "cpu").why == "its loop is its own"
    monkeypatch.setattr(Ticking, "prepare", lambda task, inputs: torch.zeros(2) + torch.zeros(3))
    assert "must match the size" in price().why


def test_plain_sgd_is_about_one():
    """A little above, where nothing else runs: the bounds are those of a machine under load, the median of three."""
    trials = [Trial.parse({"task": "digits_mlp", "batch_size": 512})]
    assert 0.8 < statistics.median(price_of(trials, "cpu").gradients for _ in range(3)) < 3


# --- in the worker's process ----------------------------------------------------------------------------


def results(tmp_path, priced, **keys):
    """All that a worker tells of a trial."""
    told = {"trials": [{**TRIAL, **keys}], "bars": [[]], "files": [], "folders": [str(tmp_path)]}
    running = Trainable({"mark": "m", "priced": priced, **{name: json.dumps(value) for name, value in told.items()}})
    found = [running.step()]
    while not found[-1]["done"]:
        found.append(running.step())
    return found


def records(found):
    every = [record for result in found for lane in result["lanes"] for record in lane["records"]]
    return [{name: value for name, value in record.items() if name != "seconds"} for record in every]


@pytest.mark.parametrize(
    "keys", [{}, pytest.param({"compile": True}, marks=pytest.mark.slow)], ids=["plain", "compiled"]
)
def test_whoever_measures_first_trains_the_same_bits(tmp_path, keys):
    task = {"task": "digits_mlp", "batch_size": 64, **keys}
    before = torch.random.get_rng_state()
    measured, others = (results(tmp_path / priced, priced, **task) for priced in ("[]", "null"))
    assert records(measured) == records(others)
    assert torch.equal(before, torch.random.get_rng_state())
    assert [bool(result["price"]) for result in measured] == [True] + [False] * (len(measured) - 1)
    assert not any(result["price"] for result in others)


@pytest.mark.parametrize(
    ("priced", "measures"), [("[]", True), ('["cuda"]', True), ('["cpu"]', False), ("null", False)]
)
def test_a_worker_measures_where_its_kind_of_device_has_no_price(tmp_path, priced, measures, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (result,) = results(tmp_path, priced)
    assert [price.device for price in (read(result["price"]) if result["price"] else [])] == ["cpu"] * measures


def test_a_failure_of_the_measurement_is_none_of_the_trial(tmp_path, monkeypatch):
    monkeypatch.setattr(Run, "rehearse", lambda run: 1 / 0)
    (result,) = results(tmp_path, "[]")
    assert read(result["price"])[0].why == "division by zero"
    assert len(result["lanes"][0]["records"]) == 2
