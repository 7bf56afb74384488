"""One share for several tasks: identities, brute force, and intervals that hold what they promise."""

import math
import sys

import numpy as np
import pytest
from conftest import ROOT

from study import cost
from study.cost import Draws, Outcomes, Share, over_tasks

sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
import over_tasks_coverage

DRAWS = 2_000


def outcomes(seed, n=24, p=0.4):
    """n trials of a task, in the order in which `cost_draws` takes them: misses first, each by its cost."""
    rng = np.random.default_rng(seed)
    hit = np.sort(rng.random(n) < p)
    charged = rng.uniform(1, 10, n)
    return Outcomes(np.arange(n), charged[np.lexsort((charged, hit))], hit, 10.0)


def drawn(seed, **about):
    one = outcomes(seed, **about)
    share = cost.cost_shares(one.hit, np.random.default_rng(seed), DRAWS)
    return cost.cost_draws(one.charged, one.charged, one.hit, share, one.dearest)


def value_of(*seeds):
    shares = []
    for base, scheme in seeds:
        costs = [cost.expected_cost(one.charged, one.hit) for one in (outcomes(base), outcomes(scheme))]
        shares.append(cost.share_to_target(*costs))
    return cost.share_over_tasks(shares).value, shares


def test_the_share_over_tasks_is_the_geometric_mean_of_its_tasks_shares():
    value, shares = value_of((0, 1), (2, 3), (4, 5))
    assert value == pytest.approx(math.prod(share.value for share in shares) ** (1 / 3), rel=1e-12)
    assert cost.share_over_tasks([Share(0.0, "="), Share(2.0, "=")]) == Share(0.0, "=")  # a scheme that costs nothing


def test_of_one_task_it_is_that_tasks_share_and_interval():
    value, (share,) = value_of((0, 1))
    assert value == pytest.approx(share.value, rel=1e-12)
    told = cost.share_over_tasks_interval([drawn(0)], [drawn(1)], value)
    assert told == pytest.approx(cost.share_to_target_interval(drawn(0), drawn(1), share.value), rel=1e-12)


def test_the_order_of_tasks_and_the_unit_of_each_do_not_matter():
    value, _ = value_of((0, 1), (2, 3), (4, 5))
    base, scheme = [drawn(i) for i in (0, 2, 4)], [drawn(i) for i in (1, 3, 5)]
    told = cost.share_over_tasks_interval(base, scheme, value)
    assert cost.share_over_tasks_interval(base[::-1], scheme[::-1], value) == pytest.approx(told, rel=1e-12)
    scaled = (
        [Draws(60 * base[0].low, 60 * base[0].high), *base[1:]],
        [Draws(60 * scheme[0].low, 60 * scheme[0].high), *scheme[1:]],
    )
    assert cost.share_over_tasks_interval(*scaled, value) == pytest.approx(told, rel=1e-12)
    dearer = cost.share_over_tasks_interval(base, [scaled[1][0], *scheme[1:]], 60 ** (1 / 3) * value)
    assert dearer == pytest.approx([60 ** (1 / 3) * end for end in told], rel=1e-12)


def test_low_and_high_draws_of_tasks_are_combined_draw_by_draw():
    base, scheme = [drawn(0), drawn(2)], [drawn(1), drawn(3)]
    low = sorted(
        math.sqrt(base[0].high[i] ** -1 * scheme[0].low[i] * scheme[1].low[i] / base[1].high[i]) for i in range(DRAWS)
    )
    high = sorted(
        math.sqrt(scheme[0].high[i] / base[0].low[i] * scheme[1].high[i] / base[1].low[i]) for i in range(DRAWS)
    )
    value, _ = value_of((0, 1), (2, 3))
    tail = int(0.025 * DRAWS)
    told = cost.share_over_tasks_interval(base, scheme, value)
    assert told == pytest.approx((low[tail], high[-1 - tail]), rel=1e-12)


