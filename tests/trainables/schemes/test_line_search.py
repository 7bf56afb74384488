"""Line search: exact on quadratics, Armijo everywhere, and never more calls than it says."""

import math

import pytest
import torch
from torch import nn

from trainables.directions.adagrad import Adagrad
from trainables.optimizer import SchemeOptimizer
from trainables.oracle import Oracle, inner
from trainables.rules import Composed, Coupled
from trainables.schemes import Gradients, Known
from trainables.schemes.line_search import LineSearch
from trainables.seeds import generator

NOW = torch.tensor(0.0, dtype=torch.float64)


def quadratic(dim=6):
    """An oracle, its Hessian and a starting point."""
    root = torch.randn(dim, dim, generator=generator("hessian"), dtype=torch.float64)
    hessian = root @ root.T + torch.eye(dim, dtype=torch.float64)
    start = {"w": torch.randn(dim, generator=generator("start"), dtype=torch.float64)}
    return Oracle(lambda params: params["w"] @ hessian @ params["w"] / 2), hessian, start


@pytest.mark.parametrize("weight_decay", [0.0, 0.7])
@pytest.mark.parametrize("descent", ["the gradient", "another direction"])
def test_too_long_a_rate_becomes_the_exact_minimiser_on_a_quadratic(weight_decay, descent):
    oracle, hessian, params = quadratic()
    penalised = hessian + weight_decay * torch.eye(6, dtype=torch.float64)
    raw = oracle.gradient(params)[1]
    decay = Coupled(weight_decay)
    grads = Gradients(raw, decay.couple(raw, params), decay.penalised(params))
    weights = torch.ones(6) if descent == "the gradient" else torch.arange(1.0, 7.0)
    direction = {"w": weights * grads.decayed["w"]}
    scheme = LineSearch(lr=0.5, shrink=1e-3)
    rate, _ = scheme.rate(Known(oracle, grads, direction, scheme.init(params), params, NOW))
    exact = inner(grads.decayed, direction) / (direction["w"] @ penalised @ direction["w"])
    assert exact < 0.25
    assert rate.base.item() == pytest.approx(exact.item(), rel=1e-9)
    assert oracle.passes == 1 + 3 * 0.5


def test_exact_steepest_descent_obeys_kantorovichs_bound():
    """J falls by ((κ−1)/(κ+1))² or more at every step of steepest descent with exact line search."""
    oracle, hessian, params = quadratic()
    values = torch.linalg.eigvalsh(hessian)
    bound = ((values[-1] - values[0]) / (values[-1] + values[0])) ** 2
    rule = Composed(scheme=LineSearch(lr=10.0, shrink=1e-6, growth=math.inf))
    state = rule.init(params)
    for _ in range(10):
        before = oracle.loss(params)
        _, params, state = rule.step(oracle, params, state, NOW)
        assert oracle.loss(params) <= bound * before * (1 + 1e-9)


@pytest.mark.parametrize("decrease", [1e-4, 0.5])
def test_backtracking_takes_the_first_rate_of_the_sequence_that_is_good_enough(decrease):
    oracle, _, params = quadratic()
    grad = oracle.gradient(params)[1]
    scheme = LineSearch(lr=3.0, shrink=0.8, decrease=decrease, interpolate=False, trials=100)
    rate, _ = scheme.rate(Known(oracle, Gradients(grad, grad), grad, scheme.init(params), params, NOW))
    sequence = [3.0 * 0.8**power for power in range(100)]
    good = [
        oracle.loss({"w": params["w"] - rate * grad["w"]}) <= oracle.loss(params) - decrease * rate * inner(grad, grad)
        for rate in sequence
    ]
    assert rate.base.item() == pytest.approx(sequence[good.index(True)], rel=1e-12)


def test_a_search_starts_at_growth_times_the_last_rate_and_never_above_lr():
    oracle, _, params = quadratic()
    grad = oracle.gradient(params)[1]
    scheme = LineSearch(lr=1e-6, growth=3.0)
    for last, start in ((math.inf, 1e-6), (1e-7, 3e-7), (1e-6, 1e-6)):
        state = scheme.init(params)._replace(rate=torch.tensor(last, dtype=torch.float64))
        rate, after = scheme.rate(Known(oracle, Gradients(grad, grad), grad, state, params, NOW))
        assert rate.base.item() == after.rate.item() == pytest.approx(start, rel=1e-12)


