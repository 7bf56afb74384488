"""The statistics of tuning cost: brute force over subsets and orders, published numbers, laws."""

import csv
import math
from collections import defaultdict
from itertools import combinations, permutations

import numpy as np
import pytest
from conftest import SHARED
from golden import BUDGETS, DEEPOBS_TARGET, GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from study import cost
from study.cost import Cost, NotDefined, Sample

ANCHORS = SHARED / "anchors"
needs_anchors = pytest.mark.skipif(not ANCHORS.is_dir(), reason=f"published results are not at {ANCHORS}")


def drawn(hit, draws):
    return cost.cost_shares(hit, np.random.default_rng(0), draws)


def deepobs(scheme):
    """Learning rates, final scores, charged epochs and hits of one optimizer, without our reader."""
    curves = defaultdict(list)
    with (ANCHORS / "deepobs_fmnist_2c2d.csv").open() as table:
        for row in csv.DictReader(table):
            if row["scheme"] == scheme:
                curves[float(row["lr"])].append((int(row["epoch"]), float(row["score"] or 0.1)))
    first = [next((e for e, y in sorted(c) if y >= DEEPOBS_TARGET), None) for c in curves.values()]
    final = np.array([max(curve)[1] for curve in curves.values()])
    hit = np.array([epoch is not None for epoch in first])
    return np.array([*curves]), final, np.array([100 if epoch is None else epoch for epoch in first]), hit


@needs_anchors
@pytest.mark.parametrize("scheme", GOLDEN)
def test_deepobs_golden_numbers(scheme):
    golden = GOLDEN[scheme]
    lrs, final, charged, hit = deepobs(scheme)
    assert [round(cost.expected_best(final, k), 4) for k in BUDGETS] == golden["best"]
    assert [round(cost.expected_best_biased(final, k), 4) for k in BUDGETS] == golden["biased"]
    assert hit.sum() == golden["hits"]
    assert round(cost.expected_trials(36, hit.sum()), 2) == golden["trials"]
    assert round(cost.expected_cost(charged, hit).value) == golden["cost"]
    assert round(cost.sensitivity(lrs, 1 - final, 0.9), 4) == golden["full"]
    assert round(cost.sensitivity(lrs, 1 - final, 0.9, decades=1), 4) == golden["window"]
    assert round(cost.width_decades(lrs, 1 - final), 9) == golden["width"]


@needs_anchors
def test_profile_gives_algoperf_published_scores():
    with (ANCHORS / "algoperf_v05_self_tuning_times.csv").open() as times:
        _, *rows = csv.reader(times)
    with (ANCHORS / "algoperf_v05_self_tuning_scores.csv").open() as scores:
        published = {row["submission"]: float(row["score"]) for row in csv.DictReader(scores)}
    ours = cost.profile_scores([[float(time) for time in row[1:]] for row in rows])
    assert {row[0]: round(score, 4) for row, score in zip(rows, ours, strict=True)} == pytest.approx(
        {name: round(score, 4) for name, score in published.items()}, abs=1e-9
    )


def test_a_task_nobody_reaches_is_a_miss_that_stays_in_the_denominator():
    inf = math.inf
    assert cost.profile_scores([[1, inf], [inf, inf], [math.nan, math.nan]]).tolist() == [0.5, 0, 0]


SCORES = st.lists(st.integers(-3, 3), min_size=1, max_size=7)
TRIALS = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=6)


@given(SCORES)
def test_expected_best_is_the_mean_over_all_subsets(scores):
    for k in range(1, len(scores) + 1):
        brute = np.mean([max(subset) for subset in combinations(scores, k)])
        assert cost.expected_best(scores, k) == pytest.approx(brute, abs=1e-12)


def test_expected_best_of_8_is_the_mean_over_all_subsets():
    scores = [0.1, 0.9, 0.1, 0.4, 0.85, 0.3, 0.9, 0.2]
    for k in range(1, 9):
        brute = np.mean([max(subset) for subset in combinations(scores, k)])
        assert cost.expected_best(scores, k) == pytest.approx(brute, abs=1e-12)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=4), st.integers(1, 4))
def test_biased_expected_best_is_the_mean_over_all_draws_with_replacement(scores, k):
    grids = np.meshgrid(*[scores] * k)
    assert cost.expected_best_biased(scores, k) == pytest.approx(np.max(grids, axis=0).mean(), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-5, 5)), min_size=1, max_size=6))
def test_worth_of_the_chosen_is_the_mean_over_all_subsets_with_ties_shared(pairs):
    scores, worth = zip(*pairs, strict=True)
    for k in range(1, len(pairs) + 1):
        brute = []
        for subset in combinations(range(len(pairs)), k):
            best = max(scores[i] for i in subset)
            brute.append(np.mean([worth[i] for i in subset if scores[i] == best]))
        assert cost.expected_best(scores, k, worth) == pytest.approx(np.mean(brute), abs=1e-12)


