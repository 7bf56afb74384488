"""Break-even of two curves: against brute force, identities, and the coverage of its interval."""

import numpy as np
import pytest
from test_knowledge import LAWS, LOW, SPAN, arm, truth

from study.cost import Cost, Interval, NotDefined, cost_draws, cost_shares, expected_cost
from study.cost.break_even import Curve, break_even, curve, flat, widths
from study.cost.knowledge import Searched, known_cost

FREE = 0.5  # of the trials of a scheme without a rate, so many hit, at 6 on average; the others cost 10


def free(n, rng):
    """n trials of an arm that has no rate to search: its charges and hits."""
    hit = rng.random(n) < FREE
    return 10.0 - 8.0 * hit * rng.random(n), hit


def crossing(law):
    """The width at which C(w) of that law is the cost of the arm without a rate, by quadrature and bisection."""
    wanted, low, high = 6 + (1 - FREE) / FREE * 10, 0.3, SPAN
    for _ in range(18):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if truth(LAWS[law], middle, points=600) > wanted else (middle, high)
    return low


def found_in(n, rng, law, draws=300):
    """The break-even of an arm without a rate against one with, of n simulated trials each."""
    searched = arm(n, rng, LAWS[law]).grouped()  # as a report takes it
    charged, hit = free(n, rng)
    width = widths([searched])
    drawn = cost_draws(charged, charged, hit, cost_shares(hit, rng, draws), dearest=10.0)
    return break_even(flat(expected_cost(charged, hit), drawn, width), curve(searched, width, rng, draws, dearest=10.0))


@pytest.mark.parametrize("law", ["bowl", "cliff"])
def test_many_trials_give_the_true_break_even(law):
    found = found_in(2500, np.random.default_rng(1), law, draws=100)
    known = crossing(law)
    assert found.width == pytest.approx(known, rel=0.2)
    assert found.interval.low <= known <= found.interval.high
    assert found.ratio == pytest.approx(16 / truth(LAWS[law], SPAN, points=600), rel=0.15)


def test_the_interval_holds_the_true_break_even():
    rng, known = np.random.default_rng(2), crossing("bowl")
    told = [one for one in (found_in(64, rng, "bowl") for _ in range(120)) if not isinstance(one, NotDefined)]
    held = [one.interval is not None and one.interval.low <= known <= one.interval.high for one in told]
    assert len(told) > 100
    assert np.mean(held) >= 0.93


def test_curves_that_are_known_cross_where_they_do():
    width = np.array([1.0, 2.0, 4.0])
    rising, level = Curve(width, np.array([0.5, 1.0, 4.0]), None), Curve(width, np.full(3, 2.0), None)
    found = break_even(level, rising)
    assert found.ratio == 0.5
    assert found.width == pytest.approx(2 * 2**0.5)  # halfway in both logarithms
    assert found.interval == Interval(0.0, np.inf)  # nothing tells
    assert break_even(rising, level).width == pytest.approx(found.width)
    assert break_even(Curve(width, rising.cost + 2, None), level).width is None


def test_an_arm_against_itself_breaks_even_where_nothing_is_known():
    searched = arm(64, np.random.default_rng(3), LAWS["bowl"])
    width = widths([searched])
    one = curve(searched, width, np.random.default_rng(4), 200)
    assert break_even(one, one) == (1.0, SPAN, Interval(0.0, np.inf))


def test_the_curve_ends_at_the_expected_cost_and_starts_where_eight_trials_lie():
    searched = arm(64, np.random.default_rng(5), LAWS["bowl"])
    width = widths([searched])
    assert width[0] == pytest.approx(8 * SPAN / 64)
    assert width[-1] == SPAN
    made = curve(searched, width, np.random.default_rng(6), 100)
    assert made.cost[-1] == expected_cost(searched.charged, searched.hit).value
    assert made.cost[7] == known_cost(searched, float(width[7])).value
    assert isinstance(widths([arm(8, np.random.default_rng(7), LAWS["flat"])]), NotDefined)


def test_without_hits_there_is_no_break_even():
    searched = arm(64, np.random.default_rng(8), LAWS["bowl"])
    never = Searched(searched.x, searched.charged, np.zeros(64, bool), LOW, SPAN)
    width = widths([never])
    bound = curve(never, width, np.random.default_rng(9), 100)
    assert isinstance(break_even(bound, flat(Cost(5.0, censored=False), None, width)), NotDefined)


def test_arms_told_apart_at_every_width_have_no_interval():
    width = np.array([1.0, 2.0, 4.0])
    drawn = [np.full(100, value) for value in (1.0, 5.0)]
    one, other = (flat(Cost(value, False), (draw, draw), width) for value, draw in zip((1.0, 5.0), drawn, strict=True))
    assert break_even(one, other) == (0.2, None, None)
