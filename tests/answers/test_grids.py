"""Grids over learning rate and weight decay: what is refused, what is read off them, and what they say."""

import math

import numpy as np
import pandas as pd
import pytest
from gridded import CONSTANT, SIGMA, STEPS, gridded, trial

import study
from study.answers.grids import collapse, grids, relaxation_rate, slope_across, slope_within
from study.answers.grids.collapse import anti_diagonals
from study.answers.grids.drops import drops
from study.plan.checks import MAX_CELLS, check_size
from study.plan.parse import load, parse
from trainables.refusal import Refusal

GRID = "{{question: q, common: {{task: quadratic, searcher: grid, trials: 4}}, arms: {{a: {{{}}}}}}}"
AXES = "scheme.lr: {{choice: {}}}, decay.weight_decay: {{choice: {}}}"


def grid(rates, decays):
    axes = AXES.format([0.01 * (n + 1) for n in range(rates)], [1e-5 * n for n in range(decays)])
    return parse(GRID.format(axes), "x")


def test_a_grid_of_more_than_10_000_cells_asks_whether_it_is_meant(tmp_path):
    check_size(grid(100, 100))
    with pytest.raises(Refusal, match=r"^arm 'a': the grid has 10,100 cells, more than 10,000: say --yes if that is"):
        study.run(grid(101, 100), tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", storage=tmp_path)
    assert not list(tmp_path.iterdir())
    assert MAX_CELLS == 100 * 100


def test_a_command_without_yes_is_refused_in_one_line(lr_study, tmp_path):
    axis = [0.01 * (n + 1) for n in range(101)]
    (tmp_path / "large.yaml").write_text(GRID.format(AXES.format(axis, axis)), encoding="utf-8")
    done = lr_study("run", "large.yaml")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "error: arm 'a': the grid has 10,201 cells, more than 10,000: say --yes if that is meant"
    )
    assert lr_study("run", "large.yaml", "--yes", "--trials", "10202").stderr.strip().endswith("trials asks for 10202")


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        ("scheme.beta: {choice: [1, 2, 3, 4]}", r"^arm 'a': unknown key 'scheme\.beta'"),
        ("direction.momentum: {choice: [0, 0.5, 0.9, 0.99]}", r"^arm 'a': unknown key 'direction\.momentum'"),
    ],
)
def test_a_grid_over_a_field_that_the_arm_does_not_have_is_refused(arm, words):
    with pytest.raises(Refusal, match=words):
        parse(GRID.format(arm), "x")


def test_the_shipped_grid_has_equal_products_on_its_anti_diagonals():
    space = load("wd-lr-grid").arms[0].space
    rates, decays = (space[key].options for key in ("scheme.lr", "decay.weight_decay"))
    products = {rates[i] * decays[j] for i in range(8) for j in range(8)}
    assert len(products) == 15


# --- a record as a grid ----------------------------------------------------------------------------------


def read(record):
    return {grid.arm: grid for grid in grids(record, "max", 0.1)}


def test_a_grid_has_a_row_a_training_and_a_row_a_tensor_where_rates_were_last_constant():
    grid = read(gridded(seeds=2, tensors=("a", "b")))["normalised"]
    assert len(grid.cells) == 72
    assert grid.seeds == 2
    assert len(grid.turning) == 144
    assert len(grid.walks) == 144 * CONSTANT
    assert set(grid.turning["steps"]) == {STEPS * CONSTANT}
    cell = grid.cells[(grid.cells["rate"] == 0.5) & (grid.cells["decay"] == 2**-7)].iloc[0]
    assert cell["product"] == 2**-8
    assert cell["score"] == pytest.approx(0.89)
    assert cell["test"] == pytest.approx(0.88)


def test_cells_have_settled_after_three_times_the_inverse_of_their_product():
    cells = read(gridded())["normalised"].cells
    assert (cells["settled"] == (cells["product"] >= 3 / (STEPS * CONSTANT))).all()
    assert 0 < cells["settled"].sum() < len(cells)


