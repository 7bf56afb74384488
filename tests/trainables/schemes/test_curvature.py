"""Curvature rescaling: Algorithm 1 of de Gournay & Gossard 2022, its examples, and what it refuses."""

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from study.plan import parse
from trainables.components import members
from trainables.directions import Direction
from trainables.oracle import Oracle
from trainables.refusal import Refusal
from trainables.rules import Composed, Coupled, Decoupled
from trainables.run.loop import Run
from trainables.schedules import Constant
from trainables.schemes.curvature import Curvature
from trainables.trial import Trial

NOW = torch.tensor(0.0, dtype=torch.float64)


@dataclass(frozen=True)
class Preconditioned(Direction):
    """A gradient divided by the root of its mean square, as in RMSProp."""

    descends = True

    def init(self, param: Tensor) -> tuple[Tensor]:
        return (torch.zeros_like(param),)

    def apply(self, grad, state, param):
        square = 0.9 * state[0] + 0.1 * grad * grad
        return grad / (square.sqrt() + 1e-8), (square,)


def at(*numbers: float) -> dict[str, Tensor]:
    return {"w": torch.tensor(numbers, dtype=torch.float64)}


def newton(**settings) -> Curvature:
    """ℓ = ½ all along, with no memory."""
    return Curvature(**{"level": 0.5, "schedule": Constant(), "beta3": 0.0, **settings})


def walk(objectives, params, scheme, direction=None, decay=None):
    """The parameters, loss, and state at every step down a list of objectives."""
    rule = Composed(
        **{"scheme": scheme, **({"direction": direction} if direction else {}), "decay": decay or Coupled()}
    )
    state, seen = rule.init(params), []
    for objective in objectives:
        loss, params, state = rule.step(Oracle(objective), params, state, NOW)
        seen.append((loss.item(), params["w"], state))
    return seen


# --- the paper's examples --------------------------------------------------------------------------------


def test_the_root_of_one_plus_a_square_diverges_by_cubes():
    path = walk(3 * [lambda p: (1 + p["w"] ** 2).sqrt().sum()], at(1.1), newton())
    expected = 1.1
    for _, theta, _ in path:
        expected = -(expected**3)
        assert theta.item() == pytest.approx(expected, rel=1e-9)


def test_newtons_level_lands_on_the_mean_of_the_batch():
    points = torch.tensor([[1.0, 2.0], [3.0, -5.0], [0.5, 0.0]], dtype=torch.float64)
    ((_, theta, _),) = walk([lambda p: (p["w"] - points).square().sum(1).mean() / 2], at(7.0, 7.0), newton())
    torch.testing.assert_close(theta, points.mean(0), rtol=0, atol=1e-14)


def test_one_step_solves_a_quadratic_along_its_only_eigenvector():
    matrix = torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64)  # eigenvector (1, 1), value 3
    ((_, theta, state),) = walk([lambda p: p["w"] @ matrix @ p["w"] / 2], at(4.0, 4.0), newton())
    torch.testing.assert_close(theta, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-14)
    assert state.scheme.curvature.item() == pytest.approx(3.0)


def bowl(params):
    return (torch.tensor([5.0, 1.0, 0.1], dtype=torch.float64) * params["w"] ** 2).sum() / 2


def test_level_one_leaves_the_loss_of_a_quadratic_unchanged():
    losses = [loss for loss, *_ in walk(20 * [bowl], at(1.0, -2.0, 3.0), newton(level=1.0))]
    assert losses == pytest.approx(20 * [losses[0]], rel=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.99), st.floats(0.0, 0.99), st.lists(st.floats(-9, 9), min_size=3, max_size=3))
def test_levels_below_one_never_raise_a_quadratic(level, beta3, start):
    path = walk(9 * [bowl], at(*start), newton(level=level, beta3=beta3), Preconditioned())
    losses = [loss for loss, *_ in path]
    assert all(later <= earlier * (1 + 1e-9) + 1e-30 for earlier, later in pairwise(losses))


# --- Algorithm 1, line by line ---------------------------------------------------------------------------


def parabola(curvature):
    return lambda params: curvature * params["w"].square().sum() / 2 + params["w"].sum()


