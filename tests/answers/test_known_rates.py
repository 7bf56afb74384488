"""The worth of knowing the rate, from tables to sentences: the field known of each arm, and the words about it."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from recorded import record, training

from study import cost
from study.answers.results import EvenFactor, JudgedShare, Result
from study.answers.summary import Options, summarize
from study.commands.cost import cost as command
from study.records import own
from study.records.drawn import with_rates
from study.records.question import Question
from study.records.table import validated
from study.reports.knowledge import sentence, tables
from study.reports.sentences import sentence_text
from trainables.refusal import Refusal

LOW, HIGH = 1e-5, 10.0
OPTIONS = Options(Question(target=0.9), "sgd", draws=300)


def rated(scheme, n, rng, width=1.0):
    """n trials whose rates were drawn log-uniformly: hits lie within so many decades around 10⁻², and end early."""
    x = -5 + 6 * rng.random(n)
    hit = (np.abs(x + 2) < width) & (rng.random(n) < 0.8)
    score = np.where(hit, 0.95, 0.5)
    spent = np.where(hit, rng.integers(2, 6, n), 10.0)
    return pd.DataFrame({"scheme": scheme, "trial": range(n), "score": score, "cost": spent, "lr": 10**x})


def free(scheme, n, rng, share):
    """n trials without a rate, of which this share hits."""
    score = np.where(np.arange(n) < share * n, 0.95, 0.5)
    return rated(scheme, n, rng).assign(score=score, cost=np.where(score > 0.9, 4.0, 10.0), lr=math.nan)


def asked(*parts, rates=(("", (LOW, HIGH)),), options=OPTIONS):
    """Their results by scheme."""
    table = validated(pd.concat(parts, ignore_index=True).assign(task="t"))
    return {one.scheme: one for one in summarize(with_rates(table, dict(rates)), options)}


@pytest.fixture(scope="module")
def told():
    rng = np.random.default_rng(0)
    return asked(rated("sgd", 400, rng), rated("wide", 64, rng, 2.5), free("prodigy", 400, rng, 0.4))


def test_the_curve_is_the_statistic_of_the_rates_and_costs_of_the_trials():
    trials = rated("sgd", 64, np.random.default_rng(1))
    (one,) = asked(trials).values()
    hit = (trials["score"] > 0.9).to_numpy()
    arm = cost.Searched(np.log10(trials["lr"].to_numpy()), trials["cost"].to_numpy(), hit, -5.0, 6.0)
    for factor, decades in ((100, 4.0), (10, 2.0), (3, 2 * math.log10(3))):
        point = one.known_within[factor]
        assert point.estimate == pytest.approx(cost.known_cost(arm, decades).value)
        assert point.factor == pytest.approx(factor)
        assert point.low < point.estimate < point.high
    assert one.known_cost[-1].estimate == one.expected_cost.estimate
    assert one.known_cost[0].decades == pytest.approx(8 * 6 / 64)


def test_a_scheme_without_a_rate_costs_the_same_whatever_is_known(told):
    free_of = told["prodigy"]
    assert free_of.known_field == ""
    assert {point.estimate for point in free_of.known_cost} == {free_of.expected_cost.estimate}
    assert told["sgd"].known_field == "lr"


def test_the_break_even_is_where_the_curves_of_the_result_cross(told):
    even, base = told["prodigy"].break_even, told["sgd"].known_cost
    level = told["prodigy"].expected_cost.estimate
    crossed = next(point for point in base if point.estimate > level)
    before = base[base.index(crossed) - 1]
    assert before.factor < even.factor <= crossed.factor
    assert even.low < even.factor < even.high
    assert even.ratio == pytest.approx(level / told["sgd"].expected_cost.estimate)
    assert told["sgd"].break_even.ratio is None


def test_the_sentence_says_which_is_dearer_from_nothing_and_when_it_does_as_well(told):
    said = sentence_text(sentence(told["prodigy"], told["sgd"]))
    times = told["sgd"].expected_cost.estimate / told["prodigy"].expected_cost.estimate
    assert said.startswith(f"On t, tuned from nothing, sgd costs {times:.2f} [")
    assert " times prodigy; who knows the rate within a factor of " in said
    assert said.endswith("] does as well with sgd.")
    (made,) = tables([*told.values()])
    assert said in made.remarks


@pytest.mark.parametrize(
    ("even", "words"),
    [
        (EvenFactor("b", 5.0, narrowest=2.4), "who knows the rate within a factor of 2.4 pays more for it too."),
        (EvenFactor("b", 5.0, 9.0, 1.0, 30.0, 2.4), "they are not told apart within a factor of 30."),
        (EvenFactor("b", 5.0, None, 30.0, math.inf, 2.4), "they are told apart within a factor of 30 only."),
        (
            EvenFactor("b", 5.0, 9.0, 3.0, 30.0, 2.4),
            "who knows the rate within a factor of 9 [3, 30] does as well with a.",
        ),
    ],
    ids=["apart", "open below", "open above", "closed"],
)
def test_where_the_interval_has_an_open_end_there_is_no_factor_but_words(even, words):
    share = JudgedShare(5.0, 2.0, 9.0, verdict="costs")
    one = Result("t", "a", 9, 9, 0.9, share_to_target=share, known_field="scheme.lr", break_even=even)
    said = sentence_text(sentence(one, Result("t", "b", 9, 9, 0.9, known_field="")))
    assert said == f"On t, tuned from nothing, a costs 5.00 [2.00, 9.00] times b; {words}"


def test_another_field_is_called_by_its_name():
    share, even = JudgedShare(5.0, 2.0, 9.0, verdict="costs"), EvenFactor("b", 5.0, 9.0, 3.0, 30.0, 2.4)
    level = Result("t", "a", 9, 9, 0.9, share_to_target=share, known_field="scheme.level", break_even=even)
    for field, known in (("", "scheme.level of a"), ("optimizer.lr", "the rate and scheme.level of a")):
        said = sentence_text(sentence(level, Result("t", "b", 9, 9, 0.9, known_field=field)))
        assert f"who knows {known} within" in said


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"searcher": "grid"}, "the searcher grid does not draw at random"),
        ({"searcher": "tpe"}, "the searcher tpe learns from earlier trials"),
        ({"status": "stopped"}, "trials were stopped early"),
        ({"score": 0.5}, "no trial reached the target, so that no rate is known to have worked"),
        ({"keep": 15}, "a window is told where there are 16 trials"),
    ],
    ids=["grid", "tpe", "stopped", "no hit", "few"],
)
def test_what_no_window_can_be_told_of_is_said(changed, why):
    keep = changed.pop("keep", 64)
    one = asked(rated("sgd", 64, np.random.default_rng(2)).assign(**changed).head(keep))["sgd"]
    assert any(note.startswith("known_cost is not defined") and why in note for note in one.notes)
    assert (one.known_cost, one.known_within, one.known_field) == ([], {}, None)


def test_without_the_ends_of_the_rates_nothing_is_told():
    table = validated(rated("sgd", 64, np.random.default_rng(3)).assign(task="t"))
    (one,) = summarize(table, OPTIONS)
    assert (
        "known_cost is not defined, because nobody says from where to where its rates were drawn (--rates)" in one.notes
    )
    assert tables([one]) == []


def test_few_hits_are_a_doubt():
    rng = np.random.default_rng(4)
    many, few = (asked(rated("sgd", n, rng))["sgd"] for n in (128, 20))
    assert (many.hits >= 10, few.hits < 10) == (True, True)
    weak = [[flag.words for flag in one.flags if flag.weakens == "known_cost"] for one in (many, few)]
    assert weak == [[], ["fewer than 10 hits: the cost within a window is estimated low"]]


@pytest.mark.parametrize(
    ("rates", "line"),
    [
        ({"": (1e-4, 1.0)}, "--rates 0.0001,1, and trials of sgd have rates from"),
        ({"sdg": (LOW, HIGH)}, "scheme in --rates 'sdg'"),
    ],
    ids=["outside", "unknown"],
)
def test_rates_that_cannot_be_are_refused(rates, line):
    with pytest.raises(Refusal) as refused:
        asked(rated("sgd", 64, np.random.default_rng(5)), rates=rates.items())
    assert line in str(refused.value)


def trial(k, rng, **about):
    """One training of three epochs that hits where its field lies near the middle of its domain."""
    return training([0.2, 0.4, 0.95 if rng.random() < 0.5 else 0.5], k=k, target=0.9, **about)


def test_an_arm_of_ours_is_known_by_its_rate_else_by_the_only_field_it_searches():
    rng, lr = np.random.default_rng(6), {"log_uniform": [1e-3, 1.0]}
    searched = {
        "a": {"scheme.lr": lr, "decay.weight_decay": {"uniform": [0, 1]}},
        "b": {"scheme.level": {"log_uniform": [0.1, 4.0]}},
        "c": {},
        "d": {"scheme.lr": {"choice": [0.1, 0.2]}},
    }
    drawn = {"a": "scheme.lr", "b": "scheme.level", "c": "scheme.other", "d": "scheme.lr"}
    trials = [
        trial(k, rng, arm=arm, **{"scheme.lr": math.nan} | {field: 10 ** rng.uniform(-0.9, -0.1)})
        for arm, field in drawn.items()
        for k in range(32)
    ]
    table = own.of_record(record(*trials), "passes", searched)
    found = {one.scheme: one for one in summarize(table, Options(Question(target=0.9, score_at="best"), draws=200))}
    assert [found[arm].known_field for arm in "abc"] == ["scheme.lr", "scheme.level", ""]
    assert [found["b"].known_cost[-1].decades, found["a"].known_cost[-1].decades] == [pytest.approx(3.0)] * 2
    assert any("scheme.lr was not drawn log-uniformly" in note for note in found["d"].notes)


def test_many_trials_are_taken_together_with_their_neighbours():
    rng = np.random.default_rng(7)
    x = -5 + 6 * rng.random(1200)
    hit = (np.abs(x + 2) < 1) & (rng.random(1200) < 0.8)
    arm = cost.Searched(x, np.where(hit, 3.0, 10.0), hit, -5.0, 6.0)
    grouped = arm.grouped()
    assert (grouped.x.size, grouped.counts.sum(), grouped.hits) == (256, 1200, arm.hits)
    for decades in (0.5, 2.0, 6.0):
        exact = cost.known_cost(arm, decades).value
        assert cost.known_cost(grouped, decades).value == pytest.approx(exact, rel=0.03)
    few = cost.Searched(x[:99], np.where(hit, 3.0, 10.0)[:99], hit[:99], -5.0, 6.0)
    assert few.grouped() is few


def test_the_command_writes_table_figure_and_json(tmp_path):
    rng = np.random.default_rng(8)
    pd.concat([rated("sgd", 64, rng), free("prodigy", 64, rng, 0.9)]).assign(task="t").to_csv(tmp_path / "t.csv")
    words = "--target", "0.9", "--baseline", "sgd", "--rates", "1e-5,10", "--json", str(tmp_path / "out.json")
    told = [str(tmp_path / "t.csv"), *words, "--draws", "200", "--markdown", "--figures", str(tmp_path)]
    done = CliRunner().invoke(command, told, standalone_mode=False, catch_exceptions=False)
    assert "### t: cost to target, for whoever knows the rate within a factor" in done.output
    assert "* On t, tuned from nothing, sgd costs " in done.output
    (made, *_) = json.loads((tmp_path / "out.json").read_text())
    drawn = pd.read_csv(tmp_path / "known_cost.csv")
    sgd = drawn[drawn["scheme"] == "sgd"]
    assert sgd["expected_cost"].tolist() == pytest.approx([point["estimate"] for point in made["known_cost"]])
    assert made["known_within"]["10"]["decades"] == 2.0
    assert (tmp_path / "known_cost.png").is_file()


def test_no_arm_loses_a_number_where_another_has_few_trials():
    rng = np.random.default_rng(7)
    many, few = (rated(name, n, rng, width) for name, n, width in (("sgd", 128, 1.0), ("few", 16, 2.5)))
    alone, beside = (asked(*parts)["sgd"] for parts in ((many,), (many, few)))
    assert beside.known_within == alone.known_within
    assert [*alone.known_within] == [100, 10, 3]
    told = asked(many, few)["few"]
    assert [*told.known_within] == [100]  # 8 of 16 trials lie in three of six decades
    assert told.break_even.narrowest == pytest.approx(10 ** (8 * 6 / 16 / 2))


def test_a_hit_alone_within_a_window_is_a_lower_bound():
    """One hit is the anchor, and nothing else is found around it."""
    trials = rated("sgd", 32, np.random.default_rng(8)).assign(score=[0.95] + [0.5] * 31)
    one = asked(trials)["sgd"]
    for factor in (100, 10):
        point = one.known_within[factor]
        hit = np.arange(32) == 0
        arm = cost.Searched(np.log10(trials["lr"].to_numpy()), trials["cost"].to_numpy(), hit, -5.0, 6.0)
        assert (point.estimate, point.bound) == (cost.known_cost(arm, point.decades).value, ">")
        assert (point.low, point.high) == (None, None)
    assert one.known_cost[-1].bound == "="  # all is searched there: formula 1
