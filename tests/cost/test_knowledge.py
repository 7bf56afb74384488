"""The worth of knowing the rate: against brute force, identities, and the coverage of its intervals."""

import numpy as np
import pytest

from study.cost import Cost, Interval, NotDefined, expected_cost
from study.cost.knowledge import Searched, known_cost, known_cost_interval, reach

LOW, SPAN = -5.0, 6.0


def arm(n, rng, p, cost=lambda x, hit, rng: 10.0 - 8.0 * hit * rng.random(hit.size)):
    """n trials, x uniform, a hit with probability p(x)."""
    x = LOW + SPAN * rng.random(n)
    hit = rng.random(n) < p(x)
    return Searched(x, cost(x, hit, rng), hit, LOW, SPAN)


LAWS = {
    "bowl": lambda x: 0.9 * np.exp(-((x + 2) ** 2)),
    "cliff": lambda x: np.where((x > -3.0) & (x < -1.0), 0.7, 0.0),
    "edge": lambda x: np.where(x > 0.0, 0.8, 0.0),
    "flat": lambda x: np.full(x.size, 0.3),
}


def truth(p, width, mean_hit=6.0, miss=10.0, points=1500):
    """E[charged in the window]/E[hit in the window] by quadrature on a fine grid of anchors and rates."""
    x = LOW + SPAN * (np.arange(points) + 0.5) / points
    held = p(x) @ reach(x, LOW, SPAN, width)
    return ((p(x) * mean_hit + (1 - p(x)) * miss) @ held) / (p(x) @ held)


@pytest.mark.parametrize("width", [0.4, 2.0, 5.5])
def test_the_share_of_placements_is_what_placing_says(width):
    rng = np.random.default_rng(0)
    x = np.array([-5.0, -4.9, -3.0, -1.2, 0.3, 1.0])
    u = rng.random(100_000)
    centres = np.clip(x[:, None] + (u - 0.5) * width, LOW + width / 2, LOW + SPAN - width / 2)
    brute = (np.abs(centres[:, None, :] - x[None, :, None]) <= width / 2 + 1e-12).mean(axis=2)
    np.testing.assert_allclose(reach(x, LOW, SPAN, width), brute, atol=0.006)


def test_the_cost_is_the_formula_summed_term_by_term():
    trials, width = arm(24, np.random.default_rng(3), LAWS["bowl"]), 1.5
    kernel, n = reach(trials.x, LOW, SPAN, width), 24
    near = []
    for j in range(n):
        others = [i for i in range(n) if i != j and trials.hit[i]]
        near.append(sum(kernel[i, j] for i in others) / len(others))
    found = sum(near[j] for j in range(n) if trials.hit[j])
    missed = sum(near[j] * trials.charged[j] for j in range(n) if not trials.hit[j])
    paid = sum(near[j] * trials.charged[j] for j in range(n) if trials.hit[j])
    assert known_cost(trials, width) == Cost(pytest.approx(missed / (found + 1) + paid / found), censored=False)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("width", [1.0, 3.0])
def test_many_trials_give_the_truth(law, width):
    found = known_cost(arm(4000, np.random.default_rng(1), LAWS[law]), width)
    assert found.value == pytest.approx(truth(LAWS[law], width), rel=0.08)


@pytest.mark.parametrize("hits", [0, 1, 2, 9])
def test_knowing_nothing_is_the_expected_cost_to_the_last_digit(hits):
    rng = np.random.default_rng(2)
    trials = Searched(LOW + SPAN * rng.random(30), rng.random(30), np.arange(30) < hits, LOW, SPAN)
    assert known_cost(trials, SPAN) == expected_cost(trials.charged, trials.hit)
    if hits > 1:  # and just below it there is no jump
        assert known_cost(trials, SPAN * (1 - 1e-12)).value == pytest.approx(known_cost(trials, SPAN).value)


def test_permuting_shifting_and_scaling_change_nothing_else():
    rng = np.random.default_rng(4)
    once = arm(40, rng, LAWS["bowl"])
    order = rng.permutation(40)
    permuted = Searched(once.x[order], once.charged[order], once.hit[order], LOW, SPAN)
    shifted = Searched(once.x + 8, once.charged, once.hit, LOW + 8, SPAN)
    scaled = Searched(once.x, 3 * once.charged, once.hit, LOW, SPAN)
    value, ends = known_cost(once, 2.0).value, known_cost_interval(once, 2.0, np.random.default_rng(0), 400)
    for other, factor in ((permuted, 1), (shifted, 1), (scaled, 3)):
        assert known_cost(other, 2.0).value == pytest.approx(factor * value)
        theirs = known_cost_interval(other, 2.0, np.random.default_rng(0), 400)
        assert theirs == pytest.approx([factor * end for end in ends])


def test_without_another_hit_in_reach_the_cost_is_a_lower_bound():
    lone = Searched(np.array([-4.0, -3.9, 0.5]), np.array([2.0, 10.0, 3.0]), np.array([1, 0, 1], bool), LOW, SPAN)
    found = known_cost(lone, 0.5)
    # the miss at −3.9 is within .1 of one anchor of two: 1/2 · (1 − .1/.5) · 10
    assert found == Cost(pytest.approx(4.0), censored=True)
    never = Searched(lone.x, lone.charged, np.zeros(3, bool), LOW, SPAN)
    assert isinstance(known_cost(never, 0.5), NotDefined)


def test_an_interval_needs_trials_in_the_window_and_two_hits():
    rng = np.random.default_rng(5)
    trials = arm(64, rng, LAWS["flat"])
    assert isinstance(known_cost_interval(trials, 0.74, rng, 200), NotDefined)  # 64 · .74/6 = 7.9
    assert isinstance(known_cost_interval(trials, 0.75, rng, 200), Interval)
    one = Searched(trials.x, trials.charged, np.arange(64) < 1, LOW, SPAN)
    assert str(known_cost_interval(one, 6.0, rng, 200)).endswith("needs 2 hits and there is 1")


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("n", "width"), [(32, 2.0), (64, 1.0)])
def test_the_interval_holds_the_truth(n, width, law):
    rng, known, held, printed = np.random.default_rng(6), truth(LAWS[law], width), 0, 0
    for _ in range(200):
        ends = known_cost_interval(arm(n, rng, LAWS[law]), width, rng, 300, dearest=10.0)
        if isinstance(ends, Interval):
            printed, held = printed + 1, held + (ends.low <= known <= ends.high)
    assert printed > 100
    assert held / printed >= 0.93


def test_rates_outside_of_what_was_searched_are_refused():
    with pytest.raises(ValueError, match="rates must lie between"):
        Searched(np.array([2.0]), np.array([1.0]), np.array([True]), LOW, SPAN)
