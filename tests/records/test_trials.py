"""The worth, the cost and the hit of a trial are settled in one place."""

import numpy as np
import pandas as pd
import pytest
from recorded import record, training

from study.answers.study import ReportOptions, answers_of
from study.answers.summary import Options, summarize
from study.answers.trials import trials_of
from study.records import own
from study.records.ended import best_of, ranked
from study.records.material import Level, Material
from study.records.question import Question
from study.records.table import validated
from study.records.trials import trials
from study.reports.summary import summary

NAN = float("nan")
MAX, MIN = Level("max", "accuracy", 0.1, None), Level("min", "loss", 9.0, None)
LOW = {"mode": "min", "metric": "loss", "chance": 9.0}


def of(rows, **question):
    """The trials of a table with columns trial, seed, epoch, score, and what else it gives."""
    table = pd.DataFrame(rows).assign(task="t", scheme="a")
    return trials(validated(table), Question(**question))


def planned(rows, unit):
    return trials(own.of_record(rows, unit), Question(score_at="best"))["dearest"].tolist()


@pytest.mark.parametrize("told", [(9.0, "finished"), (1e6, "finished"), (NAN, "diverged"), (1e6, "diverged")])
def test_a_loss_that_blew_up_counts_as_one_that_diverged_in_a_trial_and_in_a_mean_over_seeds(told):
    worst, status = told
    alone = trials_of(record(training([worst], status, **LOW)), MIN)
    assert (alone["score"].tolist(), alone["test_score"].tolist()) == ([9.0], [9.0])
    seeds = record(training([1.0], seed_number=0, **LOW), training([worst], status, seed_number=1, **LOW))
    assert trials_of(seeds, MIN)["score"].tolist() == [5.0]
    assert trials_of(seeds, MIN)["test_score"].tolist() == [5.0]


def test_a_score_below_chance_counts_at_chance_and_one_that_nobody_told_stays_unknown():
    assert trials_of(record(training([0.05])), MAX)["score"].tolist() == [0.1]
    assert np.isnan(trials_of(record(training([NAN])), MAX)["score"]).all()


@pytest.mark.parametrize(("scores", "level"), [((0.03, 0.07, 0.05), MAX), ((12.0, 9.5, 11.0), MIN)])
def test_where_all_are_worse_than_chance_the_best_is_the_one_that_was_told_as_such(scores, level):
    more = LOW if level is MIN else {}
    rows = trials_of(record(*[training([score], k=k, **more) for k, score in enumerate(scores)]), level)
    assert rows["score"].tolist() == [level.chance] * 3
    assert best_of(rows, level.mode)["trial"].tolist() == [1]
    assert ranked(rows, level.mode)["trial"].tolist() == [1, 2, 0]


def test_the_best_of_each_scheme_stand_in_the_order_in_which_the_schemes_came():
    told = [("b", 0, 0.5), ("a", 1, 0.6), ("b", 2, 0.7)]
    rows = record(*[training([score], arm=arm, k=k) for arm, k, score in told])
    assert best_of(trials_of(rows, MAX), "max")["trial"].tolist() == [2, 1]


def test_running_and_failed_trials_are_never_the_best():
    rows = record(training([0.8], k=0), training([0.95], "failed", k=1), training([0.99], "running", k=2))
    found = trials_of(rows, MAX)
    assert found["score"].tolist() == pytest.approx([0.8, 0.1, NAN], nan_ok=True)
    assert best_of(found, "max")["trial"].tolist() == [0]
    line = summary(rows).iloc[0]
    assert (line["best_valid"], line["failed"], line["running"], line["trials"]) == (0.8, 1, 1, 3)


def test_a_missing_score_is_not_zero():
    """In a task whose score is a loss, 0 would be the best of all."""
    rows = record(training([NAN, NAN], k=0, **LOW), training([0.5, 0.4], k=1, **LOW))
    line = summary(rows).iloc[0]
    assert (line["best_valid"], line["test_of_best"]) == (0.4, 0.4)
    assert best_of(trials_of(rows, MIN), "min")["trial"].tolist() == [1]


