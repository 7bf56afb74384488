"""Every scheme: the promises of its suite, and closed forms."""

import pytest
import torch

from trainables.components import members
from trainables.directions import Direction
from trainables.rules import Composed
from trainables.schedules import Constant, Cosine, Schedule, Step
from trainables.schemes import Scheme
from trainables.schemes.fixed import Fixed
from trainables.schemes.plateau import Plateau
from trainables.testing import SchemeSuite, same, steps, two_layers


class TestSchemes(SchemeSuite):
    @pytest.fixture(params=members(Scheme).values(), ids=members(Scheme))
    def scheme(self, request):
        return request.param()

    @pytest.fixture(params=members(Direction).values(), ids=members(Direction))
    def direction(self, request):
        return request.param()


def test_a_rate_of_zero_changes_nothing():
    params, _ = steps(Composed(scheme=Fixed(lr=0.0)), 3)
    assert same(params, two_layers())


def rates(schedule, lr, count):
    grid = torch.arange(count, dtype=torch.float64) / count
    return [lr * schedule(progress).item() for progress in grid]


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
        (Constant(), torch.optim.lr_scheduler.ConstantLR, {"factor": 1.0}),
        (Cosine(), torch.optim.lr_scheduler.CosineAnnealingLR, {"T_max": 60}),
        (Cosine(floor=0.1), torch.optim.lr_scheduler.CosineAnnealingLR, {"T_max": 60, "eta_min": 0.05}),
        (Step(factor=0.3, drops=2), torch.optim.lr_scheduler.StepLR, {"gamma": 0.3, "step_size": 20}),
    ],
)
def test_schedules_equal_torch(schedule, scheduler, settings):
    assert rates(schedule, 0.5, 60) == pytest.approx(of_torch(scheduler, 0.5, 60, **settings), abs=1e-12)


@pytest.mark.parametrize("schedule", members(Schedule).values(), ids=members(Schedule))
def test_schedules_are_finite_factors_of_progress(schedule):
    factors = [schedule()(torch.tensor(p, dtype=torch.float64)) for p in (0.0, 0.3, 1.0)]
    assert all(factor.shape == () and 0 <= factor < float("inf") for factor in factors)


def test_plateau_equals_torch_on_any_scores():
    """Torch counts one evaluation longer before it drops, and restarts its count at the drop as we do."""
    scores = [0.1, 0.3, 0.3, 0.2, 0.3, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.5, 0.5, 0.5, 0.5, 0.5]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode="max", factor=0.1, patience=1, threshold=0.0, threshold_mode="abs"
    )
    ours = Plateau(lr=1.0, factor=0.1, patience=2)
    state = ours.init({})
    for score in scores:
        theirs.step(score)
        state = ours.after_epoch(state, score)
        assert state.factor.item() == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-15)
