"""Schedules: torch's schedulers, closed forms, special cases and warm-up."""

import math

import pytest
import torch

from trainables.components import floats, members, with_floats
from trainables.oracle import Oracle
from trainables.rules import Composed, Coupled
from trainables.schedules import Constant, Cosine, Schedule, Step
from trainables.schedules.decays import Diminishing, Exponential, Hyperbolic, Linear, Polynomial
from trainables.schedules.inverse_sqrt import InverseSqrt
from trainables.schedules.one_cycle import OneCycle
from trainables.schedules.restarts import Restarts
from trainables.schedules.wsd import WSD
from trainables.schemes.fixed import Fixed
from trainables.testing import check_fields

lr_scheduler = torch.optim.lr_scheduler


def at(schedule, progress):
    return schedule(torch.tensor(progress, dtype=torch.float64)).item()


def rates(schedule, lr, count):
    return [lr * at(schedule, step / count) for step in range(count)]


def of_torch(scheduler, lr, count, **settings):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    theirs, seen = scheduler(optimizer, **settings), []
    for _ in range(count):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    return seen


@pytest.mark.parametrize(
    ("schedule", "scheduler", "settings"),
    [
        (Constant(), lr_scheduler.ConstantLR, {"factor": 1.0}),
        (Cosine(), lr_scheduler.CosineAnnealingLR, {"T_max": 60}),
        (Cosine(floor=0.1), lr_scheduler.CosineAnnealingLR, {"T_max": 60, "eta_min": 0.05}),
        (Step(factor=0.3, drops=2), lr_scheduler.StepLR, {"gamma": 0.3, "step_size": 20}),
        (Exponential(end=0.9**60), lr_scheduler.ExponentialLR, {"gamma": 0.9}),
        (Exponential(end=1.1**60), lr_scheduler.ExponentialLR, {"gamma": 1.1}),
        (Hyperbolic(end=1 / 7), lr_scheduler.LambdaLR, {"lr_lambda": lambda step: 1 / (1 + 0.1 * step)}),
        (Diminishing(power=0.6, horizon=60.0), lr_scheduler.LambdaLR, {"lr_lambda": lambda k: (k + 1) ** -0.6}),
        (Linear(floor=0.2), lr_scheduler.LinearLR, {"start_factor": 1.0, "end_factor": 0.2, "total_iters": 60}),
        (Polynomial(power=3.0), lr_scheduler.PolynomialLR, {"power": 3.0, "total_iters": 60}),
        (Restarts(cycles=3, growth=1), lr_scheduler.CosineAnnealingWarmRestarts, {"T_0": 20}),
        (
            Restarts(cycles=4, growth=2, floor=0.1),
            lr_scheduler.CosineAnnealingWarmRestarts,
            {"T_0": 4, "T_mult": 2, "eta_min": 0.05},
        ),
        (
            # torch puts the peak on a step: step pct_start · total_steps − 1 of total_steps − 1 = 60
            OneCycle(peak=0.3),
            lr_scheduler.OneCycleLR,
            {"max_lr": 0.5, "total_steps": 61, "pct_start": 19 / 61, "cycle_momentum": False},
        ),
        (Constant(warmup=0.25), lr_scheduler.LambdaLR, {"lr_lambda": lambda step: min(1.0, step / 15)}),
    ],
)
def test_schedules_equal_torch(schedule, scheduler, settings):
    assert rates(schedule, 0.5, 60) == pytest.approx(of_torch(scheduler, 0.5, 60, **settings), abs=1e-12)


@pytest.fixture(params=members(Schedule).values(), ids=members(Schedule))
def schedule(request):
    return request.param()


def test_every_schedule_is_written_and_read(schedule):
    check_fields(schedule)


def test_every_schedule_is_a_finite_factor_of_progress(schedule):
    factors = [schedule(torch.tensor(p, dtype=torch.float64)) for p in (0.0, 0.3, 1.0)]
    assert all(factor.shape == () and 0 <= factor < float("inf") for factor in factors)
    assert all(factor.dtype == torch.float64 for factor in factors)


