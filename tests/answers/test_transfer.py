"""Transfer: the loss of a choice made on other tasks, against every subset counted; the same points on every task."""

import itertools
import re
import sys

import numpy as np
import pytest
from conftest import ROOT
from recorded import record, training

from study.answers.study import ReportOptions, answers_of
from study.answers.transfer import Transfer, budget
from study.cost import transfer, transfer_draws, transfer_regret
from study.dispatch.searching import Searching
from study.plan.parse import parse
from study.records.material import Material
from study.reports.charts import of_all_tasks
from study.reports.forms import as_json, html, markdown
from study.reports.page import page
from study.reports.transfer import sheets
from trainables.refusal import Refusal

sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
import transfer_coverage

TEXT = """{question: q, common: {trials: 8, %s}, tasks: {quadratic: {}, digits_mlp: {}},
           arms: {sgd: {}, momentum: {direction: momentum, direction.momentum: {uniform: [0, 0.9]}}}}"""


# --- the number -------------------------------------------------------------------------------------


def brute_force(valid, test, k, task):
    """Over all subsets of k: the best here, and the best mean rank elsewhere; equals are equally likely."""
    ranks = [[1 + np.sum(s > one) + (np.sum(s == one) - 1) / 2 for one in s] for s in valid.T]
    elsewhere = -np.mean([ranks[other] for other in range(valid.shape[1]) if other != task], axis=0)

    def chosen(scores, subset):
        best = max(scores[i] for i in subset)
        return np.mean([test[i, task] for i in subset if scores[i] == best])

    subsets = list(itertools.combinations(range(len(valid)), k))
    return np.mean([chosen(valid[:, task], subset) - chosen(elsewhere, subset) for subset in subsets])


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_loss_is_that_of_all_subsets_counted(k):
    generator = np.random.default_rng(k)
    valid = generator.normal(size=(9, 3))
    valid[2, 1] = valid[5, 0] = -np.inf  # lost
    test = generator.normal(size=(9, 3))
    expected = [brute_force(valid, test, k, task) for task in range(3)]
    assert transfer_regret(valid, test, k) == pytest.approx(expected, abs=1e-12)


def test_of_one_configuration_nothing_is_lost_and_of_equal_orders_nothing_either():
    generator = np.random.default_rng(0)
    valid, test = generator.normal(size=(2, 8, 3))
    assert transfer_regret(valid, test, 1) == pytest.approx(0, abs=1e-12)
    alike = np.column_stack([valid[:, 0], 2 * valid[:, 0] + 1, valid[:, 0] ** 3])
    assert transfer_regret(alike, test, 4) == pytest.approx(0, abs=1e-12)


def test_without_another_task_or_a_test_score_nothing_is_defined():
    assert not transfer_regret(np.ones((4, 1)), np.ones((4, 1)), 2)
    assert not transfer_regret(np.ones((4, 2)), np.full((4, 2), np.nan), 2)


# --- its interval -----------------------------------------------------------------------------------


def drawn_by_hand(share, ranks, worth, unseen, k):
    """All k-tuples, drawn with replacement by their shares: the highest rank is chosen, equals by their shares."""
    ranks, worth, total = [*ranks, unseen[0]], [*worth, unseen[1]], 0.0
    for tuple_ in itertools.product(range(len(share)), repeat=k):
        best = [i for i in range(len(share)) if ranks[i] == max(ranks[j] for j in tuple_)]
        chosen = sum(share[i] * worth[i] for i in best) / sum(share[i] for i in best)
        total += np.prod([share[i] for i in tuple_]) * chosen
    return total


@pytest.mark.parametrize("k", [1, 2, 3])
def test_every_draw_is_that_of_all_tuples_counted(k):
    """Four configurations on three tasks, of which the first two were lost on the second and third."""
    generator = np.random.default_rng(k)
    valid, test = generator.normal(size=(2, 4, 3))
    valid[:2, 1:] = -np.inf
    low, high = transfer_draws(valid, test, k, np.random.default_rng(0), draws=2)
    for row, share in enumerate(transfer.shares(np.ones(4), np.random.default_rng(0), 2)):
        ranks = [[sum(share[:4][s < one]) + sum(share[:4][s == one]) / 2 for one in s] for s in valid.T]
        for task in range(3):
            worth, worst, best = test[:, task], test[:, task].min(), test[:, task].max()
            there = np.mean([ranks[other] for other in range(3) if other != task], axis=0).round(12)
            ends = []
            for own, others in (((-1, worst), (2, best)), ((2, best), (2, worst))):
                here = drawn_by_hand(share, ranks[task], worth, own, k)
                ends.append(here - drawn_by_hand(share, there, worth, others, k))
            assert (low[task, row], high[task, row]) == pytest.approx(ends, abs=1e-9)


