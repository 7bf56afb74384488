"""Learning curves: every drawn point is the record's, what is left out is said, and the best stays in."""

import numpy as np
import pandas as pd
import pytest
from recorded import record, training

from study.answers.trials import shown, shown_curves
from study.figures import learning, looks, vega
from study.records import own
from study.records.curves import curves
from study.records.ended import best_of
from study.records.question import Question
from study.records.trials import trials

RNG = np.random.default_rng(0)


def study(schemes, number, records, seeds=1):
    """Trials of rising and noisy curves; of each scheme the third diverges after its first record."""
    made = []
    for scheme in schemes:
        for k in range(number):
            for seed in range(seeds):
                scores = np.sort(RNG.uniform(0.2, 0.9, records)) + RNG.normal(0, 0.01, records)
                lost = k == 2
                told, status = ([0.1], "diverged") if lost else (scores.tolist(), "finished")
                made.append(training(told, status, arm=scheme, k=k, seed_number=seed))
    return record(*made)


def drawn(table, mode="max"):
    question = Question(mode, 0.8, 0.1, "best")
    told = curves(own.of_record(table, "passes"), question)
    rows = shown(trials(told, question))
    rows["best"] = rows.index.isin(best_of(rows, mode).index)
    look = looks(list(dict.fromkeys(rows["scheme"])))
    return learning.chart(shown_curves(told), rows, look, 0.8, mode, "t"), rows


def unpacked(columns):
    """The points that the page's script makes of them, in other words."""
    points = []
    for place, row in enumerate(columns["row"]):
        lists = {}
        for name, column in columns.items():
            if isinstance(column[0], list):
                lists[name] = column[column[place]] if isinstance(column[place], int) else column[place]
        points += [
            {"row": row, "best": columns["best"][place], "end": columns["end"][place]}
            | dict(zip(lists, point, strict=True))
            for point in zip(*lists.values(), strict=True)
        ]
    return pd.DataFrame(points)


def test_every_point_is_a_record_of_its_trial_to_four_digits():
    table = study(["a", "b"], 5, 4)
    chart, rows = drawn(table)
    points = unpacked(chart.columns)
    assert len(points) == len(table)
    told = rows.iloc[points["row"]].reset_index(drop=True)
    keys = [*zip(told["arm"], told["trial"], points["epoch"].astype(float), strict=True)]
    true = table.set_index(["arm", "k", "epoch"]).loc[keys]
    assert points["score_then"].to_numpy() == pytest.approx(true["valid_score"].to_numpy(), rel=5e-4)
    for cost in ("passes", "flops", "steps", "seconds"):
        assert points[f"{cost}_then"].tolist() == true[cost].tolist()


def test_lists_that_are_the_same_lie_in_the_page_once():
    chart, _ = drawn(study(["a", "b"], 5, 4))
    assert [one for one in chart.columns["passes_then"] if isinstance(one, list)] == [[1, 2, 3, 4], [1]]


def test_seeds_of_a_trial_are_one_curve_of_their_mean_and_their_costs_together():
    table = study(["a"], 2, 3, seeds=2)
    points = unpacked(drawn(table)[0].columns)
    means = table.groupby(["k", "epoch"])["valid_score"].mean()
    assert points["score_then"].to_numpy() == pytest.approx(means.to_numpy(), rel=5e-4)
    assert points["passes_then"].tolist() == [2, 4, 6, 2, 4, 6]


