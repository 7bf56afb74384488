"""The page's words are true of ordinary records: of searches that learn, of losses, of trials that failed."""

import re

import pytest
from recorded import record, training

from study.answers.results import EvenFactor, JudgedShare, Quantity, Result
from study.answers.study import ReportOptions, answers_of
from study.figures import best, looks, save, vega
from study.records.material import Material
from study.reports import knowledge, over_tasks
from study.reports.advice import advice
from study.reports.cells import share_cell
from study.reports.forms import html
from study.reports.page import page
from study.reports.sentences import sentence, sentence_text, told
from study.reports.terminal import quantity_text


def search(arm, hits, of=16, repetition=0, **about):
    """Trials of one search, the first of which reach 0.5."""
    scores = (0.8 if k < hits else 0.2 for k in range(of))
    about = {"target": 0.5} | about
    return [training([score], arm=arm, k=k, repetition=repetition, **about) for k, score in enumerate(scores)]


def page_of(*trainings, baseline="sgd"):
    material = Material("mine", record(*trainings), baseline=baseline)
    every = answers_of(material, ReportOptions(draws=200))
    return page(material, every), every


def sentence_of(*trainings):
    return sentence_text(sentence(page_of(*trainings)[1][0]))


ONE_SEARCH = search("adam", 16, searcher="tpe")  # one that learns: its cost is not defined


def test_advice_does_not_tell_a_scheme_from_the_cheapest_whose_cost_is_not_defined():
    _, (answers,) = page_of(*search("sgd", 4), *ONE_SEARCH)
    words = sentence_text(advice(answers))
    assert "adam cannot be compared" in words
    assert "told from it" not in words
    _, (answers,) = page_of(*search("sgd", 15), *search("nag", 1), *ONE_SEARCH)
    assert sentence_text(advice(answers)).endswith(
        "every other scheme that can be compared is told from it; adam cannot be compared."
    )


def test_a_scheme_that_cannot_be_compared_is_named_whatever_the_baseline_did():
    missed = sentence_of(*search("sgd", 0, searcher="tpe"), *search("adam", 16))
    assert "the baseline sgd itself never reached the target of 0.5 accuracy in 16 trials" in missed
    assert "adam cannot be compared" in missed
    aimless = [*search("sgd", 8, 32, target=float("nan")), *search("nag", 8, 32, target=float("nan"))]
    at_budget = sentence_of(*aimless, *search("adam", 16, searcher="tpe", target=float("nan")))
    assert "nag cannot be told from the baseline; adam cannot be compared (see the notes)" in at_budget


def test_a_target_that_was_never_reached_is_named_where_nobody_saves():
    assert "nag never reached the target of 0.5 accuracy" in sentence_of(*search("sgd", 8), *search("nag", 0, 4))


def test_a_searcher_that_missed_in_some_searches_did_not_miss_the_target_altogether():
    trainings = []
    for task, found in (("digits_mlp", 6), ("mnist_mlp", 5)):
        for repetition in range(6):
            about = {"task": task, "repetition": repetition}
            trainings += search("sgd", 4, 8, **about)
            trainings += search("tpe", 8 * (repetition < found), 8, searcher="tpe", **about)
    _, every = page_of(*trainings)
    words = sentence_text(over_tasks.sentence([result for one in every for result in one.results]))
    assert "missed" not in words
    assert "tpe cannot be told from the baseline" in words


def test_a_seed_that_failed_has_not_diverged():
    seeds = [
        training([0.8], "failed" if (k, seed) == (0, 1) else "finished", arm="sgd", k=k, seed_number=seed)
        for k in range(4)
        for seed in range(2)
    ]
    text = html(page_of(*seeds)[0])
    assert "4 trials (8 trainings) that ended, 0 of them diverged" in text


@pytest.mark.parametrize("end", [0.9951, 0.9996, 0.99999, 1.0004, 1.0041])
def test_an_end_that_leaves_out_1_is_never_written_as_1(end):
    low, high = (0.8, end) if end < 1 else (end, 2.2)
    share = JudgedShare(0.9 if end < 1 else 1.5, low, high, verdict="saves" if end < 1 else "costs")
    for text in (told(share), share_cell(share, None, base=False).interval, quantity_text(share)):
        written = re.findall(r"\d+\.\d+", text)
        assert not {number for number in written if float(number) == 1}, text
        assert any(0 < abs(float(number) - 1) < 0.0055 for number in written), text
    assert told(Quantity(1.0, 0.5, 1.0)) == "1.00 [0.50, 1.00]"


def test_the_page_says_that_its_words_ask_for_more_than_an_interval():
    assert "an interval at 1 − .05/m" in html(page_of(*search("sgd", 8))[0])


def test_trials_that_hit_before_they_were_lost_are_no_misses_in_words():
    lost = sentence_of(*(training([0.8], "diverged", arm="sgd", k=k, target=0.5) for k in range(3)))
    assert lost.startswith("On t, sgd reaches the target of 0.5 accuracy")
    _, (answers,) = page_of(*search("sgd", 3, 3), training([0.8], "failed", arm="sgd", k=3, target=0.5))
    assert "1 failed three times and counts at chance" in [flag.words for flag in answers.results[0].flags]


def test_of_losses_the_lowest_are_named_in_the_chart_of_the_best():
    here = [Result("t", f"s{loss}", 8, None, None, expected_best={8: float(loss)}) for loss in range(9)]
    chart = best.chart(here, looks([result.scheme for result in here]), None, "min")
    assert set(chart.data.loc[chart.data["named"], "scheme"]) == {f"s{loss}" for loss in range(6)}


def test_trials_of_a_searcher_that_learns_are_not_called_random():
    made = [trial for repetition in range(3) for trial in search("sgd", 4, 8, repetition, searcher="tpe")]
    text = html(page_of(*made)[0])
    assert "Expected best of k trials" in text
    assert "k random trials" not in text
    assert "of 2 random trials" not in text


@pytest.mark.parametrize("few", [2, 300, 1000])
def test_an_axis_has_a_number_wherever_it_begins_and_two_where_it_goes_anywhere(few):
    for low in (0.003, 0.0213, 0.049, 0.97, 1.0, 3.7, 2100.0):
        for ratio in (1.0, 1.06, 1.9, 2.1, 4.5, 40.0, 2000.0):
            places = vega.ticks(low, low * ratio, few)
            assert len(places) >= 1 + (ratio > 1)
            assert all(low * (1 - 1e-9) <= place <= low * ratio * (1 + 1e-9) for place in places)


def test_curves_that_touch_without_crossing_have_an_interval_and_no_factor():
    share = JudgedShare(0.5, 0.3, 0.8, verdict="saves")
    base = Result("t", "sgd", 8, 4, 0.5, known_field="scheme.lr")
    one = Result("t", "adam", 8, 8, 0.5, share_to_target=share, known_field="scheme.lr")
    one.break_even = EvenFactor("sgd", 0.5, None, 3.0, 61.0, 2.0)
    assert "within a factor of [3, 61] does as well" in sentence_text(knowledge.sentence(one, base))


def test_the_files_of_charts_are_drawn_in_the_sense_of_the_scores(tmp_path):
    here = [Result("t", f"s{loss}", 8, None, None, expected_best={8: float(loss)}) for loss in range(9)]
    first, *_ = save(here, tmp_path, None, "min")
    assert first.read_bytes() == vega.picture(best.chart(here, looks([one.scheme for one in here]), None, "min"))