def test_momentum_makes_cells_settle_sooner():
    cells = read(gridded().assign(**{"direction.momentum": 0.9}))["normalised"].cells
    assert (cells["settled"] == (cells["product"] >= 0.3 / (STEPS * CONSTANT))).all()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_norms_relax_as_theory_has_it_with_momentum_too(momentum):
    seen = read(gridded(momentum=momentum))["normalised"].relaxations
    assert len(seen) > 2
    assert (seen["steps"] / seen["predicted"]).to_numpy() == pytest.approx(1.0, rel=1e-3)


def test_a_grid_on_a_task_is_called_by_its_scheme():
    named = gridded(arm="normalised-fashion_mlp_norm")
    assert [grid.arm for grid in grids(named, "max", 0.1)] == ["normalised"]


def test_what_diverged_counts_at_chance_and_has_no_equilibrium():
    record = gridded(law=lambda rate, decay: math.nan if rate > 1 else 0.8)
    grid = read(record)["normalised"]
    assert set(grid.cells.loc[grid.cells["rate"] > 1, "score"]) == {0.1}
    assert grid.turning["rate"].max() == 1.0


def test_trials_drawn_at_random_and_arms_with_one_axis_are_no_grid():
    record = gridded(rates=[1.0])
    assert grids(record, "max", 0.1) == []
    draws = np.random.default_rng(0)
    drawn = [trial("a", k, 0, float(draws.uniform(0.1, 1)), float(draws.uniform(0.01, 0.1)), 0.5) for k in range(9)]
    assert grids(pd.concat(drawn, ignore_index=True), "max", 0.1) == []
    assert grids(record.drop(columns="decay.weight_decay"), "max", 0.1) == []


# --- a fall of the rate ----------------------------------------------------------------------------------


def fallen(factor, steps=4000, every=10, rate=0.5, decay=2**-6):
    """‖w‖⁴ in balance, then at a rate of η/f: the effective rate at every record."""
    end = rate * SIGMA**2 / (2 * decay)
    since = every * np.arange(1, steps // every + 1)
    fourth = end / factor + (end - end / factor) * np.exp(-4 * rate / factor * decay * since)
    before = trial("dropped", 0, 0, rate, decay, 0.8, start=end**0.25).iloc[:3]
    after = pd.concat([before.iloc[-1:]] * len(since), ignore_index=True)
    rows = {"lr": rate / factor, "steps": before["steps"].iloc[-1] + since, "record": 3 + np.arange(len(since)) + 1}
    rows |= {"effective_lr.w": rate / factor / np.sqrt(fourth)}
    return pd.concat([before, after.assign(**rows)], ignore_index=True)


@pytest.mark.parametrize("factor", [4.0, 10.0])
def test_a_fall_of_the_rate_moves_the_effective_rate_by_all_of_it_and_then_back_by_half(factor):
    (row,) = drops(fallen(factor)).itertuples()
    assert row.factor == pytest.approx(factor)
    assert row.at_once == pytest.approx(1 / factor, rel=0.1)
    assert row.in_the_end == pytest.approx(factor**-0.5, rel=0.01)
    assert row.settled
    assert not drops(fallen(factor, steps=1000))["settled"].any()


def test_what_falls_twice_or_whose_decay_changes_is_no_fall():
    twice = fallen(4.0)
    twice.loc[len(twice) - 5 :, "lr"] /= 2
    assert drops(twice).empty
    assert drops(fallen(4.0).assign(**{"decay.schedule": "wandering"})).empty
    assert drops(gridded(rates=[0.5, 1.0])).empty
    assert drops(fallen(4.0).iloc[:4]).empty  # the last record alone: any schedule that ends low
    assert drops(fallen(4.0).drop(columns="decay.weight_decay")).empty


# --- collapse --------------------------------------------------------------------------------------------


def test_products_that_rounding_or_round_numbers_part_are_one():
    assert anti_diagonals([0.1, 0.3, 0.01, 1.0], [0.03, 0.01, 0.3, 1.0]).tolist() == [0, 0, 0, 1]
    assert anti_diagonals([1.0, 0.03], [1e-3, 0.03]).tolist() == [1, 0]  # 0.001 and 0.0009: more than a tenth apart


def test_scores_that_follow_the_product_collapse_to_nothing_and_scores_that_follow_the_rate_do_not():
    grid = read(gridded())["normalised"].cells
    exact = collapse(grid["score"], grid["group"])
    assert (exact.ratio, exact.low, exact.high) == (0, 0, 0)
    other = collapse(np.log(grid["rate"]), grid["group"])
    assert other.low > 0.5
    assert not collapse(np.ones(36), grid["group"])


def test_the_ratio_is_that_of_the_spreads_where_cells_are_many():
    groups = np.repeat(np.arange(20), 500)
    draws = np.random.default_rng(0)
    told = collapse(np.linspace(0, 1, 20)[groups] + 0.1 * draws.standard_normal(len(groups)), groups)
    across = np.linspace(0, 1, 20).std()
    assert told.within == pytest.approx(0.1, rel=0.02)
    assert told.across == pytest.approx(across, rel=0.02)
    assert told.ratio == pytest.approx(0.1 / across, rel=0.02)
    assert told.low < 0.1 / across < told.high


@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0])
def test_the_interval_of_the_ratio_covers(sigma):
    def law(rate, decay):
        """Above chance: nothing counts less."""
        return 20 + math.log2(rate * decay)

    cells = read(gridded(law=law))["normalised"].cells
    groups, truth = cells["group"].to_numpy(), cells["score"].to_numpy() / 4
    counted = np.bincount(groups)[groups] > 1
    ratio = sigma / truth[counted].std()
    draws, held = np.random.default_rng(1), 0
    for _ in range(2000):
        told = collapse(truth + sigma * draws.standard_normal(len(truth)), groups)
        held += told.low <= ratio <= told.high
    assert 0.935 <= held / 2000 <= 0.965


