"""Every direction: the promises of its suite, and torch.optim's own trajectory."""

import pytest
import torch

from trainables.components import members
from trainables.directions import Direction
from trainables.directions.adadelta import Adadelta
from trainables.directions.adagrad import Adagrad
from trainables.directions.adam import Adam, AMSGrad
from trainables.directions.adamax import Adamax
from trainables.directions.momentum import Momentum, Nesterov
from trainables.directions.nadam import NAdam
from trainables.directions.radam import RAdam
from trainables.directions.rmsprop import RMSProp
from trainables.directions.sgd import SGD
from trainables.rules import Composed, Coupled, Decoupled
from trainables.schemes.fixed import Fixed
from trainables.seeds import generator
from trainables.testing import DirectionSuite, noisy_bowl, same, steps, two_layers


class TestDirections(DirectionSuite):
    @pytest.fixture(params=members(Direction).values(), ids=members(Direction))
    def direction(self, request):
        return request.param()


@pytest.fixture
def _double():
    """NAdam of torch keeps its product of momenta in the default dtype: float32 would cost nine digits."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def of_torch(optimizer, count, **settings):
    """The parameters after `count` steps of torch's own optimizer down the same bowl."""
    leaves = {name: param.requires_grad_() for name, param in two_layers().items()}
    theirs = optimizer(leaves.values(), **settings)
    for step in range(count):
        _, gradient = noisy_bowl(step).gradient(leaves)
        for name, leaf in leaves.items():
            leaf.grad = gradient[name]
        theirs.step()
    return {name: leaf.detach() for name, leaf in leaves.items()}


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize(
    ("rule", "optimizer", "settings"),
    [
        (Composed(SGD(), Fixed(lr=0.1)), torch.optim.SGD, {"lr": 0.1}),
        (Composed(SGD(), Fixed(lr=0.1), Coupled(0.05)), torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.05}),
        (Composed(Momentum(0.8), Fixed(lr=0.02)), torch.optim.SGD, {"lr": 0.02, "momentum": 0.8}),
        (
            Composed(Momentum(0.8), Fixed(lr=0.02), Coupled(0.05)),
            torch.optim.SGD,
            {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.05},
        ),
        (
            Composed(Nesterov(0.8), Fixed(lr=0.02), Coupled(0.05)),
            torch.optim.SGD,
            {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.05, "nesterov": True},
        ),
        (Composed(Adam(), Fixed(lr=0.01)), torch.optim.Adam, {"lr": 0.01}),
        (
            Composed(Adam(0.8, 0.99, 1e-6), Fixed(lr=0.01), Coupled(0.05)),
            torch.optim.Adam,
            {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.05},
        ),
        (Composed(Adam(), Fixed(lr=0.01), Decoupled(0.1)), torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
        (
            Composed(Momentum(0.8, 0.3), Fixed(lr=0.02), Coupled(0.05)),
            torch.optim.SGD,
            {"lr": 0.02, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.05},
        ),
        (Composed(RMSProp(), Fixed(lr=0.01)), torch.optim.RMSprop, {"lr": 0.01}),
        (
            Composed(RMSProp(0.9, 1e-6, centered=True), Fixed(lr=0.01), Coupled(0.05)),
            torch.optim.RMSprop,
            {"lr": 0.01, "alpha": 0.9, "eps": 1e-6, "centered": True, "weight_decay": 0.05},
        ),
        (Composed(Adagrad(1e-6), Fixed(lr=0.1)), torch.optim.Adagrad, {"lr": 0.1, "eps": 1e-6}),
        (Composed(Adadelta(0.8, 1e-5), Fixed(lr=1.0)), torch.optim.Adadelta, {"lr": 1.0, "rho": 0.8, "eps": 1e-5}),
        (
            Composed(AMSGrad(0.8, 0.9, 1e-6), Fixed(lr=0.01)),
            torch.optim.Adam,
            {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6, "amsgrad": True},
        ),
        (
            Composed(Adamax(0.8, 0.9, 1e-6), Fixed(lr=0.01)),
            torch.optim.Adamax,
            {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-6},
        ),
        (
            Composed(NAdam(0.8, 0.99, 1e-6, 0.01), Fixed(lr=0.01), Decoupled(0.1)),
            torch.optim.NAdam,
            {
                "lr": 0.01,
                "betas": (0.8, 0.99),
                "eps": 1e-6,
                "momentum_decay": 0.01,
                "weight_decay": 0.1,
                "decoupled_weight_decay": True,
            },
        ),
        (Composed(RAdam(), Fixed(lr=0.01)), torch.optim.RAdam, {"lr": 0.01}),
        (
            Composed(RAdam(0.8, 0.5, 1e-6), Fixed(lr=0.01), Coupled(0.05)),  # ρ∞ = 3: never trusted
            torch.optim.RAdam,
            {"lr": 0.01, "betas": (0.8, 0.5), "eps": 1e-6, "weight_decay": 0.05},
        ),
    ],
)
def test_fifty_steps_equal_torch_optim(rule, optimizer, settings):
    ours, _ = steps(rule, 50)
    theirs = of_torch(optimizer, 50, **settings)
    for name, param in ours.items():
        torch.testing.assert_close(param, theirs[name], rtol=0, atol=1e-12)