def test_a_score_that_is_no_number_does_not_erase_the_best():
    assert trials_of(training([0.5, 0.9, NAN]), MAX)["score"].tolist() == [0.9]
    assert trials_of(training([0.5, 0.3, NAN], **LOW), MIN)["score"].tolist() == [0.3]


def test_a_seed_that_never_existed_is_not_lost():
    rows = {"trial": [0, 1, 1], "seed": [0, 0, 1], "score": [0.8, 0.9, 0.9]}
    found = of(rows, chance=0.1)
    assert found["score"].tolist() == [0.8, 0.9]
    assert found["seeds"].tolist() == [1, 2]
    assert found["lost"].tolist() == [0, 0]


def test_a_seed_that_was_lost_counts_at_chance():
    rows = {"trial": [0, 0], "seed": [0, 1], "score": [0.9, 0.9], "status": ["finished", "failed"]}
    found = of(rows, chance=0.1)
    assert found["score"].tolist() == [0.5]
    assert (found["seeds"][0], found["lost"][0], found["status"][0]) == (2, 1, "finished")


@pytest.mark.parametrize("seeds", [("finished", "running"), ("finished",)], ids=["running", "to come"])
def test_a_seed_still_to_come_leaves_its_trial_open(seeds):
    parts = [training([0.8], status, seed_number=n, planned=2) for n, status in enumerate(seeds)]
    whole = [training([0.7], k=1, seed_number=n, planned=2) for n in range(2)]
    rows = record(*parts, *whole)
    assert trials_of(rows, MAX)["status"].tolist() == ["running", "finished"]
    (answers,) = answers_of(Material("s", rows), ReportOptions())
    assert [result.n for result in answers.results] == [1]


def test_it_is_open_too_where_no_trial_has_all_its_seeds_yet():
    rows = record(*(training([0.8], k=k, planned=2) for k in range(3)))
    assert trials_of(rows, MAX)["status"].tolist() == ["running"] * 3
    line = summary(rows).iloc[0]
    assert (line["running"], line["passes"]) == (3, 3.0)
    assert np.isnan(line["best_valid"])


def test_what_seeds_used_adds_up_in_every_unit():
    seeds = (training([0.8, 0.9], seed_number=0), training([0.7], seed_number=1, seconds=5.0))
    (row,) = trials_of(record(*seeds), MAX).to_dict("records")
    assert [row[unit] for unit in ("passes", "flops", "steps", "seconds")] == [3.0, 3.0, 3.0, 7.0]


def test_a_mean_that_equals_the_target_but_for_rounding_is_a_hit():
    seeds = [0.7, 0.8, 0.9]
    assert sum(seeds) / 3 < 0.8 < sum(seeds) / 3 + 1e-15
    found = of({"trial": [0] * 3, "seed": range(3), "score": seeds}, target=0.8)
    assert found["hit"].tolist() == [True]
    assert of({"trial": [0], "score": [float(np.float32(0.9))]}, target=0.9)["hit"].tolist() == [True]
    assert of({"trial": [0], "score": [0.8 - 1e-6]}, target=0.8)["hit"].tolist() == [False]


def test_a_mean_over_seeds_exists_once_each_has_had_a_value():
    rows = {"trial": [0] * 3, "seed": [0, 0, 1], "epoch": [1, 2, 2], "score": [0.9, 0.1, 0.1]}
    assert of(rows, target=0.8)["hit"].tolist() == [False]
    rows["score"] = [0.9, 0.8, 0.8]
    found = of(rows, target=0.8)
    assert (found["hit"][0], found["charged"][0]) == (True, 4.0)  # both seeds trained for two epochs


def test_of_seeds_told_at_different_epochs_each_ones_last_value_counts():
    rows = {"trial": [0] * 3, "seed": [0, 0, 1], "epoch": [1, 3, 2], "score": [0.9, 0.5, 0.8]}
    found = of(rows, target=0.84, score_at="best")
    assert found["score"][0] == pytest.approx(0.85)  # at epoch 2: .9 of the first and .8 of the second
    assert (found["hit"][0], found["charged"][0]) == (True, 3.0)


