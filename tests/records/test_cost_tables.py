"""`lr-study cost`: tables in, answers out, and bad tables refused with row and column."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from conftest import SHARED
from golden import BUDGETS, DEEPOBS_TARGET, GOLDEN

from study.answers.summary import Options, summarize
from study.commands.cost import cost as command
from study.records import files
from study.records import table as tables
from study.records.question import Question
from trainables.refusal import Refusal

ANCHORS = SHARED / "anchors"
DEEPOBS = ANCHORS / "deepobs_fmnist_2c2d.csv"
needs_anchors = pytest.mark.skipif(not ANCHORS.is_dir(), reason=f"published results are not at {ANCHORS}")

NEGATIVE = "cost must be finite and not negative, got "
GOOD = "task,scheme,trial,epoch,cost,lr,score\nt,a,0,1,5,0.1,0.2\nt,a,0,2,9,0.1,0.6\nt,b,0,1,4,1,0.9\n"


def written(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    return path


def asked(*words):
    """Exit code and JSON of `lr-study cost`, as the command line would run it."""
    return CliRunner().invoke(command, [*map(str, words)], standalone_mode=False, catch_exceptions=False)


@needs_anchors
def test_the_command_gives_the_golden_numbers_as_json(tmp_path):
    out = tmp_path / "out.json"
    words = "--target", DEEPOBS_TARGET, "--baseline", "sgd", "--chance", 0.1, "--json", out
    asked(DEEPOBS, *words, "--draws", 200)
    results = {result["scheme"]: result for result in json.loads(out.read_text())}
    for scheme, golden in GOLDEN.items():
        result = results[scheme]
        assert result["task"] == "fmnist_2c2d"
        assert (result["n"], result["hits"]) == (36, golden["hits"])
        assert round(result["expected_trials"]["estimate"], 2) == golden["trials"]
        assert round(result["expected_cost"]["estimate"]) == golden["cost"]
        assert [round(result["expected_best"][str(k)], 4) for k in BUDGETS] == golden["best"]
        assert [round(result["expected_best_biased"][str(k)], 4) for k in BUDGETS] == golden["biased"]
        assert round(result["sensitivity"]["full"], 4) == golden["full"]
        assert round(result["sensitivity"]["window"], 4) == golden["window"]
        assert round(result["width_decades"], 9) == golden["width"]
        share = golden["cost"] / GOLDEN["sgd"]["cost"]
        assert result["share_to_target"]["estimate"] == pytest.approx(share, rel=2e-3)
        assert set(map(int, result["expected_best_interval"])) == {1, 2, 3, 4}  # k ≤ 36/8, nowhere else


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        (GOOD.replace("score\n", "points\n"), "lacks the column 'score'"),
        (GOOD.replace("0.6", "good"), "row 2, column 'score': 'good' is not a number"),
        (GOOD.replace("t,b,0,1,4,1", "t,b,0,1,4,one"), "row 3, column 'lr': 'one' is not a number"),
        (GOOD.replace("a,0,2", "a,0,1"), "row 2, column 'epoch': a second row for task=t, scheme=a, trial=0"),
        (GOOD.replace("1,4,1", "1,-4,1"), "row 3, column 'cost': " + NEGATIVE + "-4"),
        (GOOD.replace("1,4,1", "1,inf,1"), "row 3, column 'cost': " + NEGATIVE + "inf"),
        (GOOD.replace("2,9", "2,3"), "row 2, column 'cost': cost is cumulative"),
        (GOOD.replace("1,4,1", "1,4,-1"), "row 3, column 'lr': lr must be positive"),
        (GOOD.replace("t,b,0", "t,,0"), "row 3, column 'scheme': scheme must not be empty"),
        ("task,scheme,trial,score\n", "the table has no rows"),
        ("task,scheme,trial,score,status\nt,a,0,1,lost\n", "row 1, column 'status': unknown status 'lost'"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused_with_row_and_column(tmp_path, bad, line):
    with pytest.raises(Refusal) as refusal:
        summarize(files.read_table(written(tmp_path, bad)).table, Options())
    assert line in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--baseline", "c"], "unknown baseline 'c'"),
        (["--target", "nan"], "nobody can be on either side of a target of nan"),
        (["--target", "inf"], "nobody can be on either side of a target of inf"),
        (["--target", "0.1", "--chance", "0.1"], "everybody reaches a target of 0.1 by chance"),
        (["--target", "0.9", "--chance", "0.1", "--mode", "min"], "must be below it"),
        (["--target", "x=0.9"], "unknown task in --target 'x'"),
        (["--target", "high"], "--target takes a number"),
        (["--dearest", "8"], "--dearest 8, and a trial of a cost 9: give at least that"),
        (["--dearest", "inf"], "--dearest must be positive and finite"),
        (["--dearest", "x=9"], "unknown task in --dearest 'x'"),
        (["--column", "score=points"], "unknown column 'points'"),
        (["--column", "points=score"], "unknown column 'points'"),
    ],
)  # fmt: skip
def test_questions_nobody_can_answer_are_refused(tmp_path, words, line):
    with pytest.raises(Refusal) as refusal:
        asked(written(tmp_path, GOOD), *words)
    assert line in str(refusal.value)


def long(scores, scheme="a", **columns):
    return pd.DataFrame({"task": "t", "scheme": scheme, "trial": range(len(scores)), "score": scores, **columns})


def one(table, **options):
    question = {
        name: options.pop(name)
        for name in ("target", "chance", "mode", "learns", "score_at", "dearest")
        if name in options
    }
    options = {"draws": 200, **options}
    return summarize(tables.validated(table), Options(Question(**question), **options))


def test_no_hit_is_a_lower_bound_without_an_upper_end():
    result = one(long([0.1, 0.2, 0.3], cost=[5, 6, 7]), target=0.9)[0].as_json()
    assert result["censored"]
    assert result["expected_cost"]["estimate"] == 18
    assert result["expected_cost"]["high"] is None
    assert result["expected_trials"]["high"] is None
    assert result["expected_trials"]["low"] > 1


def test_an_interval_says_what_it_takes_for_granted_of_the_dearest_trial():
    table = long([0.1, 0.9, 0.9], cost=[5, 6, 7])
    seen, given = one(table, target=0.5)[0], one(table, target=0.5, dearest=9)[0]
    seconds = one(table, target=0.5, dearest=9, unit="seconds")[0]
    told = "the interval of expected_cost, and what follows from it, holds if no trial costs more than "
    assert [note for note in seen.notes if told in note] == [told + "7, the dearest seen"]
    assert [note for note in given.notes if told in note] == []
    assert [note for note in seconds.notes if told in note] == [told + "9 seconds"]
    assert given.expected_cost.high > seen.expected_cost.high
    counted = one(long([0.1, 0.9, 0.9]), target=0.5)[0]  # a trial is a trial: none costs more than one
    assert [note for note in counted.notes if told in note] == []
    never = one(table, target=0.95)[0]  # no upper end that could be too low
    assert [note for note in never.notes if told in note] == []


def test_trials_of_a_searcher_that_learns_have_no_formulas():
    result = one(long([0.1, 0.9]), target=0.5, learns=True)[0]
    assert result.expected_cost.estimate is result.expected_trials.estimate is None
    assert result.expected_best == {}
    assert any("not defined, because the searcher learns" in note for note in result.notes)


def test_points_that_keep_their_distance_have_no_interval_of_the_best_of_k_and_the_notes_say_why():
    scores = [k / 64 for k in range(64)]
    drawn, spaced = (one(long(scores, searcher=name), target=0.5)[0] for name in ("random", "sobol"))
    assert set(drawn.expected_best_interval) == {1, 2, 3, 4, 6, 8}
    assert not spaced.expected_best_interval
    assert spaced.expected_best == drawn.expected_best
    why = "the points of sobol do not depend on results, but on each other: they keep their distance"
    assert f"the interval of expected_best from k=1 is not defined, because {why}" in spaced.notes
    both = pd.concat([long(scores, searcher="random", scheme="a"), long(scores, searcher="halton", scheme="b")])
    share = summarize(both, Options(Question(target=0.5), baseline="a"))[1].share_at_budget
    assert (share.estimate, share.low, share.verdict) == (1.0, None, "unknown")


def test_stopped_trials_have_no_formulas_even_if_the_searcher_is_random():
    result = one(long([0.1, 0.9], status=["pruned", "finished"], searcher="random"), target=0.5)[0]
    assert result.expected_cost.estimate is None
    assert any("not defined, because trials were stopped early" in note for note in result.notes)


def test_repetitions_of_a_searcher_that_learns_give_observed_costs_in_order():
    table = long([0.1, 0.9, 0.9, 0.1], repetition=[0, 0, 1, 1], searcher="tpe", cost=[3, 4, 5, 6])
    result = one(table.assign(trial=[0, 1, 0, 1]), target=0.5)[0]
    assert result.expected_cost.estimate == (3 + 4 + 5) / 2
    assert result.expected_trials.estimate == 1.5
    assert result.expected_best == {1: 0.5, 2: 0.9}
    assert result.expected_best_biased == {}


def test_searches_that_learn_may_cost_as_much_as_trials_were_planned_to():
    """The dearest search in hand cost 11; one of two trials at 9 each would cost 18."""
    table = long([0.1, 0.9, 0.9, 0.9], repetition=[0, 0, 1, 1], searcher="tpe", cost=[3, 4, 5, 6])
    table = table.assign(trial=[0, 1, 0, 1])
    seen, known = one(table, target=0.5)[0], one(table, target=0.5, dearest=9)[0]
    told = "the interval of expected_cost, and what follows from it, holds if no search costs more than "
    assert [note for note in seen.notes if told in note] == [told + "11, the dearest seen"]
    assert [note for note in known.notes if told in note] == []
    assert known.expected_cost.estimate == seen.expected_cost.estimate == 6
    assert seen.expected_cost.high <= 11 < known.expected_cost.high <= 18
    seconds = one(table, target=0.5, dearest=9, unit="seconds")[0]
    assert [note for note in seconds.notes if told in note] == [told + "18 seconds"]


def test_a_share_at_a_budget_takes_the_most_that_a_trial_can_cost():
    scores = np.random.default_rng(0).uniform(0, 1, 64)
    table = pd.concat([long(scores, cost=[5.0] * 64), long(scores + 0.01, "b", cost=[4.0] * 64)])
    seen, known = (one(table, baseline="a", budget=4, dearest=dearest)[1] for dearest in (None, 50))
    told = "the interval of share_at_budget holds if no trial costs more than "
    assert [note for note in seen.notes if told in note] == [told + "5, the dearest seen"]
    assert [note for note in known.notes if told in note] == []
    assert known.share_at_budget.estimate == seen.share_at_budget.estimate
    assert known.share_at_budget.high > seen.share_at_budget.high
    assert known.share_at_budget.low < seen.share_at_budget.low


def test_repetitions_of_independent_trials_are_pooled():
    table = long([0.1, 0.9, 0.9, 0.1], repetition=[0, 0, 1, 1], searcher="random").assign(trial=[0, 1, 0, 1])
    result = one(table, target=0.5)[0]
    assert (result.n, result.hits) == (4, 2)
    assert result.expected_trials.estimate == pytest.approx(5 / 3)


def test_minimizing_is_maximizing_the_negative():
    scores = np.random.default_rng(0).normal(0, 1, 40)
    up = one(pd.concat([long(scores), long(scores + 1, "b")]), target=1.0, baseline="a", chance=-3.0)
    down = one(pd.concat([long(-scores), long(-scores - 1, "b")]), target=-1.0, baseline="a", chance=3.0, mode="min")
    for high, low in zip(up, down, strict=True):
        assert high.expected_cost == low.expected_cost
        assert high.share_at_budget == low.share_at_budget
        assert high.expected_best == pytest.approx({k: -best for k, best in low.expected_best.items()})
        assert high.expected_best_interval[1] == pytest.approx(
            [-end for end in reversed(low.expected_best_interval[1])]
        )


def test_the_order_of_the_table_changes_nothing():
    rng = np.random.default_rng(0)
    table = pd.concat(
        [
            long(rng.normal(0, 1, 20), cost=rng.random(20)),
            long(rng.normal(1, 1, 20), "b", cost=rng.random(20)),
        ]
    )
    table = table.reset_index(drop=True)
    once = one(table, target=1.0, baseline="a")
    again = one(table.sample(frac=1, random_state=1).reset_index(drop=True), target=1.0, baseline="a")
    assert sorted(once, key=lambda r: r.scheme) == sorted(again, key=lambda r: r.scheme)


def test_a_diverged_trial_counts_as_chance_and_for_what_it_used():
    table = long([0.5, np.nan, 0.9], cost=[10, 2, 10], status=["finished", "diverged", "finished"])
    result = one(table, target=0.8, chance=0.1)[0]
    assert result.expected_best[1] == pytest.approx(0.5)
    assert result.expected_cost.estimate == 12 / 2 + 10
    assert "give --chance" in " ".join(one(table, target=0.8)[0].notes)


def test_seeds_of_one_configuration_are_one_trial():
    table = pd.concat([long([0.2, 0.6], seed=1, cost=[1, 2]), long([0.4, 0.8], seed=2, cost=[3, 4])])
    result = one(table.reset_index(drop=True), target=0.65)[0]
    assert (result.n, result.hits) == (2, 1)
    assert result.expected_best == pytest.approx({1: 0.5, 2: 0.7})
    assert result.expected_cost.estimate == 4 / 2 + 6


def test_a_configuration_whose_seeds_were_lost_is_worth_chance():
    """Both seeds reached .9 before they were lost: a hit, and no better than chance; one of two is worth the half."""
    rows = [
        {"task": "t", "scheme": "a", "trial": trial, "seed": seed, "epoch": epoch, "score": score, "status": status}
        for trial, statuses in enumerate([["diverged", "failed"], ["finished", "diverged"]])
        for seed, status in enumerate(statuses)
        for epoch, score in enumerate([0.9, 0.1 if status == "diverged" else 0.9], 1)
    ]
    result = one(pd.DataFrame(rows), target=0.85, chance=0.1, score_at="best")[0]
    assert (result.n, result.hits) == (2, 2)
    assert result.expected_best == pytest.approx({1: (0.1 + 0.5) / 2, 2: 0.5})


def test_a_seed_that_was_lost_is_not_left_out_where_no_chance_level_stands_for_it():
    seeds = [long([0.2, 0.6], seed=seed).assign(status=status) for seed, status in ((1, "finished"), (2, "diverged"))]
    result = one(pd.concat(seeds, ignore_index=True))[0]
    assert result.expected_best == {}
    assert "a trial has no score and no chance level stands for it: give --chance" in result.notes


def test_the_test_score_of_several_seeds_is_their_mean():
    seeds = [long([0.2, 0.6], seed=1, test_score=[0.1, 0.3]), long([0.4, 0.8], seed=2, test_score=[0.5, 0.7])]
    assert one(pd.concat(seeds, ignore_index=True))[0].expected_test == pytest.approx({1: 0.4, 2: 0.5})


def test_a_failed_trial_counts_at_chance_on_test_data_too():
    table = long([0.2, 0.6, 0.1], test_score=[0.3, 0.5, np.nan]).assign(status=["finished", "finished", "failed"])
    result = one(table, chance=0.1)[0]
    assert result.expected_test[3] == 0.5
    assert result.expected_test[1] == pytest.approx((0.3 + 0.5 + 0.1) / 3)


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_diverged_trial_counts_at_chance_on_test_data_whatever_was_tested_before(seeds):
    """Our own are tested with the best of their parameters, which are from before."""
    told = long([0.6, 0.9], test_score=[0.6, 0.9]).assign(status=["finished", "diverged"])
    table = pd.concat([told.assign(seed=seed) for seed in range(seeds)]) if seeds > 1 else told
    assert one(table, chance=0.1)[0].expected_test == pytest.approx({1: 0.35, 2: 0.6})


def test_a_tolerance_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(Refusal, match="--tolerance nan is none"):
        asked(written(tmp_path, GOOD), "--tolerance", "nan")


def test_one_test_score_that_nobody_knows_is_said_and_not_guessed():
    result = one(long([0.2, 0.6], test_score=[0.3, np.nan]))[0]
    assert result.expected_test == {}
    assert "expected_test is not defined, because a trial has no test score" in result.notes


def test_trials_with_text_for_a_name_come_in_the_order_of_the_table():
    """Twelve trials in each of two searches that learn; the third one hits, and t10 comes after it."""
    names = [f"t{k}" for k in range(12)]
    once = long([0.9 if k == 2 else 0.1 for k in range(12)], cost=[1] * 12, searcher="tpe").assign(trial=names)
    for extra in ({}, {"seed": 1}):
        table = pd.concat([once.assign(repetition=r, **extra) for r in range(2)], ignore_index=True)
        if extra:
            table = pd.concat([table, table.assign(seed=2)], ignore_index=True)
        assert one(table, target=0.5)[0].expected_trials.estimate == 3


def test_what_is_chosen_on_validation_is_told_on_test():
    result = one(long([0.2, 0.6, 0.4], test_score=[0.9, 0.1, 0.5]))[0]
    assert result.expected_test[3] == pytest.approx(0.1)
    assert result.expected_test[1] == pytest.approx(0.5)


def test_suspicions_are_flagged():
    results = one(
        pd.concat([long([0.1, 0.2, 0.3], "a", lr=[1, 10, 100]), long([0.7, 0.9, 0.8], "b", lr=[1, 10, 100])]),
        includes={"a": ["b"]},
    )
    edge, loses = results[0].flags
    assert (edge.weakens, edge.words) == ("learning_rate", "the best learning rate stands on the edge of those tried")
    assert (loses.weakens, loses.words[:28]) == ("expected_best", "a contains b and loses to it")
    assert results[1].flags == []


def test_parquet_and_csv_give_the_same(tmp_path):
    files.read_table(written(tmp_path, GOOD)).table.to_parquet(tmp_path / "table.parquet")
    found = [files.read_table(tmp_path / f"table.{kind}").table for kind in ("csv", "parquet")]
    results = [summarize(table, Options(draws=200)) for table in found]
    assert results[0] == results[1]


def test_terminal_and_markdown_say_the_same(tmp_path):
    path = written(tmp_path, GOOD)
    plain, marked = (asked(path, "--target", 0.5, "--baseline", "a", *more).output for more in ([], ["--markdown"]))
    for text in ("1 of 1", "9 (", "0.444 (", "no chance level was given"):
        assert text in plain
        assert text in marked


def test_figures_that_are_defined_are_drawn_with_their_data(tmp_path):
    defined = {"some": {"expected_best", "cost_to_target"}, "none": set()}
    for name, more in (("some", ["--target", 0.5]), ("none", ["--learns"])):
        asked(written(tmp_path, GOOD), "--figures", tmp_path / name, *more)
        files = {path.name for path in (tmp_path / name).iterdir()}
        assert files == {f"{figure}.{kind}" for figure in defined[name] for kind in ("png", "csv")}
