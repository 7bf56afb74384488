"""Multi-level hypergradients: autograd through two steps at every subset of levels, and what each choice claims."""

from itertools import combinations

import pytest
import torch

from trainables.components import members
from trainables.directions import Direction
from trainables.directions.momentum import Momentum
from trainables.directions.sgd import SGD
from trainables.levels import LEVELS, group_sums, layer_of
from trainables.rules import Composed, Coupled, Decoupled
from trainables.schemes.hypergradient import Hypergradient
from trainables.schemes.multilevel import Memory, MultiLevel, combined, slopes
from trainables.seeds import generator
from trainables.testing import noisy_bowl, same, steps, two_layers

PROGRESS = torch.zeros((), dtype=torch.float64)
SUBSETS = ["+".join(some) for size in range(1, 5) for some in combinations(LEVELS, size)]


def network(stream):
    """Tensors shaped like a small convolutional network: filters, rows, biases, a norm's gain."""
    shapes = {"0.weight": (3, 2, 2, 2), "0.bias": (3,), "1.weight": (3,), "1.bias": (3,), "3.weight": (4, 3)}
    draws = generator(stream)
    return {name: torch.randn(shape, generator=draws, dtype=torch.float64) for name, shape in shapes.items()}


def varied(levels):
    """A state whose rates and weights all differ, ready to be differentiated."""
    params, draws = network("params"), generator("rates")
    state = MultiLevel(levels=levels).init(params)
    rates = {
        level: {k: torch.rand(v.shape, generator=draws, dtype=v.dtype).requires_grad_() for k, v in groups.items()}
        for level, groups in state.rates.items()
    }
    weights = {level: torch.rand((), generator=draws, dtype=torch.float64).requires_grad_() for level in rates}
    return params, Memory(rates, weights, network("direction"))


def blended(state, name, shape):
    """α* of every element of one tensor, element by element, as the paper's indices say it."""
    result = torch.zeros(shape, dtype=torch.float64)
    for level, weight in state.weights.items():
        groups = state.rates[level]
        if level == "global":
            result = result + weight * groups[""]
        elif level == "layer":
            result = result + weight * groups[name.rsplit(".", 1)[0]]
        else:
            result = result + weight * groups[name].expand(shape)
    return result


def objective(params):
    """Any smooth loss whose gradient differs everywhere."""
    return sum(((param**2).sum() ** 2 / 7 + torch.sin(3 * param).sum() for param in params.values()), torch.zeros(()))


