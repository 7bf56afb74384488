"""One sentence for a study over its tasks, in `cost`, `report`, the page and their JSON."""

import json
import math

import pandas as pd
import pytest
from recorded import record, training

from study.answers.over_tasks import ALIKE
from study.answers.study import ReportOptions, answers_of
from study.answers.summary import Options, summarize
from study.records.material import Material
from study.records.question import Question
from study.records.source import source_of
from study.records.table import validated
from study.reports.forms import as_json, html, markdown
from study.reports.over_tasks import sentence, tables
from study.reports.page import page
from study.reports.sentences import sentence_text

HITS = {"one": {"base": 10, "good": 30, "never": 8}, "two": {"base": 4, "good": 24, "never": 0}}


def table(hits=None, **columns):
    """32 trials a task and scheme, the first of which hit."""
    rows = [
        {"task": task, "scheme": scheme, "trial": k, "score": float(k < count), **columns}
        for task, of_task in (hits or HITS).items()
        for scheme, count in of_task.items()
        for k in range(32)
    ]
    return pd.DataFrame(rows)


def results_of(rows, **options):
    asked = {"baseline": "base", "draws": 1_000} | options
    return summarize(validated(rows), Options(Question(target=0.5, chance=0.0), **asked))


def share_of(results, scheme):
    (share,) = {id(one.share_over_tasks): one.share_over_tasks for one in results if one.scheme == scheme}.values()
    return share


def test_it_is_the_geometric_mean_of_what_the_tasks_say():
    results = results_of(table())
    share = share_of(results, "good")
    of_tasks = [one.share_to_target for one in results if one.scheme == "good"]
    assert share.estimate == pytest.approx(math.sqrt((11 / 31) * (5 / 25)))  # E[trials] = 33/(h + 1)
    assert share.estimate == pytest.approx(math.sqrt(of_tasks[0].estimate * of_tasks[1].estimate))
    assert share.low < share.estimate < share.high < 1
    assert (share.verdict, share.bound, share.tasks) == ("saves", "=", ["one", "two"])
    assert share.high / share.low < max(one.high / one.low for one in of_tasks)  # two tasks say more than one


def test_only_schemes_that_ran_on_all_tasks_count_among_those_compared():
    hits = {"one": {"base": 10, "good": 18}, "two": {"base": 10, "good": 18}}
    more = {f"other-{i}": 5 for i in range(9)}
    on_one = {"one": hits["one"] | more, "two": hits["two"]}
    on_both = {task: of_task | more for task, of_task in hits.items()}
    verdicts = [share_of(results_of(table(told)), "good").verdict for told in (hits, on_one, on_both)]
    assert verdicts == ["saves", "saves", "unclear"]


def test_a_profile_says_where_a_scheme_did_not_run():
    results = results_of(table({"one": {"base": 10, "good": 18, "new": 5}, "two": {"base": 10, "good": 18}}))
    notes = {one.scheme: one.notes for one in results if one.task == "one"}
    words = "profile_score counts as missed where it did not run: two"
    assert {scheme: words in of_scheme for scheme, of_scheme in notes.items()} == {
        "base": False,
        "good": False,
        "new": True,
    }


def test_a_task_that_a_scheme_never_hits_makes_a_lower_bound_without_an_upper_end():
    share = share_of(results_of(table()), "never")
    assert (share.bound, share.high) == (">", math.inf)
    assert share.estimate == pytest.approx(math.sqrt((11 / 9) * 32 / (33 / 5)))


def test_the_sentence_names_its_tasks_and_what_it_compares():
    said = sentence_text(sentence(results_of(table())))
    assert said.startswith("Over one and two (geometric mean), good reaches the targets for 0.27 [0.1")
    assert said.endswith("of the trials of base; never missed a target altogether.")


@pytest.mark.parametrize(
    ("hits", "said"),
    [
        (
            {"one": {"base": 3, "good": 9}, "two": {"base": 0, "good": 9}},
            "the baseline base never reached the target on two.",
        ),
        ({"one": {"base": 3, "good": 9}, "two": {"good": 9}}, "the baseline base did not run on two."),
    ],
    ids=["never hit", "did not run"],
)
def test_a_task_on_which_the_baseline_has_no_cost_leaves_the_sentence_undefined_and_is_named(hits, said):
    results = results_of(table(hits))
    assert sentence_text(sentence(results)) == f"Over one and two, no share is defined: {said}"
    assert share_of(results, "good").estimate is None


def test_a_scheme_that_did_not_run_on_all_tasks_is_not_compared_and_the_table_says_why():
    hits = {"one": {"base": 9, "good": 30, "half": 9}, "two": {"base": 9, "good": 30}}
    results = results_of(table(hits))
    assert sentence_text(sentence(results)).endswith("; half cannot be compared.")
    assert "half has no share on two: it did not run" in tables(results)[0].remarks


def test_of_one_task_or_without_a_baseline_nothing_is_said():
    for results in (results_of(table({"one": HITS["one"]})), results_of(table(), baseline=None)):
        assert sentence(results) == []
        assert tables(results) == []


