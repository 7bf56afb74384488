"""What is drawn over time: the best configuration of each scheme, the median of its seeds, and their range."""

import math

import pandas as pd
import pytest

from study.answers.over_time import bands, quantities
from study.figures import looks, over_time

EPOCHS = (0.5, 1.0, 1.5)
SPREAD = (1.0, 2.0, 9.0)  # of the seeds: a mean would be 4
BEST = pd.DataFrame({"scheme": ["slow", "fast"], "arm": ["s", "f"], "repetition": 0, "trial": [0, 1]})


def row(arm, k, seed, number):
    """Loss spread/epoch, a hundred times that where the configuration is not the best."""
    best = k == dict(zip(BEST["arm"], BEST["trial"], strict=True))[arm]
    loss = SPREAD[seed] / EPOCHS[number] * (1.0 if best else 100.0)
    return {
        "arm": arm,
        "repetition": 0,
        "k": k,
        "seed_number": seed,
        "task": "quadratic",
        "record": number + 1,
        "epoch": EPOCHS[number],
        "train_loss": loss,
        "valid_score": loss,
        "lr": 0.1,
        "steps": number,
        "scale": 0.5,
        "curvature": 10.0 * loss,
        "test_score": 0.5 if number == len(EPOCHS) - 1 else math.nan,
        "note": "text",
    }


@pytest.fixture
def record():
    return pd.DataFrame([row(arm, k, seed, n) for arm in "sf" for k in range(2) for seed in range(3) for n in range(3)])


def told(made, scheme, quantity):
    here = made[(made["scheme"] == scheme) & (made["quantity"] == quantity)]
    return here[["epoch", "low", "median", "high"]].to_numpy().tolist()


def test_seeds_of_the_best_configuration_are_told_by_median_and_range(record):
    made = bands(record, BEST)
    expected = [[epoch, 1 / epoch, 2 / epoch, 9 / epoch] for epoch in EPOCHS]
    assert told(made, "slow", "train_loss") == expected
    assert told(made, "fast", "curvature") == [[epoch, *(10 * x for x in spread)] for epoch, *spread in expected]


def test_what_changes_over_time_is_told_and_what_is_told_once_is_not(record):
    assert quantities(record) == ["train_loss", "valid_score", "curvature"]


def test_what_is_not_finite_is_left_out(record):
    first = record["record"] == 1
    record.loc[(record["arm"] == "s") | (first & (record["seed_number"] == 0)), "curvature"] = math.nan
    record.loc[first & (record["seed_number"] == 1), "curvature"] = math.inf
    made = bands(record, BEST)
    assert told(made, "slow", "curvature") == []
    assert told(made, "fast", "curvature")[0] == pytest.approx([0.5, 180, 180, 180])


def test_a_panel_draws_these_numbers_and_carries_them(record):
    made = bands(record, BEST)
    panel = over_time.panel(made, "curvature", looks(BEST["scheme"]))
    (axes,) = panel.figure.axes
    drawn = [line for line in axes.lines if len(line.get_ydata()) == len(EPOCHS)]
    assert [list(line.get_ydata()) for line in drawn] == 2 * [pytest.approx([40.0, 20.0, 40 / 3])]
    for band in axes.collections:
        heights = band.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((20 / 3, 180.0))
    assert panel.title == "curvature"
    assert set(panel.data["quantity"]) == {"curvature"}
    assert over_time.panel(made, "smoothness", looks(BEST["scheme"])) is None


@pytest.mark.parametrize(("values", "scale"), [((1, 5, 9), "linear"), ((1, 10, 100), "log"), ((0, 10, 100), "linear")])
def test_decades_are_drawn_as_decades(record, values, scale):
    record["curvature"] = record["record"].map(dict(zip((1, 2, 3), map(float, values), strict=True)))
    panel = over_time.panel(bands(record, BEST), "curvature", looks(BEST["scheme"]))
    assert panel.figure.axes[0].get_yscale() == scale