def test_every_schedule_warms_up_linearly_and_then_runs_its_whole_course(schedule):
    warm = with_floats(schedule, {"warmup": 0.2})
    for share in (0.0, 0.25, 0.5):
        assert at(warm, 0.2 * share) == pytest.approx(share * at(schedule, 0.0), abs=1e-12)
    for share in (0.01, 0.4, 1.0):
        assert at(warm, 0.2 + 0.8 * share) == pytest.approx(at(schedule, share), abs=1e-12)


def test_every_schedule_vmaps_over_its_numbers(schedule):
    numbers = floats(with_floats(schedule, {"warmup": 0.1}))
    progress = torch.tensor(0.45, dtype=torch.float64)
    both = {key: torch.tensor([value, 0.9 * value], dtype=torch.float64) for key, value in numbers.items()}
    batched = torch.vmap(lambda values: with_floats(schedule, values)(progress))(both)
    for row, batch in enumerate(batched):
        alone = with_floats(schedule, {key: values[row].item() for key, values in both.items()})
        assert batch.item() == pytest.approx(alone(progress).item(), rel=1e-12)


GRID = [step / 64 for step in range(65)]


@pytest.mark.parametrize(
    ("special", "general"),
    [
        (Constant(), OneCycle(initial=1.0, final=1.0)),
        (Constant(), Exponential(end=1.0)),
        (Constant(), Diminishing(power=0.0)),
        (Constant(), Step(drops=0)),
        (Constant(), Linear(floor=1.0)),
        (Cosine(floor=0.1), Restarts(cycles=1, floor=0.1)),
        (Constant(), Constant(warmup=0.0)),
    ],
    ids=lambda schedule: str(schedule),
)
def test_special_cases_bit_for_bit(special, general):
    assert [at(special, p) for p in GRID] == [at(general, p) for p in GRID]


@pytest.mark.parametrize(
    ("special", "general"),
    [
        (Linear(floor=0.1), Polynomial(power=1.0, floor=0.1)),
        (Hyperbolic(end=0.1), Diminishing(power=1.0, horizon=9.0)),
        (InverseSqrt(timescale=0.1), Diminishing(power=0.5, horizon=10.0)),
    ],
)
def test_special_cases_to_rounding(special, general):
    assert [at(special, p) for p in GRID] == pytest.approx([at(general, p) for p in GRID], rel=1e-12, abs=1e-12)


def test_inverse_sqrt_after_a_warmup_is_the_transformers():
    """min(k^−½, k · w^−3/2) / w^−½  at step k, with w steps of warm-up in 100."""
    schedule, w = InverseSqrt(warmup=0.2, timescale=0.2 / 0.8), 20
    for k in (1, 10, 20, 21, 64, 100):
        assert at(schedule, k / 100) == pytest.approx(min(k**-0.5, k * w**-1.5) * w**0.5, rel=1e-12)


def test_wsd_cools_down_along_one_minus_the_root():
    schedule = WSD(cooldown=0.25, warmup=0.2)
    assert at(schedule, 0.2) == at(schedule, 0.79) == 1.0
    for share in (0.0, 0.25, 1.0):
        assert at(schedule, 0.8 + 0.2 * share) == pytest.approx(1 - math.sqrt(share), abs=1e-7)


def test_an_exponential_increase_is_weight_decay_on_a_scale_invariant_loss():
    """w/‖w‖ is the same with η and λ as with η(1−ηλ)^(−2t−1) and none (Li & Arora 2020)."""
    lr, decay, count = 0.1, 0.5, 30
    target = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
    oracle = Oracle(lambda params: -(params["w"] @ target) / params["w"].norm())
    shrink = 1 - lr * decay
    increasing = Fixed(lr / shrink, Exponential(end=shrink ** (-2 * count)))

    def trained(rule):
        params = {"w": torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)}
        state = rule.init(params)
        for step in range(count):
            _, params, state = rule.step(oracle, params, state, torch.tensor(step / count, dtype=torch.float64))
        return params["w"]

    decayed, undecayed = trained(Composed(scheme=Fixed(lr), decay=Coupled(decay))), trained(Composed(scheme=increasing))
    torch.testing.assert_close(decayed / decayed.norm(), undecayed / undecayed.norm(), rtol=0, atol=1e-12)
    assert decayed.norm() < undecayed.norm()
