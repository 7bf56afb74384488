"""Scale-invariant tensors: how they are found, how they turn, and where noise and decay balance."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.directions.adam import Adam
from trainables.directions.adamax import Adamax
from trainables.directions.momentum import Momentum
from trainables.directions.sgd import SGD
from trainables.refusal import Refusal
from trainables.rules import Composed, Coupled, Decoupled
from trainables.run import scale_invariance as spheres
from trainables.run.loop import Run
from trainables.schedules import Cosine
from trainables.schemes.control import Control
from trainables.schemes.cprop import CProp
from trainables.schemes.fixed import Fixed
from trainables.schemes.hypergradient import Hypergradient
from trainables.schemes.multilevel import MultiLevel
from trainables.seeds import generator
from trainables.tasks.fashion_mlp_norm import FashionMLPNorm
from trainables.testing import same
from trainables.trial import Trial

SMALL = {"task": "fashion_mlp_norm", "task.hidden": 16, "epochs": 0.05, "record_every": 0.025}
DECAYED = {"decay.weight_decay": 0.01, "scheme.lr": 0.1}


def run_of(**flat):
    try:
        return Run(Trial.parse({**SMALL, "scale_invariance": True, **DECAYED, **flat}))
    except Refusal as refusal:
        pytest.skip(f"data is not here: {refusal}")


def names(**flat):
    run = run_of(**{"epochs": 0.003, "record_every": 0.003, **flat})
    return sorted(name.removeprefix("norm.") for name in run.epoch().extras if name.startswith("norm."))


# --- what is scale-invariant -----------------------------------------------------------------------------


def test_the_task_is_scale_invariant_and_its_controls_are_not():
    assert names() == ["1.weight", "4.weight"]
    assert names(**{"task.trained_last": True}) == ["1.weight", "4.weight"]
    assert names(**{"task.normalised": False}) == []


def objective(seed=0):
    """The loss of the task's network on random images, in double precision."""
    torch.manual_seed(0)
    task = FashionMLPNorm(hidden=8)
    model = task.model().double()
    draws = generator("images", seed)
    images = torch.randint(0, 256, (32, 28, 28), generator=draws, dtype=torch.uint8)
    inputs, targets = task.prepare(images).double(), torch.randint(10, (32,), generator=draws)
    params = {name: param.detach() for name, param in model.named_parameters() if param.requires_grad}

    def loss(values):
        return task.loss(torch.func.functional_call(model, values, (inputs,)), targets)

    return loss, params


def gradients(loss, params):
    leaves = {name: param.clone().requires_grad_() for name, param in params.items()}
    return dict(zip(leaves, torch.autograd.grad(loss(leaves), list(leaves.values())), strict=True))


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 50.0), st.sampled_from(["1.weight", "4.weight"]))
def test_a_tensor_times_c_has_its_gradient_over_c_and_leaves_the_others_theirs(factor, name):
    loss, params = objective()
    before, after = gradients(loss, params), gradients(loss, {**params, name: factor * params[name]})
    for other, gradient in before.items():
        expected = gradient / factor if other == name else gradient
        torch.testing.assert_close(after[other], expected, rtol=1e-5, atol=1e-6 * float(expected.norm()))


def test_gradients_stand_at_right_angles_to_scale_invariant_tensors():
    loss, params = objective()
    for name, gradient in gradients(loss, params).items():
        cosine = (gradient * params[name]).sum() / gradient.norm() / params[name].norm()
        assert abs(cosine.item()) < 1e-6


def test_tensors_that_are_zero_or_without_effect_are_not_called_scale_invariant():
    params = {"zero": torch.zeros(2), "idle": torch.ones(2), "w": torch.tensor([1.0, 2.0]), "b": torch.ones(1)}

    def loss(p):
        return (p["w"] / p["w"].norm()).sum() + p["b"].sum() + p["zero"].sum() + 0 * p["idle"].sum()

    assert spheres.invariant(loss, params) == ["w"]


# --- how it turns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [1e-7, 1e-3, 1.0, 3.0])
def test_the_angle_is_that_of_a_rotation_whatever_the_lengths(turn):
    left = torch.tensor([5.0, 0.0], dtype=torch.float64)
    right = 0.3 * torch.tensor([math.cos(turn), math.sin(turn)], dtype=torch.float64)
    assert spheres.angle(left, right).item() == pytest.approx(turn, rel=1e-6)


def noise_at_right_angles(param, sigma, draws):
    """A Gaussian of E‖g‖² = σ²/‖w‖² without a part along w, as the gradient of a scale-invariant loss."""
    drawn = torch.randn(param.shape, generator=draws, dtype=param.dtype)
    direction = param / param.norm()
    tangent = drawn - (drawn @ direction) * direction
    return sigma / param.norm() / math.sqrt(param.numel() - 1) * tangent


def balance(rule, start, sigma=1.0, size=2000, steps=4000):
    """The mean norm and the RMS angle a step, over the second half of a walk through noise."""
    draws = generator("walk", rule)
    params = {"w": torch.randn(size, generator=draws, dtype=torch.float64)}
    params["w"] *= start / params["w"].norm()
    state, seen, norms = rule.init(params), spheres.still(["w"], torch.device("cpu")), []
    for step in range(2 * steps):
        gradient = {"w": noise_at_right_angles(params["w"], sigma, draws)}
        moved, state = rule.update(gradient, params, state, torch.tensor(0.0, dtype=torch.float64))
        if step >= steps:
            seen = spheres.turned(seen, params, moved)
            norms.append(moved["w"].norm().item())
        params = moved
    told = spheres.extras(seen, params, rule, rule.scheme.lr)
    assert told["norm.w"] == pytest.approx(norms[-1], rel=1e-12)
    return sum(norms) / len(norms), told


