"""The promises of every optimizer of other people's."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.optimizers import Optimizer, made
from trainables.oracle import Oracle, Tensors
from trainables.packaged import Packaged, asked, rates, scale_rates
from trainables.schedules import Constant
from trainables.schedules.decays import Linear
from trainables.seeds import generator
from trainables.testing.problems import copied, same, two_layers
from trainables.testing.rules import check_fields

STEPS = 12


class OptimizerSuite:
    """The promises of every optimizer of other people's. Provide the fixture `optimizer`.

    A class that a study file names, `./mine.py:Mine`, is the optimizer `find(Optimizer, trusted("./mine.py:Mine"))()`.
    """

    @pytest.fixture
    def optimizer(self) -> Optimizer:
        """The optimizer under test."""
        raise NotImplementedError("override the fixture `optimizer`")

    def test_fields(self, optimizer: Optimizer) -> None:
        check_fields(optimizer)

    @pytest.mark.parametrize("interrupted", [1, 7])
    def test_walks_as_in_a_plain_loop_with_a_schedule_and_over_a_resume_bit_for_bit(
        self, optimizer: Optimizer, interrupted: int
    ) -> None:
        rule, params = _rule(optimizer), _start(optimizer)
        state = rule.init(params)
        for step in range(STEPS):
            if step == interrupted:
                state = rule.load(params, _through_a_file(rule.save(state)))
            _, params, state = rule.step(Oracle(_loss(step)), params, state, _progress(step))
        assert same(params, _by_hand(optimizer)), "it keeps what no checkpoint holds, or draws from a global generator"

    def test_writes_into_nothing_that_it_is_given(self, optimizer: Optimizer) -> None:
        rule, params = _rule(optimizer), _start(optimizer)
        state = rule.init(params)
        for step in range(3):
            before, given = copied(params), params
            _, params, state = rule.step(Oracle(_loss(step)), given, state, _progress(step))
            assert same(before, given)

    def test_evaluated_in_between_it_goes_on_as_if_it_were_not(self, optimizer: Optimizer) -> None:
        rule, params = _rule(optimizer), _start(optimizer)
        state = rule.init(params)
        for step in range(STEPS):
            _, params, state = rule.step(Oracle(_loss(step)), params, state, _progress(step))
            assert all(bool(param.isfinite().all()) for param in rule.evaluated(params, state).values())
        assert same(params, _by_hand(optimizer))

    def test_tells_its_rate(self, optimizer: Optimizer) -> None:
        rule, params = _rule(optimizer), _start(optimizer)
        _, _, state = rule.step(Oracle(_loss(0)), params, rule.init(params), _progress(0))
        rate = rule.extras(state)["lr"]
        assert rate.numel() == 1
        assert not rate < 0


def _rule(optimizer: Optimizer) -> Packaged:
    """With a schedule, where there is a rate that it can multiply."""
    scheduled = any(lr is not None for lr in rates(made(optimizer, list(_leaves(optimizer).values()))))
    return Packaged(optimizer, Linear() if scheduled else Constant())


def _start(optimizer: Optimizer) -> Tensors:
    """The parameters of two layers; matrices alone where it takes no others."""
    every = two_layers(torch.float32)
    return {name: param for name, param in every.items() if param.ndim == 2 or not optimizer.matrices_only}


def _leaves(optimizer: Optimizer) -> dict[str, nn.Parameter]:
    return {name: nn.Parameter(param) for name, param in _start(optimizer).items()}


def _loss(step: int) -> Callable[[Any], Tensor]:
    """The loss of a mini-batch of a convex problem, another one at every step, by whatever parameters there are."""
    draws = generator("plain loop", step)
    centre = {name: torch.randn(param.shape, generator=draws) for name, param in two_layers().items()}
    return lambda at: torch.stack([(param - 0.1 * centre[name]).square().sum() for name, param in at.items()]).sum()


def _progress(step: int) -> Tensor:
    return torch.tensor(step / STEPS, dtype=torch.float64)


def _by_hand(optimizer: Optimizer) -> Tensors:
    """The parameters after a loop as everybody writes it, never interrupted."""
    leaves, schedule = _leaves(optimizer), _rule(optimizer).schedule
    theirs = made(optimizer, list(leaves.values()))
    first = rates(theirs)
    step_of: Any = theirs.step  # torch says what a closure returns, and takes no loss
    for step in range(STEPS):

        def closure(step: int = step) -> Tensor:
            theirs.zero_grad()
            loss = _loss(step)(leaves)
            loss.backward()
            return loss

        if schedule != Constant():
            scale_rates(theirs, first, float(schedule(_progress(step))))
        if "closure" in asked(theirs):
            step_of(closure)
            continue
        loss = closure()
        step_of(**({"loss": loss} if "loss" in asked(theirs) else {}))
    return {name: leaf.detach() for name, leaf in leaves.items()}


def _through_a_file(data: Any) -> Any:
    file = io.BytesIO()
    torch.save(data, file)
    file.seek(0)
    return torch.load(file, weights_only=True)