def test_a_task_without_a_hit_of_the_scheme_makes_a_lower_bound_without_an_upper_end():
    assert cost.share_over_tasks([Share(4.0, ">"), Share(0.25, "=")]) == Share(1.0, ">")
    told = cost.share_over_tasks_interval([drawn(0), drawn(2)], [drawn(1), drawn(3, p=0.0)], 5.0)
    assert 1 < told.low < 5
    assert told.high == math.inf


def test_a_task_without_a_hit_of_the_baseline_leaves_nothing_defined():
    assert not cost.share_over_tasks([Share(4.0, "<"), Share(0.25, "=")])
    assert not cost.share_over_tasks([])


# --- the same configurations on every task ----------------------------------------------------------


def test_of_one_task_draws_are_those_of_its_trials():
    one, rng = outcomes(7), np.random.default_rng(7)
    (found,) = cost.joint_cost_draws([one], rng, DRAWS)
    assert np.allclose(found, drawn(7), rtol=1e-12)


def test_tasks_on_which_trials_end_alike_are_one_task_whatever_their_order():
    one = outcomes(3)
    turned = Outcomes(one.key[::-1], one.charged[::-1], one.hit[::-1], one.dearest)
    first, second = cost.joint_cost_draws([one, turned], np.random.default_rng(0), DRAWS)
    assert np.allclose(first, second, rtol=1e-12)
    (alone,) = cost.joint_cost_draws([one], np.random.default_rng(0), DRAWS)
    assert np.allclose(first, alone, rtol=1e-12)


def test_a_configuration_that_a_task_lacks_has_no_share_there():
    """Row by row: the shares of the others are what exponential numbers give without it."""
    one, other = outcomes(1, n=5, p=0.7), outcomes(2, n=5, p=0.7)
    other = Outcomes(np.array([0, 1, 2, 3, 9]), *other[1:])  # 4 is missing, 9 stands on this task alone
    found = cost.joint_cost_draws([one, other], np.random.default_rng(0), 50)
    gaps = np.random.default_rng(0).standard_gamma(1.0, (50, 7))  # configurations 0 1 2 3 4 9, and the unseen
    for task, places in ((one, [0, 1, 2, 3, 4]), (other, [0, 1, 2, 3, 5])):
        low = gaps[:, places] @ task.charged / (gaps[:, places] @ task.hit + gaps[:, -1])
        high = (gaps[:, places] @ task.charged + 10 * gaps[:, -1]) / (gaps[:, places] @ task.hit)
        drawn_here = found[0 if task is one else 1]
        assert np.allclose(drawn_here.low, low, rtol=1e-12)
        assert np.allclose(drawn_here.high, high, rtol=1e-12)


def test_many_configurations_are_drawn_in_parts_with_the_same_numbers(monkeypatch):
    tasks = [outcomes(1), outcomes(2)]
    whole = cost.joint_cost_draws(tasks, np.random.default_rng(0), 101)
    monkeypatch.setattr(over_tasks, "AT_ONCE", 250)
    parts = cost.joint_cost_draws(tasks, np.random.default_rng(0), 101)
    assert np.allclose(whole, parts, rtol=1e-12)


# --- coverage: at full size in benchmarks/over_tasks_coverage.py ------------------------------------


@pytest.mark.parametrize("kind", ["own", "same"])
@pytest.mark.parametrize("name", over_tasks_coverage.LAWS)
def test_the_interval_holds_the_truth(name, kind):
    line = over_tasks_coverage.of_tasks(24, name, kind, draws=150, bootstrap=300, seed=1)
    assert line.share >= 0.90, line


def test_the_same_configurations_taken_for_others_would_promise_too_much():
    joint, apart = (
        over_tasks_coverage.of_tasks(64, "eight alike", kind, 150, 300, seed=1)
        for kind in ("same", "same, taken as own")
    )
    assert joint.share >= 0.90, joint
    assert apart.share <= 0.80, apart