@pytest.mark.parametrize("name", transfer_coverage.LAWS)
def test_its_interval_holds_the_truth(name):
    """At full size in benchmarks/transfer_coverage.py."""
    for line in transfer_coverage.of_transfer(name, 32, 4, draws=60, bootstrap=150):
        assert line.share >= 0.93, line


# --- the same points --------------------------------------------------------------------------------


def points(words):
    """All configurations of every arm."""
    found = {}
    for search in parse(TEXT % words, "tasks").searches():
        searching = Searching(search)
        found[search.arm.name] = [searching.suggest().values for _ in range(8)]
    return found


@pytest.mark.parametrize("searcher", ["random", "sobol", "halton"])
def test_arms_of_one_entry_draw_the_same_configurations_where_that_is_asked_for(searcher):
    same = points(f"searcher: {searcher}, same_points: true")
    for arm in ("sgd", "momentum"):
        assert same[f"{arm}-quadratic"] == same[f"{arm}-digits_mlp"]
    assert [v["scheme.lr"] for v in same["sgd-quadratic"]] != [v["scheme.lr"] for v in same["momentum-quadratic"]]
    apart = points(f"searcher: {searcher}")
    assert apart["sgd-quadratic"] != apart["sgd-digits_mlp"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT % "same_points: true, searcher: tpe", "tpe learns from results: same_points cannot hold"),
        (
            (TEXT % "same_points: true").replace("digits_mlp: {}", "digits_mlp: {scheme.lr: {uniform: [0.1, 1]}}"),
            "arms 'sgd-quadratic' and 'sgd-digits_mlp' search other domains, or by another searcher",
        ),
    ],
)
def test_points_that_cannot_be_the_same_are_refused(text, message):
    with pytest.raises(Refusal, match=re.escape(message)):
        parse(text, "x")


# --- the page ---------------------------------------------------------------------------------------


def material_of(contents, number=16, searcher="random"):
    """So many trials on each of two tasks whose orders are opposite; the last trial is lost on both."""
    trainings = [
        training([0.1], "diverged", k=k, arm=f"a-{task}", task=task, searcher=searcher)
        if k == number - 1
        else training([score], k=k, arm=f"a-{task}", task=task, searcher=searcher)
        for task, sign in (("digits_mlp", 1), ("mnist_mlp", -1))
        for k, score in ((k, 0.5 + sign * k / 100) for k in range(number))
    ]
    return Material("mine", record(*trainings), contents=contents)


POINTS = {"scheme.lr": {"log_uniform": [1e-3, 1.0]}, "same_points": True}
SAME = {"a-digits_mlp": POINTS, "a-mnist_mlp": POINTS}


def test_the_page_says_what_is_lost_by_tuning_elsewhere():
    material = material_of(SAME)
    answers = answers_of(material, ReportOptions(draws=100))
    (transfer,) = answers[0].transfers
    assert (transfer.scheme, transfer.trials, list(transfer.regret)) == ("a", 16, [1, 2])
    valid = np.array([[0.5 + k / 100, 0.5 - k / 100] for k in range(15)] + [[-np.inf, -np.inf]])
    test = np.where(np.isinf(valid), 0.1, valid)
    expected = [brute_force(valid, test, 2, task) for task in range(2)]
    assert transfer.regret[2] == pytest.approx(expected[0])
    assert transfer.mean[2] == pytest.approx(np.mean(expected))
    made = page(material, answers)
    assert "Tuned elsewhere" in markdown(made)
    beside = made.sheets[-1]
    assert [column.name for column in beside.columns] == ["K", "digits_mlp", "mnist_mlp", "mean"]
    assert [cell.text for cell in beside.rows[0].cells] == [
        "2",
        *(f"{one:+.4f}" for one in (*expected, np.mean(expected))),
    ]
    assert "Tuned elsewhere, task by task" in html(made)
    assert f"{expected[0]:+.4f}" in markdown(made)
    assert '"transfers"' in as_json(made)


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_a_scheme_that_ran_on_some_tasks_is_chosen_on_those_and_stands_under_their_names(left_out):
    """Scheme b misses one of three tasks; on the others it has the scores that a has there."""
    tasks = "digits_mlp", "mnist_mlp", "quadratic"
    generator = np.random.default_rng(left_out)
    scores = generator.uniform(0.2, 0.9, size=(16, 3))
    ran = {"a": tasks, "b": [task for task in tasks if task != tasks[left_out]]}
    trainings = [
        training([score], k=k, arm=f"{name}-{task}", task=task)
        for name, on in ran.items()
        for task, column in zip(tasks, scores.T, strict=True)
        if task in on
        for k, score in enumerate(column)
    ]
    contents = {f"{name}-{task}": POINTS for name, on in ran.items() for task in on}
    made = page(
        material := Material("mine", record(*trainings), contents=contents),
        answers_of(material, ReportOptions(draws=100)),
    )
    cells = {row.scheme: [cell.text for cell in row.cells] for row in made.sheets[-1].rows}
    there = [place for place in range(3) if place != left_out]
    losses = {place: transfer_regret(scores[:, there], scores[:, there], 2)[n] for n, place in enumerate(there)}
    assert cells["b"] == ["2", *(f"{losses[place]:+.4f}" if place in losses else "—" for place in range(3)), "—"]
    assert "—" not in cells["a"]