@pytest.mark.parametrize(("n", "h"), [(n, h) for n in (1, 3, 8) for h in range(n + 1)])
def test_probability_of_a_hit_is_the_share_of_subsets_with_one(n, h):
    for k in range(n + 1):
        subsets = list(combinations(range(n), k))
        brute = sum(min(subset, default=n) < h for subset in subsets) / len(subsets)
        assert cost.probability_of_hit(n, h, k) == pytest.approx(brute, abs=1e-12)


def in_every_order(hit, charged):
    """Mean trials and mean cost up to the first hit over all orders; all n trials where there is none."""
    trials, costs = [], []
    for order in permutations(range(len(hit))):
        until = next((i for i, j in enumerate(order) if hit[j]), len(hit) - 1)
        trials.append(until + 1)
        costs.append(sum(charged[j] for j in order[: until + 1]))
    return np.mean(trials), np.mean(costs)


@given(TRIALS)
def test_expected_trials_and_cost_are_the_means_over_all_orders(trials):
    hit, charged = zip(*trials, strict=True)
    brute_trials, brute_cost = in_every_order(hit, charged)
    result = cost.expected_cost(charged, hit)
    assert result.value == pytest.approx(brute_cost)
    assert result.censored == (not any(hit))
    if any(hit):
        assert cost.expected_trials(len(hit), sum(hit)) == pytest.approx(brute_trials)


def test_expected_trials_and_cost_of_8_are_the_means_over_all_orders():
    hit, charged = [0, 0, 1, 0, 1, 0, 0, 0], [9, 1, 4, 9, 2, 9, 3, 9]
    brute_trials, brute_cost = in_every_order(hit, charged)
    assert cost.expected_trials(8, 2) == pytest.approx(brute_trials)
    assert cost.expected_cost(charged, hit).value == pytest.approx(brute_cost)