def test_the_best_of_each_scheme_is_marked_and_crosses_stand_where_trials_diverged():
    chart, rows = drawn(study(["a", "b"], 5, 4))
    points = unpacked(chart.columns)
    tops = rows.iloc[points.loc[points["best"] == 1, "row"].unique()]
    assert tops["score"].tolist() == rows.groupby("scheme")["score"].max().tolist()
    (crosses,) = [one for one in chart.spec["layer"] if one["mark"].get("shape", "").startswith("M-1")]
    assert "datum.status" in str(crosses)  # as the page has it, where `lost` is the number of seeds that were
    assert "datum.lost" not in str(chart.spec)
    ends = chart.data[(chart.data["status"] == "diverged") & (chart.data["epoch"] == chart.data["end"])]
    assert ends[["scheme", "trial", "epoch"]].to_numpy().tolist() == [["a", 2, 1.0], ["b", 2, 1.0]]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_many_trials_are_thinned_evenly_by_rank_and_the_caption_counts_them(mode, monkeypatch):
    monkeypatch.setattr(learning, "POINTS", 300)
    chart, rows = drawn(study(["a", "b"], 40, 60), mode)
    kept = chart.data.drop_duplicates("row")
    sign = -1 if mode == "min" else 1
    for scheme, mine in rows.groupby("scheme"):
        lost = mine["status"] == "diverged"
        order = mine.assign(worth=sign * mine["score"]).sort_values("worth", ascending=False, kind="stable")
        order = order.loc[[*order.index[~lost[order.index]], *order.index[lost[order.index]]]]
        ranks = [place for place, row in enumerate(order.index) if row in set(kept["row"])]
        assert (len(ranks), ranks[0], ranks[-1], scheme) == (12, 0, 39, scheme)
        assert max(np.diff(ranks)) - min(np.diff(ranks)) <= 1
    records = chart.data.groupby("row")["epoch"].agg(["min", "max", "size"])
    long = records[records["max"] > 1]
    assert (long["min"].unique().tolist(), long["max"].unique().tolist(), long["size"].max()) == ([1], [60], 40)
    assert (
        "24 of 80 trials, evenly by rank within each scheme, the best among them. At most 40 records" in chart.caption
    )
    assert "24 of 80 trials, 2 of them lost" in chart.sentence


def test_scores_that_would_hide_the_others_stand_at_the_edge_and_are_counted():
    table = study(["a"], 12, 4)
    table.loc[table["k"] == 2, "valid_score"] = 1e6
    chart, _ = drawn(table, "min")
    (low, high), *_ = (layer["encoding"]["y"]["scale"]["domain"] for layer in chart.spec["layer"][:1])
    assert low == chart.data["score_then"].min()
    assert 0.5 < high < 10
    assert "Scores beyond the axis stand at its edge (1)." in chart.caption
    assert "edge" not in drawn(study(["a"], 12, 4))[0].caption


def test_a_trial_without_a_score_has_no_curve_and_the_caption_says_so():
    table = study(["a"], 4, 2)
    table.loc[table["k"] == 2, "valid_score"] = np.nan
    chart, _ = drawn(table)
    assert set(chart.data["trial"]) == {0, 1, 3}
    assert "1 trials were never scored and have none." in chart.caption
    assert learning.chart(shown_curves(curves(own.of_record(table.assign(valid_score=np.nan), "passes"), Question())),
                          drawn(table)[1], {}, None, "max", "t") is None  # fmt: skip


def test_a_file_of_it_is_the_same_every_time_and_draws_one_curve_in_eight_and_the_best():
    chart, _ = drawn(study(["a", "b"], 20, 4))
    text = vega.still(chart)
    assert text == vega.still(chart)
    assert text.count("layer_0_marks") == len({0, 8, 16, 24, 32} | set(chart.data.loc[chart.data["best"], "row"]))
    assert "one trial in 8, and the best" in text


@pytest.mark.parametrize(("mode", "usual", "far", "target"), [("max", 0.9, -50.0, 0.95), ("min", 2.0, 1e6, 1.5)])
def test_the_axis_holds_the_target_and_leaves_out_what_would_hide_the_others(mode, usual, far, target):
    points = pd.Series([usual + n / 1000 for n in range(40)] + [far])
    low, high = learning.bounds(points, pd.Series([False] * 41), mode, target)
    assert low <= target <= high
    assert not low <= far <= high
    assert learning.beyond(points, (low, high)) == " Scores beyond the axis stand at its edge (1)."
