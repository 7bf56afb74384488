"""Shares: the scheme's cost over the baseline's, and in words only what holds for all comparisons at once."""

import math
from statistics import NormalDist

import pandas as pd
import pytest

from study import cost
from study.answers.results import JudgedShare
from study.answers.spent import level_of_all
from study.answers.summary import Options, summarize
from study.cost import Interval
from study.records.question import Question
from study.records.table import validated
from study.reports.terminal import cost_tables, markdown


def table(*names):
    """The baseline hits with 12 of 32 trials, every other scheme with 24 of 32."""
    parts = [
        pd.DataFrame({"task": "t", "scheme": name, "trial": range(32), "score": [1.0] * hits + [0.0] * (32 - hits)})
        for name, hits in (("base", 12), *((name, 24) for name in names))
    ]
    return validated(pd.concat(parts, ignore_index=True))


def shares(*names):
    options = Options(Question(target=0.5, chance=0.0), baseline="base", draws=4_000)
    return {result.scheme: result.share_to_target for result in summarize(table(*names), options)}


def test_a_share_is_the_schemes_cost_over_the_baselines_and_below_1_is_good():
    share = shares("a")["a"]
    assert share.estimate == pytest.approx((33 / 25) / (33 / 13))  # E[trials] = (n + 1)/(h + 1)
    assert share.low < share.estimate < share.high < 1
    assert share.verdict == "saves"


def test_what_is_said_of_one_scheme_is_asked_more_of_where_many_are_compared():
    many = shares(*(f"s{n:02}" for n in range(60)))
    alone, among = shares("s00")["s00"], many["s00"]
    assert (among.estimate, among.low, among.high) == (alone.estimate, alone.low, alone.high)  # tables keep 95 %
    assert among.high < 1
    assert (alone.verdict, among.verdict) == ("saves", "unclear")


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [((0.1, 0.9), "saves"), ((1.1, math.inf), "costs"), ((0.5, 1.0), "unclear"), (None, "unknown")],
)
def test_a_verdict_needs_an_interval_that_leaves_out_1(ends, verdict):
    share = JudgedShare(0.5)
    share.judge(ends and Interval(*ends))
    assert share.verdict == verdict


def test_the_levels_of_all_intervals_together_leave_95_percent():
    assert [1 - m * (1 - level_of_all(m)) for m in (1, 2, 11)] == pytest.approx([0.95] * 3)


def test_a_comparison_that_tells_nothing_says_how_many_more_trials_would():
    """12 and 16 hits of 32: s² = 1/12 + 1/16, share (33/17)/(33/13) = 13/17."""
    rows = table("a")
    rows.loc[rows.index[rows["scheme"] == "a"][16:24], "score"] = 0.0
    asked = {"baseline": "base", "draws": 2_000}
    results = summarize(rows, Options(Question(target=0.5, chance=0.0), **asked))
    share = results[1].share_to_target
    assert share.verdict == "unclear"
    factor = 1.959964**2 * (1 / 12 + 1 / 16) / math.log(13 / 17) ** 2
    assert share.times == pytest.approx(factor, rel=1e-4)
    said = f"about {factor:.2g} times as many trials would tell a from the baseline"
    assert f"no scheme can be told from the baseline: {said}" in markdown(cost_tables(results))
    never = summarize(rows, Options(Question(target=2.0, chance=0.0), **asked))  # nobody hit: nothing can be said
    assert never[1].share_to_target.times is None
    assert "as many trials" not in markdown(cost_tables(never))


def test_so_many_trials_do_settle_it():
    """The factor is right: at f times the trials, and the same share of hits, the normal interval just leaves out 1."""
    for hits, compared in (((8, 16), 1), ((5, 9), 6)):
        share = hits[0] / hits[1]
        factor = cost.times_as_many(share, hits, compared)
        spread = math.sqrt(sum(1 / (factor * each) for each in hits))
        tail = 2 * NormalDist().cdf(math.log(share) / spread)
        assert tail == pytest.approx(0.05 / compared)
    assert cost.times_as_many(1.0, (3, 3)) == math.inf


def test_what_is_told_needs_no_more_trials():
    results = summarize(table("a"), Options(Question(target=0.5, chance=0.0), baseline="base", draws=2_000))
    assert results[1].share_to_target.times is None
    assert "as many trials" not in markdown(cost_tables(results))
