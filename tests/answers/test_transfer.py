"""Transfer: the loss of a choice made on other tasks, against every subset counted; the same points on every task."""

import itertools
import re

import numpy as np
import pytest
from recorded import record, training

from study.answers.study import ReportOptions, answers_of
from study.cost import transfer_regret
from study.dispatch.searching import Searching
from study.plan.parse import parse
from study.records.material import Material
from study.reports.page import as_json, markdown, page
from trainables.refusal import Refusal

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


def material_of(contents):
    """Sixteen trials on each of two tasks whose orders are opposite; the last trial is lost on both."""
    trainings = [
        training([0.1], "diverged", k=k, arm=f"a-{task}", task=task)
        if k == 15
        else training([score], k=k, arm=f"a-{task}", task=task)
        for task, sign in (("digits_mlp", 1), ("mnist_mlp", -1))
        for k, score in ((k, 0.5 + sign * k / 100) for k in range(16))
    ]
    return Material("mine", record(*trainings), contents=contents)


def test_the_page_says_what_is_lost_by_tuning_elsewhere():
    same = {"scheme.lr": {"log_uniform": [1e-3, 1.0]}, "same_points": True}
    material = material_of({"a-digits_mlp": same, "a-mnist_mlp": same})
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
    assert f"{expected[0]:+.4f}" in markdown(made)
    assert '"transfers"' in as_json(made)


def test_without_the_same_points_there_is_no_such_table():
    answers = answers_of(material_of({}), ReportOptions(draws=100))
    assert [one.transfers for one in answers] == [[], []]