def test_tasks_without_a_target_are_not_among_those_named():
    rows = table({**HITS, "aimless": HITS["one"]})
    results = summarize(validated(rows), Options(Question(target={"one": 0.5, "two": 0.5}), "base", draws=200))
    assert share_of(results, "good").tasks == ["one", "two"]


def test_words_ask_more_where_many_schemes_are_compared():
    few = {task: {"base": 12, "s0": 20} for task in ("one", "two")}
    many = {task: {"base": 12, **{f"s{i}": 20 for i in range(5)}} for task in ("one", "two")}
    alone, among = (share_of(results_of(table(hits), draws=2_000), "s0") for hits in (few, many))
    assert (alone.low, alone.high, alone.estimate) == (among.low, among.high, among.estimate)
    assert (alone.verdict, among.verdict) == ("saves", "unclear")


# --- the same configurations on every task ----------------------------------------------------------


def rated(same):
    """The same trials hit on both tasks; rates that are the same there, or are not."""
    rows = table({task: {"base": 12, "good": 20} for task in ("one", "two")})
    return rows.assign(lr=(rows["trial"] + 1) * (1.0 if same else rows["task"].map({"one": 1.0, "two": 1.1})))


def test_where_rates_are_the_same_on_all_tasks_their_shares_are_drawn_together():
    """Both tasks are then one task told twice: no narrower than that."""
    same, other = results_of(rated(same=True), draws=2_000), results_of(rated(same=False), draws=2_000)
    joint, apart = share_of(same, "good"), share_of(other, "good")
    one = next(result.share_to_target for result in same if result.scheme == "good")
    assert joint.estimate == apart.estimate == pytest.approx(one.estimate)
    widths = [math.log(share.high / share.low) for share in (one, joint, apart)]
    assert widths[1] == pytest.approx(widths[0], rel=0.1)
    assert widths[2] < 0.85 * widths[0]
    assert all(ALIKE in result.notes for result in same)
    assert not any(ALIKE in result.notes for result in other)


def test_one_rate_for_all_trials_says_nothing_of_the_same_configurations():
    assert not any(ALIKE in result.notes for result in results_of(table(lr=0.1)))


def study_of(**about):
    """A recorded study of two tasks: base hits with 6, good with 12 of 16 trials, the same ones on both."""
    trainings = [
        training([0.8 if k < hits else 0.2], k=k, arm=f"{scheme}-{task}", task=task, target=0.5, **about)
        for task in ("digits_mlp", "mnist_mlp")
        for scheme, hits in (("base", 6), ("good", 12))
        for k in range(16)
    ]
    return record(*trainings)


def material_of(*, same_points):
    arms = [f"{scheme}-{task}" for task in ("digits_mlp", "mnist_mlp") for scheme in ("base", "good")]
    contents = {arm: {"direction.momentum": {"uniform": [0, 1]}} | {"same_points": same_points} for arm in arms}
    return Material("mine", study_of(), baseline="base-digits_mlp", contents=contents)


@pytest.mark.parametrize("same_points", [False, True])
def test_cost_and_the_page_of_a_study_say_the_same_and_know_of_the_same_points(same_points):
    material = material_of(same_points=same_points)
    every = answers_of(material, ReportOptions(draws=500))
    (table, notes, unit), question, baseline = source_of(material, "passes")
    results = summarize(table, Options(question, baseline, unit=unit, notes=notes, draws=500))
    of_page = every[0].results[1].share_over_tasks
    assert of_page == share_of(results, "good")
    assert of_page.estimate == pytest.approx(7 / 13)
    assert (ALIKE in results[0].notes) == same_points
    assert sentence([result for one in every for result in one.results]) == sentence(results)


def test_the_page_has_the_sentence_first_and_the_table_in_every_form():
    every = answers_of(material_of(same_points=True), ReportOptions(draws=200))
    made = page(material_of(same_points=True), every)
    words = sentence_text(made.sentence)
    assert words == (
        "Over digits_mlp and mnist_mlp (geometric mean), no scheme is shown to save tuning over base; good cannot be "
        "told from the baseline."
    )
    assert words in markdown(made).replace("\\[", "[")
    assert "Over all tasks" in markdown(made)
    assert json.loads(as_json(made))["sentence"] == words
    assert json.loads(as_json(made))["tasks"][0]["arms"][1]["share_over_tasks"]["tasks"] == ["digits_mlp", "mnist_mlp"]
    text = html(made)
    assert "its share of the passes of base" in text
    assert text.index("Over <b>digits_mlp</b>") < text.index("On <b>digits_mlp</b>")


def test_tasks_with_baselines_of_their_own_have_no_common_share():
    rows = study_of()
    alone: object = rows[rows["arm"].isin(["base-digits_mlp", "good-mnist_mlp"])]
    every = answers_of(Material("mine", alone), ReportOptions(draws=100))
    assert sentence([result for one in every for result in one.results]) == []
