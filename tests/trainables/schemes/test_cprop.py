"""CProp: the authors' trajectories, closed forms, and its fast form against the paper's."""

import math

import pytest
import torch

from tests.trajectories import check_trajectory, trajectory
from trainables.components import members
from trainables.directions import Direction
from trainables.directions.adam import Adam
from trainables.directions.momentum import Momentum
from trainables.directions.sgd import SGD
from trainables.rules import Composed, Coupled
from trainables.schemes import Gradients, Known
from trainables.schemes.cprop import BLOCK, CProp, Numbers, certainty, in_blocks, reference
from trainables.schemes.fixed import Fixed
from trainables.seeds import generator
from trainables.testing import noisy_bowl, same, steps, two_layers

PROGRESS = torch.zeros((), dtype=torch.float64)
CDFS = ["normal", "cubic", "linear", "variance"]


@pytest.mark.parametrize(
    ("name", "direction", "order", "atol"),
    [
        ("cprop_sgd_normal", SGD(), "sgd", 1e-12),
        ("cprop_sgd_bft_momentum_wd", Momentum(0.9), "sgd", 1e-10),
        ("cprop_adam_normal", Adam(), "adam", 1e-12),
        ("cprop_adam_bft", Adam(), "adam", 1e-10),
    ],
)
def test_walks_the_authors_path(name, direction, order, atol):
    theirs = trajectory(name)
    config = theirs.config
    scheme = CProp(
        lr=config["lr"],
        beta=config["cprop_beta"],
        c=config["cprop_c"],
        cdf="normal" if config["cprop_cdf"] == "normal" else "cubic",
        order=order,
    )
    check_trajectory(Composed(direction, scheme, Coupled(config.get("weight_decay", 0.0))), theirs, atol)


@pytest.mark.parametrize("direction", members(Direction).values(), ids=members(Direction))
def test_infinite_c_is_the_base_bit_for_bit(direction):
    ours, _ = steps(Composed(direction(), CProp(lr=0.05, c=math.inf), Coupled(0.01)), 10)
    base, _ = steps(Composed(direction(), Fixed(lr=0.05), Coupled(0.01)), 10)
    assert same(ours, base)


def test_infinite_c_is_the_base_where_it_is_a_tensor_too():
    """As under `torch.vmap` and `torch.compile`, and where the gradient is 0 so that c · 0 would be NaN."""
    scheme, params = CProp(c=torch.tensor(math.inf)), two_layers()
    grads = Gradients({name: torch.zeros_like(param) for name, param in params.items()}, {})
    rate, _ = scheme.rate(Known(None, grads, {}, scheme.init(params), params, PROGRESS))
    assert all((scale == 1).all() for scale in rate.scale.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("c", "first"), [(1.0, 1.0), (3.0, 1.0), (0.5, 0.5)])
def test_the_first_scale_is_exact(dtype, c, first):
    grad = torch.randn(1000, generator=generator("first"), dtype=dtype)
    grad[:10] = 0
    scheme, params = CProp(c=c), {"w": torch.zeros_like(grad)}
    rate, _ = scheme.rate(Known(None, Gradients({"w": grad}, {}), {}, scheme.init(params), params, PROGRESS))
    assert (rate.scale["w"][:10] == 0).all()
    assert (rate.scale["w"][10:] == first).all()


def test_pure_noise_shrinks_the_rate_as_computed():
    """Standard normal gradients at c = 1: E s = (2/π) arctan(1/√2) = .392.

    Once the exponential window is full, var m = (1−β)/(1+β) and se² = 1/(n−1) ≈ 1−β, so z = m/se has variance ½,
    and E erf(|z|/√2) = (2/π) arctan(σ_z).
    """
    scheme = CProp(beta=0.98, cdf="normal")
    params = {"w": torch.zeros(4000, dtype=torch.float64)}
    state = scheme.init(params)
    for step in range(300):
        grad = torch.randn(4000, generator=generator("noise", step), dtype=torch.float64)
        _, state = scheme.rate(Known(None, Gradients({"w": grad}, {}), {}, state, params, PROGRESS))
    assert state.scale.item() == pytest.approx(2 / math.pi * math.atan(1 / math.sqrt(2)), abs=0.01)
    assert scheme.extras(state)["scale"] is state.scale


@pytest.mark.parametrize("cdf", CDFS)
def test_blocks_equal_the_paper(cdf):
    size = 2 * BLOCK + 7
    draws = [torch.randn(size, generator=generator("blocks", i), dtype=torch.float64) for i in range(3)]
    grad, mean, square = draws[0], 0.1 * draws[1], draws[2] ** 2
    grad[5] = 0
    numbers = Numbers(keep=0.9, bias=0.7, variance=6.0, eps=1e-8, confidence=1.5)
    for first in (True, False):
        ours = in_blocks(grad, mean, square, first, numbers, cdf)
        paper = reference(grad, mean, square, torch.tensor(first), numbers, cdf)
        for fast, plain in zip(ours, paper, strict=True):
            torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("cdf", CDFS)
def test_certainty_is_twice_the_distance_of_the_cdf_from_one_half(cdf):
    z = torch.linspace(0, 6, 61, dtype=torch.float64)
    cdfs = {
        "normal": (1 + torch.erf(z / math.sqrt(2))) / 2,
        "cubic": 1 / (1 + torch.exp(-0.07056 * z**3 - 1.5976 * z)),
        "linear": 1 / (1 + torch.exp(-1.702 * z)),
        "variance": 1 / (1 + torch.exp(-z * math.pi / math.sqrt(3))),
    }
    torch.testing.assert_close(certainty(z, cdf), 2 * (cdfs[cdf] - 0.5).abs(), rtol=0, atol=1e-14)


def test_the_two_orders_differ_by_the_decay_alone():
    decayed, plain = Coupled(0.1), Coupled(0.0)
    for decay, alike in ((decayed, False), (plain, True)):
        sgd, _ = steps(Composed(SGD(), CProp(lr=0.1, order="sgd"), decay), 5)
        adam, _ = steps(Composed(SGD(), CProp(lr=0.1, order="adam"), decay), 5)
        assert same(sgd, adam) == alike


def test_a_channels_last_gradient_is_scaled_like_any_other():
    grad = torch.randn(2, 3, 4, 5, generator=generator("layout"), dtype=torch.float64)
    scheme, params = CProp(), {"w": torch.zeros_like(grad)}
    for _ in range(2):
        scales = [
            scheme.rate(Known(None, Gradients({"w": g}, {}), {}, scheme.init(params), params, PROGRESS))[0].scale["w"]
            for g in (grad, grad.to(memory_format=torch.channels_last))
        ]
        torch.testing.assert_close(*scales, rtol=0, atol=0)


def test_reads_the_gradient_and_not_the_direction():
    """One step with momentum moves by s(g) ⊙ v, and s does not know v."""
    oracle, params = noisy_bowl(0), two_layers()
    rules = [Composed(direction, CProp(lr=0.1)) for direction in (SGD(), Momentum(0.5))]
    states = [rule.step(oracle, params, rule.init(params), PROGRESS).state.scheme for rule in rules]
    assert same(*states)