def test_every_step_of_a_small_network_decreases_enough():
    draws = generator("network")
    inputs, targets = (torch.randn(20, size, generator=draws, dtype=torch.float64) for size in (3, 2))
    params = {name: torch.randn(4, size, generator=draws, dtype=torch.float64) for name, size in (("a", 3), ("b", 2))}
    oracle = Oracle(lambda at: (torch.tanh(inputs @ at["a"].T) @ at["b"] - targets).square().mean())
    rule = Composed(Adagrad(), LineSearch(lr=50.0))
    state = rule.init(params)
    for _ in range(20):
        _, grad = oracle.gradient(params)
        loss, moved, state = rule.step(oracle, params, state, NOW)
        change = {name: param - moved[name] for name, param in params.items()}
        assert oracle.loss(moved) <= loss - 1e-4 * inner(grad, change) * (1 - 1e-9)
        params = moved


def test_the_number_of_calls_is_bounded_even_uphill():
    oracle, _, params = quadratic()
    grad = oracle.gradient(params)[1]
    uphill = {"w": -grad["w"]}
    scheme = LineSearch(lr=1.0, shrink=0.1, trials=4)
    rate, _ = scheme.rate(Known(oracle, Gradients(grad, grad), uphill, scheme.init(params), params, NOW))
    assert rate.base.item() == pytest.approx(1e-4, rel=1e-12)
    assert oracle.passes == 1 + (1 + 4) * 0.5


def test_a_loss_that_is_not_finite_is_backed_away_from():
    oracle, params = Oracle(lambda at: -torch.log(at["w"]).sum()), {"w": torch.ones(1, dtype=torch.float64)}
    ascent = {"w": torch.ones(1, dtype=torch.float64)}  # towards 0, where the loss is ∞ and beyond which it is NaN
    grad = {"w": torch.full((1,), 1.0, dtype=torch.float64)}
    scheme = LineSearch(lr=5.0, shrink=0.5, interpolate=True, trials=3)
    rate, _ = scheme.rate(Known(oracle, Gradients(grad, grad), ascent, scheme.init(params), params, NOW))
    assert 0 < rate.base < 1


@pytest.mark.parametrize("start", [0.0, 1e-9, 1.0])
def test_the_penalty_is_known_wherever_the_parameters_are(start):
    """J + 3θ²/2 with J = (θ − 1)²·2: the exact minimiser is at one over the whole curvature, 1/7."""
    rule = Composed(scheme=LineSearch(lr=1.0, shrink=1e-6), decay=Coupled(3.0))
    params = {"w": torch.tensor([start], dtype=torch.float64)}
    oracle = Oracle(lambda at: 2 * (at["w"] - 1).square().sum())
    _, moved, state = rule.step(oracle, params, rule.init(params), NOW)
    assert state.lr.item() == pytest.approx(1 / 7)
    assert moved["w"].item() == pytest.approx(4 / 7)


@pytest.mark.parametrize("clip", [None, 3.0, 0.1])
def test_a_clipped_gradient_is_followed_as_far_as_the_loss_falls(clip):
    bends = torch.tensor([1.0, 4.0], dtype=torch.float64)
    oracle = Oracle(lambda at: (bends * at["w"] ** 2).sum() / 2, clip)
    params = {"w": torch.ones(2, dtype=torch.float64)}
    rule = Composed(scheme=LineSearch(lr=1e3, shrink=1e-6))
    _, moved, _ = rule.step(oracle, params, rule.init(params), NOW)
    exact = (bends @ bends) / (bends @ (bends * bends))  # the gradient at ones is the bends
    assert moved["w"].tolist() == pytest.approx((params["w"] - exact * bends).tolist())


def test_a_parameter_without_a_dimension_is_pulled_too():
    temperature = nn.Parameter(torch.tensor(2.0))
    SchemeOptimizer([temperature], LineSearch(lr=1.0), weight_decay=0.5).step(lambda: temperature.square() / 2)
    assert temperature.item() == -1.0  # 2 − 1 · (2 + .5 · 2), where θ²/2 + .5 θ²/2 has fallen from 3 to 3/4
