"""Priors and configurations that are tried first: laws that are known, values to the last digit, costs as observed."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from study import replay
from study.answers.summary import Options, summarize
from study.dispatch.dispatcher import Dispatcher
from study.dispatch.outcome import Outcome, Recorded
from study.dispatch.searching import Searching
from study.plan.parse import parse, recorded
from study.plan.study import Search
from study.records.question import Question
from study.records.table import validated
from study.replay.curves import curves_of
from study.replay.searches import search
from study.search.samplers import SAMPLERS
from trainables.components import slots
from trainables.directions.momentum import Momentum
from trainables.refusal import Refusal
from trainables.space import LogNormal, LogUniform

PRIOR = LogNormal(0.1, 0.5, low=0.02, high=3.0)
LAW = stats.truncnorm(np.log10(0.2) / 0.5, np.log10(30) / 0.5, loc=-1, scale=0.5)  # of log10 of PRIOR, by scipy
FIELDS = "scheme.lr: {log_normal: [0.1, 0.5, 0.02, 3.0]}, direction: momentum, direction.momentum: {uniform: [0, 0.9]}"
TEXT = "{question: q, common: {task: quadratic, trials: %d, searcher: %s}, arms: {a: {" + FIELDS + ", %s}}}"
START = "start: [{scheme.lr: 0.3}, {direction.momentum: 0.7, scheme.lr: 0.1}]"
INDEPENDENT = "random", "sobol", "halton"


def arm_of(trials=8, searcher="random", words=""):
    return parse(TEXT % (trials, searcher, words), "known").arms[0]


def drawn(trials=8, searcher="random", words=""):
    """All configurations of a search whose results are a bowl in the rate and the momentum."""
    searching = Searching(next(parse(TEXT % (trials, searcher, words), "known").searches()))
    found = []
    while not searching.exhausted:
        k, values, _ = searching.suggest()
        found.append(values)
        searching.observe(k, outcome(values))
    return found


def outcome(values):
    return Outcome("finished", np.log10(values["scheme.lr"]) ** 2 + (values["direction.momentum"] - 0.5) ** 2)


# --- the law ----------------------------------------------------------------------------------------


def test_quantiles_and_shares_are_those_of_a_truncated_normal_law():
    shares = np.linspace(0, 1, 41)
    assert [np.log10(PRIOR.at(share)) for share in shares] == pytest.approx(LAW.ppf(shares), abs=1e-9)
    values = 10 ** LAW.ppf(shares)
    assert [PRIOR.share(value) for value in values] == pytest.approx(shares, abs=1e-9)


def test_a_law_that_nothing_cuts_off_has_finite_ends():
    assert 0 < LogNormal(0.1, 0.5).at(0.0) < LogNormal(0.1, 0.5).at(1.0) < np.inf


@pytest.mark.parametrize("searcher", INDEPENDENT)
def test_what_does_not_learn_draws_from_the_law(searcher):
    rates = np.log10([values["scheme.lr"] for values in drawn(256, searcher)])
    assert stats.kstest(rates, LAW.cdf).pvalue > 0.05


@pytest.mark.parametrize("searcher", ["tpe", "cmaes", "gp"])
def test_what_learns_stays_within_the_law(searcher):
    rates = [values["scheme.lr"] for values in drawn(9, searcher)]
    assert all(rate in PRIOR for rate in rates)
    assert len(set(rates)) > 5


def test_a_law_is_cut_off_where_the_field_ends():
    momentum = "direction.momentum: {log_normal: [0.9, 1]}"
    (arm,) = parse(f"{{question: q, arms: {{a: {{task: quadratic, direction: momentum, {momentum}}}}}}}", "x").arms
    law = arm.space["direction.momentum"]
    assert (law.low, law.high) == slots(Momentum, {})["momentum"].valid
    assert recorded(arm_text(momentum), "x", {"a": arm.contents()}, {}).arms[0].space["direction.momentum"] == law


def arm_text(words):
    return f"{{question: q, arms: {{a: {{task: quadratic, direction: momentum, {words}}}}}}}"


# --- tried first ------------------------------------------------------------------------------------


@pytest.mark.parametrize("searcher", [name for name in SAMPLERS if name != "grid"])
def test_what_is_given_is_tried_first_to_the_last_digit(searcher):
    first, second, *_ = drawn(3, searcher, START)
    assert first["scheme.lr"] == 0.3
    assert 0 <= first["direction.momentum"] <= 0.9  # not given: drawn
    assert second == {"scheme.lr": 0.1, "direction.momentum": 0.7}


@pytest.mark.parametrize("searcher", ["sobol", "halton"])
def test_a_sequence_begins_after_what_is_given(searcher):
    assert drawn(6, searcher, START)[2:] == drawn(4, searcher)


def test_random_draws_are_the_same_with_and_without():
    assert drawn(6, "random", START)[2:] == drawn(6, "random")[2:]


def test_a_product_is_given_by_its_field():
    decay = (
        "decay.weight_decay: {over_lr: {log_normal: [1e-3, 1]}}, start: [{scheme.lr: 0.5, decay.weight_decay: 0.01}]"
    )
    study = parse(TEXT % (2, "random", decay), "x")
    trial = Dispatcher(study, {}).next().trial
    assert (trial.rule.scheme.lr, trial.rule.decay.weight_decay) == (0.5, 0.01)


@pytest.mark.parametrize("ended", [1, 2, 5])
def test_a_restarted_dispatcher_goes_on_where_the_record_ends(ended):
    study, record = parse(TEXT % (8, "tpe", START), "known"), {}
    first = Dispatcher(study, record)
    for _ in range(ended):
        given = first.next()
        told, flat = outcome(given.trial.flat()), given.trial.flat()
        record[given.key] = Recorded("run", flat, told.status, told.score, 1, "these versions")
        first.observe(given.key, told)
    second = Dispatcher(study, record)
    while not first.done:
        ours, theirs = first.next(), second.next()
        assert ours[1:] == theirs[1:]
        for dispatcher in (first, second):
            dispatcher.observe(ours.key, outcome(ours.trial.flat()))
    assert second.done


def test_what_is_given_is_part_of_what_an_arm_is():
    arm = arm_of(words=START)
    assert arm.contents()["start"] == [{"scheme.lr": 0.3}, {"direction.momentum": 0.7, "scheme.lr": 0.1}]
    assert "start" not in arm_of().contents()
    again = recorded(TEXT % (8, "random", START), "known", {"a": arm.contents()}, {}).arms[0]
    assert (again.start, again.space) == (arm.start, arm.space)


def test_costs_of_searches_that_were_given_something_are_those_observed():
    assert arm_of(words=START).settings.searched_by == "random+start"
    scores = [0.9, 0.1, 0.1, 0.1, 0.9, 0.1]
    table = pd.DataFrame({"score": scores, "repetition": [0, 0, 0, 1, 1, 1], "trial": [0, 1, 2] * 2})
    table = table.assign(task="t", scheme="a", cost=1.0, searcher="random+start")
    (result,) = summarize(validated(table), Options(Question(target=0.5)))
    assert result.expected_cost.estimate == 1.5  # one trial in the first search, two in the second
    assert any("the first configurations of a search were given, not drawn" in note for note in result.notes)
    (once,) = summarize(validated(table[table["repetition"] == 0]), Options(Question(target=0.5)))
    assert once.expected_cost.estimate is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("start: [{scheme.lr: 20}]", "start: scheme.lr must lie in {'log_uniform': [1e-05, 10.0]}, got 20"),
        ("start: [{scheme.lrr: 0.1}]", "unknown searched key in start: 'scheme.lrr': did you mean 'scheme.lr'?"),
        ("start: {scheme.lr: 0.1}", "start input should be a valid tuple"),
        ("start: [{}]", "start: a configuration gives no value"),
        ("trials: 1, start: [{scheme.lr: 1}, {scheme.lr: 0.1}]", "start names 2 configurations, and trials is 1"),
        ("scheme.lr: {log_normal: [0.1, 50]}", "log_normal reaches beyond the numbers that there are with 50 decades"),
        ("epochs: 3, start: [{epochs: 2}]", "start: epochs is fixed in this arm: leave it out"),
        ("scheme.lr: {log_normal: [0.1]}", "log_normal needs [median, standard deviation in decades], got [0.1]"),
        ("scheme.lr: {log_normal: [0, 1]}", "log_normal needs [median, standard deviation in decades], both above 0"),
        ("direction.momentum: {log_normal: [2, 1]}", "direction.momentum must lie in [0, "),
        ("searcher: grid, scheme.lr: {choice: [1, 2]}, trials: 2, start: [{scheme.lr: 1}]", "leave start out"),
    ],
)
def test_what_cannot_be_known_beforehand_is_refused_in_one_line(words, message):
    with pytest.raises(Refusal, match=re.escape(message)) as refused:
        parse(f"{{question: q, arms: {{a: {{task: quadratic, direction: momentum, {words}}}}}}}", "x")
    assert len(str(refused.value).splitlines()) == 1


# --- replayed ---------------------------------------------------------------------------------------

WIDE = parse("{question: q, common: {task: digits_mlp, trials: 4}, arms: {sgd: {}}}", "wide")
RATES = np.logspace(-5, 1, 61)


@pytest.fixture(scope="module")
def one_decade():
    """A rate of 0.1, within half a decade, reaches .9; each trial costs one pass."""
    hit = np.abs(np.log10(RATES) + 1) < 0.5
    return pd.DataFrame({"k": range(61), "scheme.lr": RATES, "valid_score": np.where(hit, 0.95, 0.5)}).assign(
        arm="sgd", task="digits_mlp", repetition=0, seed_number=0, status="finished", record=1, passes=1.0
    )


def trials_of(record, **asked):
    (row,) = replay.replay(record, WIDE, replay.ReplayOptions(target=0.9, repetitions=200, **asked))["digits_mlp"]
    return row.trials.estimate


def test_a_right_prior_saves_what_its_law_says_and_a_wrong_one_costs(one_decade):
    """P(hit) of the law: rates whose nearest recorded one is a hit lie within .45 decades of 0.1."""
    for median, trials in ((0.1, 1.584), (0.01, 7.474)):
        law = stats.norm(np.log10(median), 0.5)
        assert 1 / (law.cdf(-0.55) - law.cdf(-1.45)) == pytest.approx(trials, abs=0.01)
        curves = curves_of(one_decade, WIDE.arms[0], "passes")
        curves = curves._replace(arm=replay.with_priors(curves.arm, {"scheme.lr": [median, 0.5]}))
        found = [search(curves, Search("wide", curves.arm, i), 0.9) for i in range(200)]
        assert sum(one.trials for one in found) / sum(one.reached for one in found) == pytest.approx(trials, rel=0.35)


def test_the_right_rate_tried_first_costs_one_trial(one_decade):
    assert trials_of(one_decade, start=[{"scheme.lr": 0.1}]) == 1


def test_the_wrong_rate_tried_first_is_paid_for(one_decade):
    curves = curves_of(one_decade, WIDE.arms[0], "passes")
    wrong = replay.changed(curves.arm, replay.ReplayOptions(start=[{"scheme.lr": 1e-4}]))
    found = search(curves._replace(arm=wrong), Search("wide", wrong, 0), 0.9)
    assert found.trials > 1
    assert search(curves._replace(arm=wrong), Search("wide", wrong, 0), 0.5).trials == 1


def test_a_prior_is_cut_off_where_the_record_ends():
    arm = replay.with_priors(WIDE.arms[0], {"scheme.lr": [0.1, 2.0]})
    assert arm.space == {"scheme.lr": LogNormal(0.1, 2.0, low=1e-5, high=10.0)}
    assert WIDE.arms[0].space == {"scheme.lr": LogUniform(1e-5, 10.0)}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (replay.ReplayOptions(priors={"scheme.lrr": [0.1, 1.0]}), "did you mean 'scheme.lr'"),
        (replay.ReplayOptions(priors={"scheme.lr": [20.0, 1.0]}), "needs its median between low=1e-05 and high=10.0"),
        (replay.ReplayOptions(start=[{"scheme.lr": 20.0}]), "start: scheme.lr must lie in"),
        (replay.ReplayOptions(start=[{"epochs": 2}]), "unknown searched key 'epochs'"),
    ],
)
def test_what_cannot_be_replayed_is_refused(one_decade, asked, message):
    with pytest.raises(Refusal, match=message):
        replay.replay(one_decade, WIDE, asked)