@pytest.mark.parametrize("levels", SUBSETS)
def test_slopes_equal_autograd_through_two_steps(levels):
    params, state = varied(levels)
    second = {n: p - blended(state, n, p.shape) * state.previous[n] for n, p in params.items()}
    leaves = {f"{level} {k}": v for level, groups in state.rates.items() for k, v in groups.items()} | state.weights
    expected = torch.autograd.grad(objective(second), list(leaves.values()), retain_graph=True)
    gradient = torch.autograd.grad(objective(second), list(second.values()))
    sums = group_sums(dict(zip(second, gradient, strict=True)), state.previous, levels.split("+"))
    ours = slopes(sums, state)
    found = {f"{level} {k}": v for level, groups in ours.rates.items() for k, v in groups.items()} | ours.weights
    for (key, slope), derivative in zip(leaves.items(), expected, strict=True):
        assert found[key].shape == slope.shape
        torch.testing.assert_close(found[key], -derivative, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("levels", SUBSETS)
def test_base_times_scale_is_the_weighted_sum_and_base_its_mean(levels):
    params, state = varied(levels)
    rate = combined(state.rates, state.weights if "+" in levels else {levels: torch.ones(())}, params)
    if "+" not in levels:
        state = state._replace(weights={levels: torch.ones((), dtype=torch.float64)})
    everything = []
    for name, param in params.items():
        expected = blended(state, name, param.shape)
        ours = rate.base * (torch.ones(()) if rate.scale is None else rate.scale[name])
        torch.testing.assert_close(ours.expand(param.shape), expected, rtol=1e-12, atol=1e-12)
        everything.append(expected.flatten())
    torch.testing.assert_close(rate.base, torch.cat(everything).mean(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", ["additive", "multiplicative"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("direction", members(Direction).values(), ids=members(Direction))
def test_one_level_is_hypergradient_descent_bit_for_bit(direction, dtype, form):
    ours, state = steps(Composed(direction(), MultiLevel(0.01, 1e-3, "global", form)), 8, dtype)
    theirs, expected = steps(Composed(direction(), Hypergradient(0.01, 1e-3, form)), 8, dtype)
    assert same(ours, theirs)
    assert same(state.lr, expected.lr)


def after_two_steps(scheme, decay=None):
    return steps(Composed(SGD(), scheme, decay or Coupled()), 2)[1].scheme


def test_all_rates_and_weights_move_at_once_from_the_old_values():
    """β = δ = 1 after the one step that has a hypergradient: α and γ before normalisation moved by their slopes."""
    levels = "global+layer+unit+parameter"
    params = two_layers()
    rule = Composed(SGD(), MultiLevel(0.1, 1.0, levels, delta=1e-3))
    _, params, state = rule.step(noisy_bowl(0), params, rule.init(params), PROGRESS)
    expected = slopes(
        group_sums(noisy_bowl(1).gradient(params)[1], state.scheme.previous, levels.split("+")), state.scheme
    )
    after = rule.step(noisy_bowl(1), params, state, PROGRESS).state.scheme
    for level, groups in after.rates.items():
        for key, rate in groups.items():
            torch.testing.assert_close(rate - 0.1, expected.rates[level][key].expand(rate.shape), rtol=0, atol=1e-12)
    moved = torch.stack([0.25 + 1e-3 * slope for slope in expected.weights.values()]).clamp(min=0)
    torch.testing.assert_close(torch.stack(list(after.weights.values())), moved / moved.sum(), rtol=0, atol=1e-12)


def test_a_level_with_a_beta_of_its_own_uses_it():
    plain, quick = (after_two_steps(MultiLevel(0.1, 1e-3, beta_layer=beta)) for beta in (None, 1e-2))
    for layer, rate in plain.rates["layer"].items():
        assert (quick.rates["layer"][layer] - 0.1).item() == pytest.approx(10 * (rate - 0.1).item(), rel=1e-9)
    assert same(plain.rates["global"], quick.rates["global"])


@pytest.mark.parametrize("finer", ["layer", "unit", "parameter"])
def test_the_penalty_is_one_descent_step_towards_the_coarser_level(finer):
    """By autograd of λ(α − α_coarser)² at the rates that the hypergradient left: (1−2βλ) α + 2βλ α_coarser."""
    free = after_two_steps(MultiLevel(0.1, 1e-3, f"global+{finer}")).rates
    pulled = after_two_steps(MultiLevel(0.1, 1e-3, f"global+{finer}", **{f"penalty_{finer}": 200.0})).rates
    for key, rate in free[finer].items():
        leaf = rate.clone().requires_grad_()
        (slope,) = torch.autograd.grad(200.0 * (leaf - free["global"][""]).square().sum(), leaf)
        torch.testing.assert_close(pulled[finer][key], rate - 1e-3 * slope, rtol=0, atol=1e-14)
    assert same(free["global"], pulled["global"])


def test_a_penalty_too_strong_for_its_step_puts_the_rate_on_the_coarser_one():
    rates = after_two_steps(MultiLevel(0.1, 1e-3, penalty_layer=1e6)).rates
    assert all(rate == rates["global"][""] for rate in rates["layer"].values())


def test_weights_are_clipped_normalised_and_kept_where_none_is_positive():
    scheme = MultiLevel(levels="global+layer", delta=1.0)
    old = {"global": torch.tensor(0.5, dtype=torch.float64), "layer": torch.tensor(0.5, dtype=torch.float64)}

    def after(first, second):
        found = dict(zip(old, torch.tensor([first, second], dtype=torch.float64), strict=True))
        return [weight.item() for weight in scheme._reweighted(old, found).values()]

    assert after(0.0, 1.0) == [0.25, 0.75]
    assert after(-3.0, 0.5) == [0.0, 1.0]
    assert after(-3.0, -0.5) == [0.5, 0.5]


def test_the_multiplicative_form_does_not_see_the_length_of_the_gradient():
    levels = "global+layer+unit+parameter"
    rule = Composed(Momentum(), MultiLevel(0.1, 0.05, levels, "multiplicative", delta=0.0))
    params = two_layers()
    found = []
    for length in (1.0, 2.0**20):
        state = rule.init(params)
        for step in range(3):
            grads = {name: length * grad for name, grad in noisy_bowl(step).gradient(params)[1].items()}
            _, state = rule.update(grads, params, state, PROGRESS)
        found.append(state.scheme.rates)
    assert same(*found)
    assert all((rate >= 0.1 * 0.95**3).all() for groups in found[0].values() for rate in groups.values())


def test_rates_stay_between_floor_and_ceiling():
    _, free = steps(Composed(SGD(), MultiLevel(0.1, 0.05)), 6)
    _, safe = steps(Composed(SGD(), MultiLevel(0.1, 0.05, floor=0.05, ceiling=0.2)), 6)

    def rates(state):
        return torch.stack([rate for groups in state.scheme.rates.values() for rate in groups.values()])

    assert not ((rates(free) >= 0.05) & (rates(free) <= 0.2)).all()
    assert ((rates(safe) >= 0.05) & (rates(safe) <= 0.2)).all()


def test_decoupled_decay_sees_the_mean_rate():
    """With a gradient of zero, all that moves θ is  θ ← (1 − base · λ) θ."""
    params = two_layers()
    nothing = {name: torch.zeros_like(param) for name, param in params.items()}
    rule = Composed(SGD(), MultiLevel(lr=0.1, levels="global+unit"), Decoupled(0.5))
    moved, _ = rule.update(nothing, params, rule.init(params), PROGRESS)
    for name, param in params.items():
        torch.testing.assert_close(moved[name], 0.95 * param, rtol=1e-12, atol=0)


def test_layers_are_modules_and_biases_are_units_of_their_own():
    sums = group_sums(two_layers(), two_layers(), LEVELS)
    assert list(sums["layer"]) == ["0", "2"] == list(dict.fromkeys(map(layer_of, two_layers())))
    shapes = {name: tuple(unit.shape) for name, unit in sums["unit"].items()}
    assert shapes == {"0.weight": (3, 1), "0.bias": (), "2.weight": (2, 1), "2.bias": ()}
    for level in LEVELS[1:]:
        whole = sum(value.sum() for value in sums[level].values())
        torch.testing.assert_close(whole, sums["global"][""], rtol=1e-12, atol=1e-12)


def test_a_rate_of_zero_moves_nothing_at_first():
    moved, _ = steps(Composed(SGD(), MultiLevel(lr=0.0)), 1)
    assert same(moved, two_layers())
