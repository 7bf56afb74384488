"""The rate that a table tells of a trial: as it was given, or the one that its rule found, told by its records."""

import json

import pytest
from recorded import record, training

from study.answers.arms import arms
from study.answers.choice import rates as rates_of_hits
from study.answers.trials import trainings_of, trials_of
from study.answers.winners import winners
from study.commands.best import _text
from study.plan.file import read_file
from study.records import own
from study.records.material import Level, Material, schemes_of
from study.records.question import Question
from study.records.trials import trials
from study.reports.summary import render, summary
from trainables.optimizers import finders

LEVEL = Level("max", "accuracy", 0.1, None)
NONE = {"scheme.lr": None}
PACKAGED = {**NONE, "task": "digits_mlp", "rule": "packaged", "optimizer.lr": 1.0}
PRODIGY = {**PACKAGED, "optimizer": "prodigy"}
GROWS = [1e-6, 0.003, 0.002]


def told(*trainings):
    return trials_of(record(*trainings), LEVEL)["lr"].tolist()


@pytest.mark.parametrize("name", ["prodigy", "dadapt_adam", "dadapt_sgd", "dog"])
def test_of_an_optimizer_that_finds_its_rate_the_median_is_told_not_its_factor_of_1(name):
    assert told(training([0.5, 0.6, 0.7], **{**PRODIGY, "optimizer": name}, lr=GROWS)) == [0.002]


@pytest.mark.parametrize(
    "given",
    [
        {**NONE, "rule": "packaged", "optimizer": "mechanic", "optimizer.base.lr": 1.0},
        {**NONE, "rule": "packaged", "optimizer": "sps_safe"},
        {**NONE, "rule": "composed", "scheme": "curvature"},
    ],
    ids=["mechanic", "sps_safe", "curvature"],
)
def test_a_rule_that_is_given_no_rate_is_told_by_the_median_of_those_that_it_used(given):
    assert told(training([0.5, 0.6, 0.7], **given, lr=GROWS)) == [0.002]


@pytest.mark.parametrize(
    "given",
    [
        {"scheme": "fixed", "scheme.lr": 0.1},
        {"scheme": "hypergradient", "scheme.lr": 0.1},
        {**NONE, "rule": "packaged", "optimizer": "adamw", "optimizer.lr": 0.1},
        {**NONE, "rule": "packaged", "optimizer": "momo_adam", "optimizer.lr": 0.1},
        {**NONE, "rule": "packaged", "optimizer": "torch.optim:Adam", "optimizer.lr": 0.1},
        {**NONE, "rule": "split", "hidden.optimizer": "muon", "hidden.optimizer.lr": 0.1, "rest.optimizer": "prodigy"},
    ],
    ids=["fixed", "hypergradient", "adamw", "momo_adam", "torch.optim:Adam", "split"],
)
def test_every_other_rate_is_as_it_was_given_whatever_its_schedule_made_of_it(given):
    assert told(training([0.5, 0.6, 0.7], **given, lr=[0.1, 0.05, 0.0])) == [0.1]


def test_of_a_split_the_rate_is_that_of_its_hidden_matrices_found_where_they_find_it():
    split = {**NONE, "rule": "split", "hidden.optimizer": "prodigy", "hidden.optimizer.lr": 1.0, "rest.scheme.lr": 0.5}
    assert told(training([0.5, 0.6, 0.7], **split, lr=GROWS)) == [0.002]


def test_the_scale_that_a_scheme_puts_on_its_rate_belongs_to_the_rate_that_it_used():
    assert told(training([0.5, 0.6], **NONE, lr=0.2, scale=[0.5, 0.5])) == [0.1]


def test_the_median_is_over_all_records_of_a_trial_its_seeds_together_and_of_no_other_trial():
    seeds = [training([0.5] * 2, k=1, seed_number=n, lr=[rate] * 2, **PRODIGY) for n, rate in enumerate((1.0, 3.0))]
    rows = record(training([0.5], k=0, lr=7.0, **PRODIGY), *seeds)
    assert trials_of(rows, LEVEL)["lr"].tolist() == [7.0, 2.0]
    assert trainings_of(rows, LEVEL)["lr"].tolist() == [7.0, 2.0, 2.0]


@pytest.mark.parametrize("used", [[float("nan")] * 2, [0.0, 0.0]], ids=["none told", "nothing found"])
def test_without_a_rate_above_0_there_is_none_to_tell(used):
    assert trials_of(training([0.5, 0.6], **NONE, lr=used), LEVEL)["lr"].isna().all()


def test_costs_and_sensitivity_still_rest_on_rates_as_they_were_given():
    table, asked = own.of_record(training([0.5, 0.6, 0.7], **PRODIGY, lr=GROWS), "passes"), Question(target=0.1)
    assert table["lr"].tolist() == [1.0] * 3
    (one,) = arms(trials(table, asked), asked)
    assert (one.lr.tolist(), one.found.tolist()) == ([1.0], [0.002])


def test_rates_of_hits_are_those_that_were_found():
    trained = [training([0.9] * 3, k=k, **PRODIGY, lr=[k + 1.0] * 3) for k in range(5)]
    asked = Question(target=0.5)
    (one,) = arms(trials(own.of_record(record(*trained), "passes"), asked), asked)
    assert rates_of_hits(one).median == 3.0


@pytest.mark.parametrize("form", ["text", "markdown", "json", "csv"])
def test_every_form_of_the_table_tells_it(form):
    text = render(summary(training([0.5, 0.6, 0.7], **PRODIGY, lr=GROWS)), form)
    assert "0.002" in text
    if form == "json":
        assert json.loads(text)[0]["best_lr"] == 0.002


def test_the_best_trial_is_told_with_the_rate_that_it_found_beside_what_it_was_given():
    (winner,) = winners(Material("mine", training([0.5, 0.6, 0.7], **PRODIGY, lr=GROWS)))
    assert winner.told["lr"] == 0.002
    assert winner.configuration["optimizer.lr"] == 1.0
    assert _text(winner).splitlines()[0].endswith("test 0.7; it found a rate of 0.002")
    (winner,) = winners(Material("mine", training([0.5, 0.6, 0.7], task="digits_mlp", lr=GROWS)))
    assert winner.told["lr"] == 0.1
    assert "found" not in _text(winner)


def test_the_optimizers_that_find_their_rate_are_these():
    assert sorted(finders()) == ["dadapt_adam", "dadapt_sgd", "dog", "mechanic", "prodigy", "sps_safe"]


def test_no_name_and_no_number_of_the_text_is_cut():
    arms = [f"{'warmup-' * 12}{number}" for number in range(2)]
    text = render(summary(record(*(training([0.5], arm=arm, lr=1e-5) for arm in arms))), "text")
    assert all(arm in text for arm in arms)
    assert len(text.splitlines()) == 3


def test_schemes_stand_as_the_study_file_names_them_whichever_ran_first_and_wherever_it_was_saved():
    file = read_file("{question: q, common: {task: t}, arms: {second: {}, first: {}}}", "x")
    rows = record(training([0.5], arm="first"), training([0.5], arm="second"))
    for planned in ({}, {"first": 1, "second": 1}):
        assert schemes_of(Material("x", rows, file=file, planned=planned)) == ["second", "first"]
    assert schemes_of(Material("x", rows)) == ["first", "second"]


def test_a_rate_of_0_ends_no_report():
    rows = record(training([0.5], k=0, **{"scheme.lr": 0.0}, lr=0.0), training([0.6], k=1))
    assert own.of_record(rows, "passes")["lr"].isna().tolist() == [True, False]
    assert summary(rows)["best_lr"].tolist() == [0.1]
