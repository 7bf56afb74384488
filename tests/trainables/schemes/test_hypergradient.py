"""Hypergradient descent: the authors' trajectories, and autograd through two steps."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from tests.trajectories import check_trajectory, trajectory
from trainables.components import members
from trainables.directions import Direction
from trainables.directions.adam import Adam, Moments
from trainables.directions.momentum import Momentum, Nesterov
from trainables.directions.sgd import SGD
from trainables.oracle import inner
from trainables.rules import Composed, Coupled, Decoupled
from trainables.schemes.fixed import Fixed
from trainables.schemes.hypergradient import Hypergradient
from trainables.testing import bowl, noisy_bowl, same, steps, two_layers

PROGRESS = torch.zeros((), dtype=torch.float64)


@dataclass(frozen=True)
class OldAdam(Direction):
    """Adam as the authors of HD wrote it in 2018: ε is added before the bias correction."""

    descends: ClassVar[bool] = False

    def init(self, param):
        return Adam().init(param)

    def apply(self, grad, state, param):
        steps = state.steps + 1
        mean, square = 0.9 * state.mean + 0.1 * grad, 0.999 * state.square + 0.001 * grad * grad
        correction = (1 - 0.999**steps).sqrt() / (1 - 0.9**steps)
        return correction * mean / (square.sqrt() + 1e-8), Moments(mean, square, steps)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("sgd_hd", SGD()),
        ("sgd_hd_momentum", Momentum(0.9)),
        ("sgd_hd_nesterov_wd", Nesterov(0.9)),
        ("adam_hd", OldAdam()),
    ],
)
def test_walks_the_authors_path(name, direction):
    theirs = trajectory(name)
    scheme = Hypergradient(lr=theirs.config["lr"], beta=theirs.config["hypergrad_lr"])
    rule = Composed(direction, scheme, Coupled(theirs.config.get("weight_decay", 0.0)))
    check_trajectory(rule, theirs, atol=1e-12, rates=True)


def test_todays_adam_differs_from_the_authors_by_its_epsilon_alone():
    theirs = trajectory("adam_hd")
    scheme = Hypergradient(lr=theirs.config["lr"], beta=theirs.config["hypergrad_lr"])
    check_trajectory(Composed(Adam(), scheme), theirs, atol=2e-7, rates=True)
    with pytest.raises(AssertionError):
        check_trajectory(Composed(Adam(), scheme), theirs, atol=1e-10, rates=True)


def unrolled(direction, decay, lr):
    """−∂f₂(θ₂)/∂α through θ₂ = θ₁ − α d(∇f₁(θ₁)), by autograd; decoupled decay stands outside of u."""
    params, alpha = two_layers(), torch.tensor(lr, dtype=torch.float64, requires_grad=True)
    gradient = decay.couple(noisy_bowl(0).gradient(params)[1], params)
    after = {
        name: decay.shrink(param, alpha.detach())
        - alpha * direction.apply(gradient[name], direction.init(param), param)[0]
        for name, param in params.items()
    }
    penalty = decay.weight_decay / 2 * inner(after, after) if isinstance(decay, Coupled) else 0.0
    (slope,) = torch.autograd.grad(bowl(1)(after) + penalty, alpha)
    return -slope


@pytest.mark.parametrize("direction", members(Direction).values(), ids=members(Direction))
@pytest.mark.parametrize("decay", [Coupled(0.0), Coupled(0.3), Decoupled(0.3)])
def test_the_step_on_the_rate_is_autograd_through_two_steps(direction, decay):
    _, state = steps(Composed(direction(), Hypergradient(lr=0.05, beta=1.0), decay), 2)
    expected = 0.05 + unrolled(direction(), decay, 0.05)
    torch.testing.assert_close(state.lr, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("form", ["additive", "multiplicative"])
@pytest.mark.parametrize("direction", members(Direction).values(), ids=members(Direction))
def test_the_first_step_has_no_hypergradient_and_beta_zero_is_the_base(direction, form):
    scheme = Hypergradient(lr=0.05, beta=0.5, form=form)
    assert same(steps(Composed(direction(), scheme), 1)[0], steps(Composed(direction(), Fixed(lr=0.05)), 1)[0])
    still = Hypergradient(lr=0.05, beta=0.0, form=form)
    assert same(steps(Composed(direction(), still), 5)[0], steps(Composed(direction(), Fixed(lr=0.05)), 5)[0])


def test_the_multiplicative_step_is_the_cosine_and_does_not_see_the_gradients_length():
    oracle, params = noisy_bowl(0), two_layers()
    _, raw = oracle.gradient(params)
    rule = Composed(SGD(), Hypergradient(lr=0.1, beta=0.2, form="multiplicative"))
    for length in (1.0, 1e3):
        grads = {name: length * grad for name, grad in raw.items()}
        _, state = rule.update(grads, params, rule.init(params), PROGRESS)
        _, state = rule.update(grads, params, state, PROGRESS)
        assert state.lr.item() == pytest.approx(0.1 * 1.2, rel=1e-12)


def test_a_zero_gradient_leaves_the_multiplicative_rate_alone():
    params = two_layers()
    nothing = {name: torch.zeros_like(param) for name, param in params.items()}
    rule = Composed(SGD(), Hypergradient(lr=0.1, beta=0.2, form="multiplicative"))
    _, state = rule.update(nothing, params, rule.init(params), PROGRESS)
    assert rule.update(nothing, params, state, PROGRESS)[1].lr.item() == 0.1