ETA, LAMBDA, MU, SIGMA = 0.1, 0.01, 0.8, 3.0


def test_sgd_balances_where_the_closed_form_says():
    norm, told = balance(Composed(SGD(), Fixed(lr=ETA), Coupled(LAMBDA)), start=1.0, sigma=SIGMA)
    assert norm == pytest.approx((ETA * SIGMA**2 / (2 * LAMBDA)) ** 0.25, rel=0.02)
    assert told["effective_lr.w"] == pytest.approx(math.sqrt(2 * ETA * LAMBDA) / SIGMA, rel=0.02)
    assert told["angle.w"] == pytest.approx(math.sqrt(2 * ETA * LAMBDA), rel=0.02)
    assert told["angle_predicted.w"] == math.sqrt(2 * ETA * LAMBDA)


def test_momentum_balances_where_the_closed_form_says():
    eta = ETA / 5  # the closed form wants ηλ far below (1−μ)²
    norm, told = balance(Composed(Momentum(MU), Fixed(lr=eta), Coupled(LAMBDA)), start=3.0, sigma=SIGMA)
    assert norm == pytest.approx((eta * SIGMA**2 / (2 * LAMBDA * (1 - MU))) ** 0.25, rel=0.02)
    assert told["effective_lr.w"] == pytest.approx(math.sqrt(2 * eta * LAMBDA * (1 - MU)) / SIGMA, rel=0.02)
    assert told["angle.w"] == pytest.approx(math.sqrt(2 * eta * LAMBDA / (1 + MU)), rel=0.02)
    assert told["angle_predicted.w"] == pytest.approx(math.sqrt(2 * eta * LAMBDA / (1 + MU)), rel=1e-12)


def test_adamw_balances_where_the_closed_form_says():
    eta, decay, size = 0.001, 0.5, 2000
    expected = math.sqrt(eta * size / (2 * decay))
    rule = Composed(Adam(beta2=0.99), Fixed(lr=eta), Decoupled(decay))  # v must not lag behind a norm that shrinks
    norm, told = balance(rule, start=1.5 * expected, size=size)
    assert norm == pytest.approx(expected, rel=0.02)
    assert told["effective_lr.w"] == pytest.approx(2 * decay / size, rel=0.02 * 2)  # 1/‖w‖², at the last step alone
    assert told["angle.w"] == pytest.approx(math.sqrt(2 * eta * decay * 0.1 / 1.9), rel=0.02)
    assert told["angle_predicted.w"] == pytest.approx(math.sqrt(2 * eta * decay * 0.1 / 1.9), rel=1e-12)


@pytest.mark.parametrize(
    "rule",
    [
        Composed(Adam(), decay=Coupled(0.1)),
        Composed(Adamax(), decay=Decoupled(0.1)),
        Composed(SGD(), decay=Decoupled(0.1)),
        Composed(Momentum(dampening=0.5), decay=Coupled(0.1)),
        Composed(SGD(), decay=Coupled(0.1, schedule=Cosine())),
    ],
)
def test_where_no_closed_form_is_known_none_is_told(rule):
    assert spheres.equilibrium(rule, 0.1) is None


@pytest.mark.parametrize("scheme", [CProp(), Control(scales="0:0.25"), MultiLevel(levels="global+layer")])
def test_where_the_scheme_scales_its_rate_nothing_is_told_of_what_that_would_be(scheme):
    rule = Composed(SGD(), scheme, Coupled(0.01))
    assert spheres.equilibrium(rule, 0.1) is None
    told = spheres.extras(spheres.still(["w"], torch.device("cpu")), {"w": torch.ones(3)}, rule, 0.1)
    assert sorted(told) == ["angle.w", "norm.w"]


def test_of_a_negative_rate_no_equilibrium_is_told():
    assert spheres.equilibrium(Composed(SGD(), Hypergradient(), Coupled(0.01)), -1e-3) is None


# --- in a run --------------------------------------------------------------------------------------------


def test_a_record_tells_norm_rate_and_angle_of_every_scale_invariant_tensor():
    run = run_of()
    record = run.epoch()
    for name in ("1.weight", "4.weight"):
        norm = run.params[name].double().norm().item()
        assert record.extras[f"norm.{name}"] == pytest.approx(norm)
        assert record.extras[f"effective_lr.{name}"] == pytest.approx(0.1 / norm**2)
        assert record.extras[f"angle_predicted.{name}"] == pytest.approx(math.sqrt(2 * 0.1 * 0.01))
        assert 0 < record.extras[f"angle.{name}"] < 1


def test_angles_are_those_of_the_steps_since_the_last_record():
    run, squares = run_of(), []
    run.epoch()
    while run.steps < run.course.num_steps:
        before = run.params["1.weight"]
        run.step()
        squares.append(spheres.angle(before, run.params["1.weight"]).item() ** 2)
    told = run._record().extras["angle.1.weight"]
    assert told == pytest.approx(math.sqrt(sum(squares) / len(squares)))


def test_measuring_changes_nothing():
    measured, plain = run_of(), run_of(scale_invariance=False)
    for run in (measured, plain):
        run.epoch()
    assert same(measured.params, plain.params)
    assert same(measured.buffers, plain.buffers)
    assert not any(name.startswith("norm.") for name in plain.records[0].extras)


def test_an_interrupted_run_tells_the_same():
    whole, first, second = run_of(), run_of(), run_of()
    expected = [record.extras for record in whole]
    for _ in range(3):
        first.step()
    second.load_state_dict(first.state_dict())
    assert [record.extras for record in second] == expected