@pytest.mark.parametrize("recipe", ["adjoints", "sweep", "graph"])
def test_the_average_is_that_of_algorithm_1(recipe):
    curvatures = [3.0, 1.0, 4.0, 1.5, 9.0]
    scheme = newton(beta3=0.7, recipe=recipe)
    average = 0.0
    for k, (_, _, state) in enumerate(walk(map(parabola, curvatures), at(0.3), scheme), 1):
        c = curvatures[k - 1]
        average = 0.7 * average + 0.3 * c
        smoothness = max(average / (1 - 0.7**k), c)
        assert state.scheme.smoothness.item() == pytest.approx(smoothness, rel=1e-12)
        assert state.scheme.rescaling.item() == pytest.approx(2 / smoothness, rel=1e-12)
        assert state.lr.item() == pytest.approx(1 / smoothness, rel=1e-12)


def test_a_change_of_sign_does_not_cancel_in_the_average():
    """Averages of both signs would come to L̃ = .048 here: a step twenty times too long."""
    path = walk(map(parabola, [1.0] * 5 + [-1.0]), at(0.3), newton(beta3=0.9))
    assert path[-1][2].scheme.smoothness.item() == pytest.approx(1.0)


def test_a_saddle_is_left_downwards():
    def saddle(params):
        return params["w"][0] ** 2 - params["w"][1] ** 2

    losses = [loss for loss, *_ in walk(5 * [saddle], at(0.0, 0.1), newton())]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 10 * losses[0]


def test_a_loss_without_curvature_gives_a_finite_step():
    ((_, theta, state),) = walk([lambda p: 3 * p["w"].sum()], at(0.0), newton(floor=1e-3))
    assert theta.item() == pytest.approx(-1e3)
    assert state.scheme.curvature.item() == 0.0


def test_at_a_stationary_point_nothing_moves():
    ((_, theta, state),) = walk([bowl], at(0.0, 0.0, 0.0), newton())
    assert (theta.tolist(), state.lr.item()) == ([0.0, 0.0, 0.0], 0.0)


def test_the_clamp_narrows_by_a_power_of_the_step():
    scheme = newton(clamp_low=0.5, clamp_high=3.0, clamp_power=1.0)
    path = walk(map(parabola, [0.1, 0.1, 100.0, 100.0]), at(0.3), scheme)
    assert [state.scheme.rescaling.item() for *_, state in path] == pytest.approx([3.0, 1.5, 0.5 / 3, 0.5 / 4])


def test_the_schedule_multiplies_the_level():
    rule, params = Composed(scheme=Curvature(beta3=0.0)), at(1.0, 1.0, 1.0)
    ends = []
    for progress in (0.0, 1.0):
        moment = torch.tensor(progress, dtype=torch.float64)
        state = rule.step(Oracle(bowl), params, rule.init(params), moment).state
        ends.append((state.lr / state.scheme.rescaling).item())
    assert ends == pytest.approx([1.0, 0.5])


def test_a_decayed_penalty_adds_its_weight():
    (_, _, plain), (_, _, decayed) = (
        walk([bowl], at(1.0, 1.0, 1.0), newton(), decay=Coupled(decay))[0] for decay in (0.0, 0.25)
    )
    direction = torch.tensor([5.25, 1.25, 0.35], dtype=torch.float64)
    bent = (torch.tensor([5.25, 1.25, 0.35], dtype=torch.float64) * direction**2).sum() / (direction**2).sum()
    assert decayed.scheme.curvature.item() == pytest.approx(bent.item(), rel=1e-12)
    assert plain.scheme.curvature.item() != pytest.approx(bent.item(), rel=1e-3)


def test_one_batch_serves_gradient_and_curvature():
    """With a direction of its own, the curvature is that of the batch at the parameters before the step."""
    params, rule = at(1.0, -2.0, 3.0), Composed(Preconditioned(), newton())
    state = rule.step(Oracle(bowl), params, rule.init(params), NOW).state
    _, gradient = Oracle(bowl).gradient(params)
    direction, _ = Preconditioned().apply(gradient["w"], Preconditioned().init(params["w"]), params["w"])
    bent = (torch.tensor([5.0, 1.0, 0.1], dtype=torch.float64) * direction**2).sum() / (direction**2).sum()
    assert state.scheme.curvature.item() == pytest.approx(bent.item(), rel=1e-12)


