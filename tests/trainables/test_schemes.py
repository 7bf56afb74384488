"""Every scheme: the promises of its suite, and closed forms."""

import pytest
import torch

from trainables.components import members
from trainables.directions import Direction
from trainables.refusal import Refusal
from trainables.rules import Composed
from trainables.schemes import Scheme
from trainables.schemes.fixed import Fixed
from trainables.schemes.plateau import Plateau
from trainables.testing import SchemeSuite, same, steps, two_layers


def allowed(scheme, direction):
    try:
        Composed(direction=direction(), scheme=scheme()).check()
    except Refusal:
        return False
    return True


PAIRS = {
    f"{scheme_name}-{direction_name}": (scheme, direction)
    for scheme_name, scheme in members(Scheme).items()
    for direction_name, direction in members(Direction).items()
    if allowed(scheme, direction)
}


class TestSchemes(SchemeSuite):
    """Every scheme on every direction that it does not refuse."""

    @pytest.fixture(params=PAIRS.values(), ids=PAIRS)
    def pair(self, request):
        return request.param

    @pytest.fixture
    def scheme(self, pair):
        return pair[0]()

    @pytest.fixture
    def direction(self, pair):
        return pair[1]()


def test_only_what_needs_descent_refuses_a_direction():
    for scheme in members(Scheme).values():
        for direction in members(Direction).values():
            assert allowed(scheme, direction) == (direction.descends or not scheme.needs_descent)


def test_a_rate_of_zero_changes_nothing():
    params, _ = steps(Composed(scheme=Fixed(lr=0.0)), 3)
    assert same(params, two_layers())


def test_a_plateau_that_drops_to_itself_is_fixed():
    fixed, plateau = (Composed(scheme=scheme) for scheme in (Fixed(lr=0.1), Plateau(lr=0.1, factor=1.0, patience=1)))
    assert same(steps(fixed, 5)[0], steps(plateau, 5)[0])


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
