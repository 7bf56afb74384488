"""What is drawn over time: the best configuration of each scheme, the median of its seeds, and their range."""

import math
import re

import pandas as pd
import pytest
import vl_convert

from study.answers.over_time import bands, quantities
from study.figures import looks, over_time, vega

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


def panels(record):
    chart = over_time.chart(bands(record, BEST), looks(BEST["scheme"]), "in words")
    return chart, {panel["title"]["text"]: panel for panel in chart.spec["concat"]}


def test_a_chart_has_a_panel_a_quantity_and_carries_what_it_draws(record):
    chart, found = panels(record)
    assert [*found] == ["train_loss", "valid_score", "curvature"]
    assert found["curvature"]["transform"] == [{"filter": 'datum.quantity === "curvature"'}]
    band, line = found["curvature"]["layer"]
    assert (band["encoding"]["y"]["field"], band["encoding"]["y2"]["field"]) == ("low", "high")
    assert line["encoding"]["y"]["field"] == "median"
    pd.testing.assert_frame_equal(chart.data, bands(record, BEST))
    assert over_time.chart(bands(record, BEST), looks(["other"]), "in words") is None


def test_a_still_names_every_line_once(record):
    names = re.findall(r">(slow|fast)</text>", vega.still(panels(record)[0]))
    assert sorted(names) == ["fast", "slow"]


@pytest.mark.parametrize(("values", "scale"), [((1, 5, 9), None), ((1, 10, 100), "log"), ((0, 10, 100), None)])
def test_decades_are_drawn_as_decades(record, values, scale):
    record["curvature"] = record["record"].map(dict(zip((1, 2, 3), map(float, values), strict=True)))
    (y, _) = (layer["encoding"]["y"] for layer in panels(record)[1]["curvature"]["layer"])
    assert y["scale"].get("type") == scale


def test_a_rate_that_is_not_positive_is_a_gap_in_its_line_and_stays_in_the_data():
    rates = pd.DataFrame({"task": "t", "scheme": "hd", "epoch": [1, 2, 3, 4, 5], "rate": [0.1, 0.2, -0.2, 0.3, 0.4]})
    chart = over_time.rate_chart(rates, looks(["hd"]), "in words")
    assert chart.data["rate"].tolist() == rates["rate"].tolist()
    (line,) = re.findall(r'aria-roledescription="line mark" d="([^"]*)"', spoken(chart))
    assert line.count("M") == 2  # one stroke on each side of the gap
    assert over_time.rate_chart(rates.assign(rate=-1.0), looks(["hd"]), "in words") is None


def spoken(chart):
    """The chart as an SVG in which every mark says what it is."""
    return vl_convert.vegalite_to_svg(chart.still | {"data": {"values": chart.data.to_dict("records")}})