# --- options, refusals, runs -----------------------------------------------------------------------------


def test_every_m_th_step_measures_and_the_others_hold():
    path = walk(map(parabola, [1.0, 50.0, 3.0, 50.0]), at(0.3), newton(every=2, beta3=0.5))
    assert [state.scheme.curvature.item() for *_, state in path] == pytest.approx([1.0, 1.0, 3.0, 3.0])
    assert [state.scheme.smoothness.item() for *_, state in path] == pytest.approx([1.0, 1.0, 3.0, 3.0])


def test_steps_that_do_not_measure_cost_a_gradient():
    flat = {"task": "quadratic", "scheme": "curvature", "batch_size": "full", "epochs": 10}
    often, seldom = (list(Run(Trial.parse({**flat, "scheme.every": m})))[-1].passes for m in (1, 5))
    assert seldom - 10 == pytest.approx((often - 10) / 5)


def test_a_share_of_the_batch_is_measured_alone():
    flat = {"task": "quadratic", "scheme": "curvature", "batch_size": 64, "epochs": 1}
    whole, part = (list(Run(Trial.parse({**flat, "scheme.share": s})))[-1] for s in (1.0, 0.25))
    assert part.passes < whole.passes
    assert part.extras["curvature"] == pytest.approx(whole.extras["curvature"], rel=0.5)


def test_a_share_needs_a_batch_that_can_be_divided():
    with pytest.raises(Refusal, match=r"share: 0\.5 needs a batch"):
        walk([bowl], at(1.0, 1.0, 1.0), newton(share=0.5))


def test_directions_that_may_ascend_are_refused_when_read():
    for name, direction in members(Direction).items():
        flat = {"task": "quadratic", "scheme": "curvature", "direction": name}
        if direction.descends:
            Trial.parse(flat)
        else:
            with pytest.raises(Refusal, match=f"needs a direction that descends: one of .*sgd.*got '{name}'"):
                Trial.parse(flat)


def test_decoupled_decay_is_refused_when_read_and_when_built():
    with pytest.raises(Refusal, match="needs the penalty in the loss: decay 'coupled', got 'decoupled'"):
        Trial.parse({"task": "quadratic", "scheme": "curvature", "decay": "decoupled"})
    with pytest.raises(Refusal, match="got 'decoupled'"):
        Composed(scheme=Curvature(), decay=Decoupled()).init(at(1.0))


def test_a_study_with_such_a_pair_is_refused_in_one_line():
    text = "{question: q, arms: {a: {task: quadratic, scheme: curvature, direction: momentum}}}"
    with pytest.raises(Refusal, match="arm 'a': scheme 'curvature' needs a direction that descends: one of"):
        parse.parse(text, "x")


def test_an_update_with_oracle_calls_is_not_compiled():
    with pytest.raises(Refusal, match="compile: true needs a scheme that asks for nothing but the gradient"):
        Run(Trial.parse({"task": "quadratic", "scheme": "curvature", "compile": True}))


@pytest.mark.parametrize("recipe", ["adjoints", "sweep"])
def test_mixed_precision_trains_by_the_fallback(recipe):
    flat = {"task": "digits_mlp", "scheme": "curvature", "scheme.recipe": recipe, "epochs": 1}
    curvatures = {}
    for precision in ("float32", "bfloat16"):
        run = Run(Trial.parse({**flat, "precision": precision}))
        run.step()
        curvatures[precision] = run.rule_state.scheme.curvature.item()
    assert curvatures["bfloat16"] == pytest.approx(curvatures["float32"], rel=0.1)
    assert run.passes > 3.0 - 1e-9


def test_the_default_read_is_the_default_built():
    assert Trial.parse({"task": "quadratic", "scheme": "curvature"}).rule.scheme == Curvature()


def test_a_record_tells_curvature_smoothness_and_rescaling():
    *_, record = Run(Trial.parse({"task": "quadratic", "scheme": "curvature", "scheme.level": 0.5, "epochs": 2}))
    assert record.extras.keys() >= {"curvature", "smoothness", "rescaling"}
    assert record.valid_loss < Trial.parse({"task": "quadratic"}).task.chance