def test_a_shift_and_a_factor_leave_the_ratio_as_it_is():
    grid = read(gridded(noise=0.01))["normalised"].cells
    plain, other = (collapse(score, grid["group"]) for score in (grid["score"], 3 * grid["score"] - 1))
    assert other.ratio == pytest.approx(plain.ratio, rel=1e-6)


# --- slopes and relaxation -------------------------------------------------------------------------------


def test_slopes_of_the_closed_forms_are_a_quarter_and_a_half():
    last = read(gridded())["normalised"].turning
    last = last[last["product"] >= 2**-7]
    quarter = slope_within(np.log(last["rate"] / last["decay"]), np.log(last["norm"]), last["group"])
    half = slope_across(np.log(last["product"]), np.log(last["effective_lr"]), last["group"])
    assert quarter.estimate == pytest.approx(0.25, abs=1e-3)
    assert half.estimate == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize("slope", [slope_within, slope_across])
def test_the_intervals_of_slopes_cover(slope):
    draws, held = np.random.default_rng(0), 0
    groups = np.repeat(np.arange(6), 4)
    for _ in range(400):
        x = draws.standard_normal(24) + groups
        shift = 5 * draws.standard_normal(6) if slope is slope_within else 0.3 * draws.standard_normal(6)
        told = slope(x, 0.5 * x + shift[groups] + 0.2 * draws.standard_normal(24), groups)
        held += told.holds(0.5)
    assert 0.92 <= held / 400 <= 0.98


def test_too_few_groups_have_no_slope():
    assert not slope_within([0, 1, 2], [0, 1, 2], [0, 0, 0])
    assert not slope_across([0, 1], [0, 1], [0, 1])


def test_the_relaxation_of_the_closed_form_is_found_where_it_can_be_seen():
    seen = 0
    for (_, _), walk in read(gridded())["normalised"].walks.groupby(["rate", "decay"]):
        rate = relaxation_rate(walk["steps"], walk["norm"])
        if rate:
            seen += 1
            assert rate == pytest.approx(4 * walk["product"].iloc[0], rel=1e-3)
        else:
            assert walk["product"].iloc[0] > 2**-8 or abs(walk["norm"].iloc[0] / walk["norm"].iloc[-1]) < 1.2
    assert seen > 10


def test_what_does_not_relax_has_no_rate():
    steps = 100.0 * np.arange(10)
    draws = np.random.default_rng(0)
    for norms in (np.ones(10), 2 + 0.5 * draws.standard_normal(10), (10 + 10 * steps) ** 0.25):
        assert not relaxation_rate(steps, norms)
    assert not relaxation_rate(steps[:4], np.exp(-steps[:4] / 100) + 1)
