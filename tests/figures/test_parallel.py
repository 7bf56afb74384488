"""Parallel coordinates and importances: every place is the value's, read off the scale that its marks have."""

import math

import numpy as np
import pandas as pd
import pytest

from study.answers.configurations import Configurations
from study.answers.importance import Importance
from study.figures import importances, looks, parallel, vega
from trainables.space import Choice, Integer, LogNormal, LogUniform, OverLr, Uniform

SPACE = {
    "scheme.lr": LogUniform(1e-4, 1.0),
    "decay.weight_decay": OverLr(Uniform(0.0, 0.5)),
    "batch_size": Choice((32, 128, 512)),
    "schedule": Choice(("cosine", "linear")),
    "task.hidden": Integer(10, 20),
}
LOOK = looks(["a", "b", "plain"])


def drawn(scheme="a", number=100, space=SPACE, seed=0):
    """Random configurations; the score is the middle of the rate's decades, and two trials of three at chance."""
    rng, values, rows = np.random.default_rng(seed), [], []
    for k in range(number):
        one = {"scheme.lr": float(10 ** rng.uniform(-4, 0)), "decay.weight_decay": float(rng.uniform(0, 0.5)),
               "batch_size": int(rng.choice([32, 128, 512])), "schedule": str(rng.choice(["cosine", "linear"])),
               "task.hidden": int(rng.integers(10, 21))}  # fmt: skip
        values.append({key: one[key] for key in space})
        score = 0.9 - abs(math.log10(one["scheme.lr"]) + 2) / 4
        rows.append((scheme, 0, k, one["scheme.lr"], score, "finished"))
    trials = pd.DataFrame(rows, columns=["scheme", "repetition", "trial", "lr", "score", "status"])
    return Configurations(scheme, space, trials, values)


def test_every_line_goes_through_the_values_of_its_trial_and_ends_at_its_score():
    one = drawn()
    chart = parallel.chart([one], one.trials, LOOK, "max", ["a"])
    for (row, trial), points in chart.data.groupby(["row", "trial"]):
        assert row == trial
        values, score = one.values[trial], one.trials["score"][trial]
        assert points["value"].tolist() == [*values.values(), score]
        expected = [
            (math.log10(values["scheme.lr"]) + 4) / 4,
            values["decay.weight_decay"] / 0.5,
            {32: 0.0, 128: 0.5, 512: 1.0}[values["batch_size"]],
            {"cosine": 0.0, "linear": 1.0}[values["schedule"]],
            (values["task.hidden"] - 10) / 10,
            (score - one.trials["score"].min()) / (one.trials["score"].max() - one.trials["score"].min()),
        ]
        assert points["place"].tolist() == pytest.approx(expected, abs=1e-4)
    names = ["scheme.lr", "decay.weight_decay × lr", "batch_size", "schedule", "task.hidden", "score"]
    assert list(dict.fromkeys(chart.data["axis"])) == names
    assert chart.columns["place"] == [
        pytest.approx(list(points["place"]), rel=1e-3) for _, points in chart.data.groupby("row", sort=False)
    ]


def test_marks_stand_where_their_values_would():
    for axis in parallel.axes_of(drawn()):
        for value, place in axis.marks.items():
            rest = axis._replace(marks={})
            if not isinstance(value, str) and axis.name != "batch_size":
                assert rest.place(value) == pytest.approx(min(max(place, 0), 1))
    rates = parallel.axes_of(drawn())[0]
    assert rates.marks == pytest.approx({1e-4: 0, 1e-3: 0.25, 1e-2: 0.5, 0.1: 0.75, 1.0: 1})


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_best_tenth_is_in_colour_and_the_others_are_thinned_evenly(mode):
    one = drawn()
    chart = parallel.chart([one], one.trials, LOOK, mode, ["a"])
    lines = chart.data.drop_duplicates("row")
    order = one.trials["score"].sort_values(ascending=mode == "min").index
    assert set(lines.loc[lines["good"], "trial"]) == set(order[:10])
    ranks = sorted(list(order).index(trial) for trial in lines["trial"])
    assert ranks[:10] == list(range(10))
    assert ranks[-1] == 99
    assert max(np.diff(ranks)) <= 2
    assert f"{len(lines)} of 100 trials, evenly by rank, and the best." in chart.caption
    few = drawn(number=12)
    whole = parallel.chart([few], few.trials, LOOK, mode, ["a"])
    assert "evenly" not in whole.caption
    assert whole.data.drop_duplicates("row")["good"].sum() == 5


def test_a_scheme_that_searches_fewer_than_two_numbers_has_none():
    words = {"scheme.lr": SPACE["scheme.lr"], "schedule": SPACE["schedule"]}
    one = drawn(space=words)
    assert parallel.chart([one], one.trials, LOOK, "max", ["a"]) is None
    assert parallel.chart([], one.trials, LOOK, "max", ["a"]) is None


def test_the_cheapest_that_has_lines_is_drawn_until_another_is_chosen():
    both = [drawn("a", 8), drawn("b", 8, {key: SPACE[key] for key in ("scheme.lr", "task.hidden")}, seed=1)]
    trials = pd.concat([one.trials for one in both], ignore_index=True)
    chart = parallel.chart(both, trials, LOOK, "max", ["plain", "b", "a"])
    assert sorted(set(chart.data["row"])) == list(range(16))
    still = vega.still(chart)
    assert ">b</text>" in still
    assert ">a</text>" not in still
    assert "batch_size" not in still
    assert ">task.hidden</text>" in still


def test_priors_are_drawn_between_the_values_that_were_tried():
    space = {"scheme.lr": LogNormal(0.01, 1.0), "task.hidden": SPACE["task.hidden"]}
    one = drawn(space=space, number=20)
    rates = [values["scheme.lr"] for values in one.values]
    axis = parallel.axes_of(one)[0]
    assert (axis.low, axis.high, axis.logarithmic) == (min(rates), max(rates), True)


def test_bars_are_the_importances_and_the_sentence_says_them():
    told = [Importance("a", 30, {"x": 0.75, "y": 0.25}), Importance("b", 30, {"x": 0.4, "z": 0.6})]
    chart = importances.chart(told, LOOK, ["plain", "b", "a"], "t")
    assert chart.data.to_numpy().tolist() == [["a", "x", 0.75], ["a", "y", 0.25], ["b", "x", 0.4], ["b", "z", 0.6]]
    assert chart.sentence == "Importance of hyper-parameters on t. a: x 0.75, y 0.25; b: x 0.40, z 0.60."
    still = vega.still(chart)
    assert [text for text in ("0.40", "0.60", "0.75", "0.25") if f">{text}<" in still] == ["0.40", "0.60"]
    assert importances.chart([], LOOK, ["a"], "t") is None
