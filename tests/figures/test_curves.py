"""Charts of many schemes: six lines are named, no two names touch, and every number is the summary's."""

import itertools
import math
import re

import numpy as np
import pytest

from study.answers.results import KnownCost, Quantity, Result
from study.figures import best, curves, known, looks, profile, target, vega

SCHEMES = [f"scheme{place}" for place in range(12)]
LOOK = looks(SCHEMES)


def results(task="t"):
    """Twelve schemes, the cheaper the better they score; the last is the baseline, and never reached the target."""
    made = []
    for place, scheme in enumerate(SCHEMES):
        cost = 100.0 * 1.05**place
        result = Result(
            task, scheme, 64, 12 - place, 0.9, Quantity(2.0), Quantity(cost, cost / 2, cost * 2, "=", "passes")
        )
        result.expected_best = {k: 0.9 - 0.001 * place - 0.2 / k for k in (1, 2, 4, 8)}
        result.expected_best_interval = {1: (0.6, 0.8)}
        result.known_field = "scheme.lr"
        result.known_cost = [
            KnownCost(cost * (1 + w), cost / 2, math.inf, "=", "passes", decades=w) for w in (1.0, 4.0)
        ]
        made.append(result)
    made[-1].censored, made[-1].expected_cost.bound, made[-1].expected_cost.high = True, ">", math.inf
    return made


DRAWN = {
    "best": lambda: best.chart(results(), LOOK, SCHEMES[-1]),
    "known": lambda: known.chart(results(), LOOK, SCHEMES[-1]),
    "profile": lambda: profile.chart(results() + results("u"), LOOK),
}


@pytest.mark.parametrize("name", DRAWN)
def test_six_lines_are_named_and_no_two_names_touch(name):
    chart = DRAWN[name]()
    ends = chart.data[chart.data["named"] & (chart.data["end"] != "")]
    wanted = SCHEMES[:6] if name == "profile" else [*SCHEMES[:5], SCHEMES[-1]]
    assert sorted(ends["scheme"]) == sorted(wanted)
    scale = math.log if name == "known" else float
    y = {"best": "expected_best", "known": "expected_cost", "profile": "share_of_tasks"}[name]
    low, high = map(scale, curves.domain(chart.data, y))
    heights = sorted(curves.HEIGHT * (scale(place) - low) / (high - low) for place in ends["place"])
    assert min(after - before for before, after in itertools.pairwise(heights)) > 12
    named = set(re.findall(r">(scheme\d+)</text>", vega.still(chart)))
    assert named == set(wanted)


def test_the_numbers_of_the_charts_are_those_of_the_summary():
    first = results()[0]
    told = vega.numbers(known.chart(results(), LOOK))
    mine = told[told["scheme"] == first.scheme]
    assert mine["expected_cost"].tolist() == [point.estimate for point in first.known_cost]
    assert mine["low"].isna().all()  # a band has both ends, or none
    told = vega.numbers(best.chart(results(), LOOK))
    assert told[told["scheme"] == first.scheme].set_index("k")["expected_best"].to_dict() == first.expected_best
    data = target.chart(results(), LOOK, None).data
    assert data["scheme"].tolist() == SCHEMES
    assert data["label"].iloc[-1] == f"≥ {first.expected_cost.estimate * 1.05**11:.3g}"
    assert data["open"].tolist() == [False] * 11 + [True]


def test_a_profile_jumps_where_the_ratio_of_costs_is():
    told = vega.numbers(profile.chart(results() + results("u"), LOOK))
    second = told[told["scheme"] == SCHEMES[1]]
    assert second["tau"].tolist() == pytest.approx([1.0, 1.05, profile.MOST])
    assert second["share_of_tasks"].tolist() == [0.0, 1.0, 1.0]
    assert told[told["scheme"] == SCHEMES[-1]]["share_of_tasks"].tolist() == [0.0, 0.0]  # a miss


def test_a_profile_jumps_where_rounding_would_put_the_cost_beyond_its_own_ratio():
    dear, every = 0.7, [0.2 + step / 1000 for step in range(400)]
    cheap = next(cost for cost in every if dear / cost * cost < dear)
    told = profile.table(["cheap", "dear"], np.array([[cheap], [dear]]))
    jump = told[(told["scheme"] == "dear") & (told["tau"] == dear / cheap)]
    assert jump["share_of_tasks"].tolist() == [1.0]


def test_a_picture_is_the_same_in_every_writing():
    one, again = (vega.picture(target.chart(results(), LOOK, SCHEMES[0])) for _ in range(2))
    assert one == again
    assert one.startswith(b"\x89PNG")