def directions_of(direction, grads):
    """The directions along a given sequence of gradients."""
    state, seen = direction.init(grads[0]), []
    for grad in grads:
        moved, state = direction.apply(grad, state, grad)
        seen.append(moved)
    return seen


GRADS = [torch.randn(5, generator=generator("hierarchy", step), dtype=torch.float64) for step in range(20)]
GROWING = [grad.sign() * (step + 2 + grad.abs()) for step, grad in enumerate(GRADS)]


@pytest.mark.parametrize(
    ("special", "general", "grads"),
    [
        (SGD(), Momentum(momentum=0.0), GRADS),
        (SGD(), Nesterov(momentum=0.0), GRADS),
        (Momentum(momentum=0.9), Momentum(momentum=0.9, dampening=0.0), GRADS),
        (Adam(beta1=0.7, beta2=0.5), AMSGrad(beta1=0.7, beta2=0.5), GROWING),
        (SGD(), RAdam(beta1=0.0, beta2=0.5), GRADS),
    ],
    ids=[
        "momentum 0 is SGD",
        "Nesterov 0 is SGD",
        "dampening 0 is momentum",
        "AMSGrad is Adam where v grows",
        "RAdam untrusted is SGD",
    ],
)
def test_special_cases_bit_for_bit(special, general, grads):
    assert same(directions_of(special, grads), directions_of(general, grads))


@pytest.mark.parametrize(
    ("special", "general"),
    [
        (Adam(beta1=0.0), NAdam(beta1=0.0)),
        (Adam(beta1=0.0, beta2=0.0), RMSProp(alpha=0.0)),
        (Adam(beta1=0.0, beta2=0.0), AMSGrad(beta1=0.0, beta2=0.0)),
        (Adam(beta1=0.9, beta2=0.0), Adamax(beta1=0.9, beta2=0.0)),
    ],
    ids=["NAdam without momentum", "RMSProp without memory", "AMSGrad at the start", "Adamax without memory"],
)
def test_special_cases_to_rounding(special, general):
    count = 1 if isinstance(general, AMSGrad) else len(GRADS)
    for ours, theirs in zip(directions_of(special, GRADS)[:count], directions_of(general, GRADS), strict=False):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_a_damped_constant_gradient_tends_to_itself():
    """v_t = 1 at every t for μ = τ: an exponential mean started at the first gradient."""
    ones = [torch.ones(3, dtype=torch.float64)] * 30
    for moved in directions_of(Momentum(momentum=0.9, dampening=0.9), ones):
        torch.testing.assert_close(moved, ones[0], rtol=0, atol=1e-15)


def test_adam_without_momentum_is_rmsprop_without_its_bias():
    """Adam's v̂ is v/(1 − β₂ᵗ), so its direction is √(1 − β₂ᵗ) of RMSProp's."""
    adam = directions_of(Adam(beta1=0.0, beta2=0.99, eps=0.0), GRADS)
    rmsprop = directions_of(RMSProp(alpha=0.99, eps=0.0), GRADS)
    for step, (ours, theirs) in enumerate(zip(adam, rmsprop, strict=True), start=1):
        torch.testing.assert_close(ours, (1 - 0.99**step) ** 0.5 * theirs, rtol=1e-12, atol=0)


def test_adagrad_divides_by_the_root_of_the_sum_of_squares():
    moved = directions_of(Adagrad(eps=0.0), GRADS)[-1]
    torch.testing.assert_close(moved, GRADS[-1] / torch.stack(GRADS).norm(dim=0), rtol=1e-13, atol=0)


def test_centered_rmsprop_descends_where_the_variance_rounds_below_zero():
    grad = torch.full((100,), 0.1, dtype=torch.float32) * torch.arange(1, 101)
    for moved in directions_of(RMSProp(alpha=0.9, centered=True), [grad] * 300):
        assert torch.isfinite(moved).all()
        assert (moved * grad > 0).all()