@pytest.mark.parametrize("seeds", [1, 2])
def test_no_earlier_score_stands_for_a_last_one_that_nobody_told(seeds):
    rows = {"trial": [0, 0] * seeds, "seed": [0, 0, 1, 1][: 2 * seeds], "epoch": [1, 2] * seeds}
    untold = rows | {"score": [0.9, NAN] * seeds}
    assert np.isnan(of(untold)["score"]).all()
    assert of(untold, score_at="best")["score"].tolist() == [0.9]
    table = pd.DataFrame(untold).assign(task="t", scheme="a")
    notes = summarize(validated(table), Options(Question(chance=0.1)))[0].notes
    assert any("no score, and that count at chance: 1" in note for note in notes)
    assert of(untold, chance=0.1, target=0.85)["hit"].tolist() == [True]


def test_a_failed_trial_without_a_record_is_a_trial():
    nothing = training([NAN], "failed", k=1, record=0, epoch=0.0, **dict.fromkeys(("passes", "flops", "steps"), 0.0))
    rows = record(training([0.8], k=0, target=0.5), nothing.assign(target=0.5))
    (answers,) = answers_of(Material("s", rows), ReportOptions())
    assert [(result.n, result.hits) for result in answers.results] == [(2, 1)]
    assert summary(rows)["trials"].tolist() == [2]


def test_where_every_trial_was_lost_they_are_worth_chance():
    rows = record(training([0.8, 0.1], "diverged", k=0), training([0.7], "failed", k=1))
    line = summary(rows).iloc[0]
    assert (line["best_valid"], line["median_valid"], line["diverged"], line["failed"]) == (0.1, 0.1, 1, 1)


def test_where_nothing_was_validated_the_first_that_ended_stands_for_all():
    rows = record(
        training([NAN], "running", k=0), training([NAN], k=1, test_score=0.6), training([NAN], k=2, test_score=0.9)
    )
    line = summary(rows).iloc[0]
    assert line["test_of_best"] == 0.6
    assert np.isnan(line["best_valid"])


def test_a_task_without_a_target_is_left_out_of_the_profile_and_that_is_said():
    """Each scheme hits with every trial at `there`; nothing can be hit at `aimless`."""
    rows = [
        {"task": task, "scheme": scheme, "trial": k, "score": 0.9, "cost": cost}
        for task in ("there", "aimless")
        for scheme, cost in (("a", 1.0), ("b", 2.0))
        for k in range(4)
    ]
    options = Options(Question(target={"there": 0.5}), draws=100)
    results = summarize(validated(pd.DataFrame(rows)), options)
    assert {result.scheme: result.profile_score for result in results} == pytest.approx({"a": 1.0, "b": 0.67}, abs=0.02)
    assert all("profile_score leaves out aimless, for want of a target" in result.notes for result in results)


def test_a_trial_can_cost_what_it_was_planned_to_cost_whatever_it_came_to():
    """Four epochs of two passes: the seed that died after one would have cost eight."""
    died = training([0.2], "diverged", epochs=4.0, passes=[2.0])
    whole = training([0.2, 0.3, 0.4, 0.5], k=1, epochs=4.0, passes=[2.0, 4.0, 6.0, 8.0])
    nothing = training([NAN], "failed", k=2, epochs=4.0, epoch=0.0, passes=[0.0])
    assert planned(record(died, whole, nothing), "passes") == pytest.approx([8, 8, NAN], nan_ok=True)
    assert planned(record(died), "epochs") == [4]
    assert planned(record(died), "seconds") == pytest.approx([NAN], nan_ok=True)
    assert planned(record(died, died.assign(seed_number=1)), "passes") == [16]


def test_the_cost_of_our_own_trials_has_a_known_end_but_for_seconds():
    died = [training([0.2], "diverged", k=k, epochs=4.0, target=0.4) for k in range(3)]
    found = [training([0.5], k=k, epochs=4.0, target=0.4) for k in range(3, 9)]
    material = Material("s", record(*died, *found))
    notes = {
        unit: answers_of(material, ReportOptions(unit=unit, draws=200))[0].results[0].notes
        for unit in ("passes", "seconds")
    }
    assert [note for note in notes["passes"] if "dearest" in note] == []
    assert [note for note in notes["seconds"] if "dearest" in note] == [
        "the interval of expected_cost, and what follows from it, holds if no trial costs more than 1 seconds, "
        "the dearest seen"
    ]