def test_columns_of_other_metrics_are_named_by_them():
    about = {"digits_mlp": {}, "shakespeare": {"mode": "min", "metric": "bits", "chance": 6.0}}
    trainings = [
        training([0.5 + k / 100], k=k, arm=f"a-{task}", task=task, **of_task)
        for task, of_task in about.items()
        for k in range(16)
    ]
    material = Material("mine", record(*trainings), contents={f"a-{task}": POINTS for task in about})
    beside = page(material, answers_of(material, ReportOptions(draws=100))).sheets[-1]
    assert [column.name for column in beside.columns] == ["K", "digits_mlp (accuracy)", "shakespeare (bits)", "mean"]
    assert beside.rows[0].cells[-1].text == "—"


def test_a_loss_that_blew_up_counts_as_one_that_diverged():
    """A finite loss of a million, and a training that ended as not a number, are both worth chance."""

    def losses(worst, status):
        about = {"mode": "min", "metric": "bits", "chance": 6.0, "status": "finished"}
        trainings = [
            training([worst if k > 11 else 1 + (k * step % 12) / 10], k=k, arm=f"a-{task}", task=task, **about)
            for task, step in (("one", 1), ("two", 5))
            for k in range(16)
        ]
        rows = record(*trainings)
        rows.loc[rows["k"] > 11, "status"] = status
        material = Material("mine", rows, contents={f"a-{task}": POINTS for task in ("one", "two")})
        answers = answers_of(material, ReportOptions(draws=100))
        (result,) = answers[0].results
        return answers[0].transfers[0].regret, result.expected_best, result.expected_test

    assert losses(1e6, "finished") == losses(6.0, "finished")
    assert losses(1e6, "finished")[1] == losses(float("nan"), "diverged")[1]


def test_the_chart_of_all_tasks_draws_the_same_losses():
    answers = answers_of(material_of(SAME, 32), ReportOptions(draws=100))
    (shown,) = [one for one in page(material_of(SAME, 32), answers).charts if one.chart.name == "transfer"]
    data = shown.chart.data.set_index("quantity")
    for one in answers:
        (told,) = one.transfers
        assert data.loc[one.task, "loss"] == told.regret[4]
        assert (data.loc[one.task, "low"], data.loc[one.task, "high"]) == told.interval[4]
    assert shown.svg.startswith("<svg")
    assert of_all_tasks(answers_of(material_of({}), ReportOptions(draws=100)), {}, ["passes"]) == []


def test_schemes_of_fewer_trials_have_all_compared_at_their_budget():
    assert budget([Transfer("a", 32, {1: 0.0, 2: 0.1, 4: 0.2}), Transfer("b", 16, {1: 0.0, 2: 0.1})]) == 2


@pytest.mark.parametrize(
    ("number", "searcher", "printed"), [(32, "random", True), (31, "random", False), (32, "sobol", False)]
)
def test_an_interval_is_printed_from_32_independent_trials_on(number, searcher, printed):
    answers = answers_of(material_of(SAME, number, searcher), ReportOptions(draws=100))
    (told,) = answers[1].transfers
    kept = [2, 4] if printed else []
    assert (list(told.interval), list(told.mean_interval)) == (kept, kept)
    for k in kept:
        assert told.interval[k].low <= told.regret[k] <= told.interval[k].high
        assert told.mean_interval[k].low <= told.mean[k] <= told.mean_interval[k].high
    (sheet,) = sheets(answers[1])
    assert [bool(cell.interval) for cell in sheet.rows[0].cells] == [False, *(printed for _ in sheet.columns[1:])]


def test_without_the_same_points_there_is_no_such_table():
    answers = answers_of(material_of({}), ReportOptions(draws=100))
    assert [one.transfers for one in answers] == [[], []]