@given(TRIALS, st.randoms(use_true_random=False))
def test_permuting_the_trials_changes_nothing(trials, random):
    shuffled = random.sample(trials, len(trials))
    (hit, charged), (hit2, charged2) = zip(*trials, strict=True), zip(*shuffled, strict=True)
    assert cost.expected_cost(charged, hit) == cost.expected_cost(charged2, hit2)
    assert cost.expected_best(charged, 1) == pytest.approx(cost.expected_best(charged2, 1))
    for ours, theirs in zip(
        cost.cost_draws(charged, charged, hit, drawn(hit, 50)),
        cost.cost_draws(charged2, charged2, hit2, drawn(hit2, 50)),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


@given(TRIALS, st.integers(1, 9))
def test_scaling_costs_scales_costs(trials, factor):
    hit, charged = zip(*trials, strict=True)
    once, scaled = cost.expected_cost(charged, hit), cost.expected_cost(np.multiply(charged, factor), hit)
    assert scaled.value == pytest.approx(factor * once.value)


@given(TRIALS, st.integers(0, 9))
def test_a_further_miss_never_lowers_the_expected_cost(trials, miss):
    hit, charged = zip(*trials, strict=True)
    assert cost.expected_cost([*charged, miss], [*hit, False]).value >= cost.expected_cost(charged, hit).value


@given(SCORES, st.integers(-3, 3))
def test_smallest_budget_is_the_first_k_at_the_level(scores, level):
    curve = [cost.expected_best(scores, k) for k in range(1, len(scores) + 1)]
    brute = next((k for k, best in enumerate(curve, 1) if best >= level - 1e-12), None)
    ours = cost.smallest_budget(scores, level)
    assert (ours == brute) if brute else isinstance(ours, NotDefined)


def test_share_at_budget_by_hand():
    base, scheme = Sample([0, 0, 1, 1], [10, 10, 10, 10]), Sample([0, 1, 1, 1], [4, 4, 4, 4])
    # U of the baseline: 1/2, 5/6, 1, 1; of the scheme: 3/4, 1, 1, 1
    assert cost.share_at_budget(base, scheme, budget=2).value == pytest.approx((2 * 4) / (2 * 10))
    assert cost.share_at_budget(base, scheme, budget=2, tolerance=0.1).value == pytest.approx((1 * 4) / (2 * 10))
    assert cost.share_at_budget(scheme, base, budget=2) == cost.Share((3 * 10) / (2 * 4), "=")


def test_a_scheme_that_never_reaches_the_level_has_a_bound():
    assert cost.share_at_budget(Sample([2, 2], [6, 6]), Sample([1, 1, 1], [4, 4, 4]), 2) == cost.Share(2.0, ">")
    assert cost.share_to_target(Cost(100, censored=True), Cost(10, censored=False)) == cost.Share(0.1, "<")
    assert isinstance(cost.share_to_target(Cost(9, True), Cost(9, True)), NotDefined)


def test_log_efficiency_of_schemes_that_are_one_is_nothing_however_their_curves_round():
    curves = [[float(cost.best_weights(n, k) @ np.full(n, 0.9)) for k in range(1, n + 1)] for n in (48, 36)]
    assert [cost.log_efficiency(base, other) for base in curves for other in curves] == [0.0] * 4


def test_log_efficiency_of_a_scheme_half_as_fast():
    assert cost.log_efficiency([1, 2, 3], [0, 1, 1, 2, 2, 3]) == pytest.approx(math.log(3 / 5))
    assert cost.log_efficiency([1, 2, 3], [0, 0]) == -1


def test_observed_costs_follow_the_order_of_each_search():
    searches = cost.observe([0, 0, 0, 1, 1], [9, 5, 9, 9, 9], [9, 5, 2, 9, 9], [0, 0, 1, 0, 0])
    assert searches.cost.tolist() == [16, 18]
    assert searches.trials.tolist() == [3, 2]
    assert searches.reached.tolist() == [True, False]
    assert searches.full.tolist() == [23, 18]
    assert cost.observed_cost(searches.cost, searches.reached) == Cost(17, censored=True)


def test_clopper_pearson_leaves_half_the_error_on_each_side():
    low, high = cost.hit_probability_interval(12, 3)
    mass = [[math.comb(12, i) * p**i * (1 - p) ** (12 - i) for i in range(13)] for p in (low, high)]
    assert sum(mass[0][3:]) == pytest.approx(0.025)
    assert sum(mass[1][:4]) == pytest.approx(0.025)


@pytest.mark.parametrize(("n", "h"), [(10, 0), (10, 3), (10, 10)])
def test_the_interval_of_equal_costs_is_clopper_pearsons(n, h):
    hit = np.arange(n) < h
    draws = cost.cost_draws(np.full(n, 7.0), np.full(n, 7.0), hit, drawn(hit, 200_000))
    low, high = cost.ends(*draws, estimate=7.0 * n / max(h, 1))
    trials = cost.trials_interval(n, h)
    assert high == pytest.approx(7 * trials.high, rel=0.02)
    assert 7 * (trials.low - 1) * 0.98 <= low <= 7 * trials.low * 1.02  # an unseen hit might cost nothing


def test_the_unseen_trial_costs_as_much_as_the_dearest_can():
    full, hit = np.array([1.0, 1.0, 4.0]), np.array([True, False, False])
    seen, known, told = (cost.cost_draws(full, full, hit, drawn(hit, 400), dearest) for dearest in (None, 4.0, 9.0))
    np.testing.assert_array_equal(seen.high, known.high)
    np.testing.assert_array_equal(seen.low, told.low)
    share = np.random.default_rng(0).standard_gamma(1.0, (400, 4))  # of the two misses, the hit, the unseen trial
    np.testing.assert_allclose(told.high - seen.high, 5 * share[:, 3] / share[:, 2])
    with pytest.raises(ValueError, match="no trial can cost more than the dearest"):
        cost.cost_draws(full, full, hit, drawn(hit, 400), dearest=3.9)


def test_trimmed_mean_and_probability_of_improvement_by_hand():
    assert cost.interquartile_mean([[1, 2], [3, 4, 5, 6, 7, 80]]) == 4.5
    ours, theirs = [[1, 3], [5]], [[2, 2], [5]]
    brute = np.mean(
        [np.mean([(a > b) + 0.5 * (a == b) for a in x for b in y]) for x, y in zip(ours, theirs, strict=True)]
    )
    assert cost.probability_of_improvement(ours, theirs) == brute == 0.5


def test_the_bootstrap_stays_inside_its_task_and_uses_only_its_generator():
    first = [
        cost.stratified_bootstrap(cost.interquartile_mean, [[0, 1, 2], [5, 6]], generator=np.random.default_rng(s))
        for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(first[0], first[1])
    assert not np.array_equal(first[0], first[2])
    minima = cost.stratified_bootstrap(lambda x: max(map(max, x)), [[0, 1], [5, 6]], generator=np.random.default_rng(0))
    assert set(minima) == {5, 6}


def test_sensitivity_keeps_a_grid_point_exactly_a_decade_away():
    lrs = 10 ** (np.arange(-25, 11) / 5)
    losses = np.where(np.isclose(lrs, 0.1), 0.0, 0.5)
    assert cost.sensitivity(lrs, losses, 0.9, decades=1) == pytest.approx(0.5 * 10 / 11)


def test_what_is_not_a_grid_has_no_sensitivity():
    assert isinstance(cost.sensitivity([1, 2, 7], [0, 0, 0], 1), NotDefined)
    assert isinstance(cost.width_decades([1], [0]), NotDefined)


def test_suspicions():
    assert cost.best_on_edge([1, 10, 100], [1, 2, 3])
    assert not cost.best_on_edge([1, 10, 100], [2, 1, 3])
    assert cost.violates_inclusion(0.8, 0.9, 0.05)
    assert not cost.violates_inclusion(0.86, 0.9, 0.05)
    assert cost.default_regret([0.5], 0.75) == 0.25
