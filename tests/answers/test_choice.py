"""The schemes to use: the cheapest in truth is among them, and what is named is as little as a sentence bears."""

import numpy as np
import pytest

from study.answers.arms import Trials
from study.answers.choice import Tuned, choices, rates
from study.answers.results import JudgedShare
from study.answers.spent import spent
from study.reports import sentences
from study.reports.sentences import settling


def arm(scheme, hits, n=64, seed=0, lr=None):
    """One pass a trial, so that E[C] = (n + 1)/(h + 1) as n grows; the first `hits` reach the target."""
    hit, ones = np.arange(n) < hits, np.ones(n)
    trials = Trials("t", scheme, hit * 1.0, ones, ones, hit, np.zeros(n, int), 1, "", lr=lr, dearest=1.0)
    return Tuned(trials, spent(trials, "passes", lambda _: np.random.default_rng((seed, hits)), 2_000)["passes"])


def chosen(**hits):
    return [one.scheme for one in choices({name: arm(name, number) for name, number in hits.items()}, "passes")]


def test_the_cheapest_comes_first_and_what_is_told_from_it_is_left_out():
    assert chosen(poor=2, best=60, near=52) == ["best", "near"]
    assert chosen(sole=3) == ["sole"]


def test_without_a_hit_nothing_is_advised():
    assert chosen(a=0, b=0) == []


def test_a_scheme_that_never_hit_is_named_last_where_the_others_are_not_told_from_it():
    assert chosen(never=0, few=1, two=2) == ["two", "few", "never"]


def test_the_truly_cheapest_is_among_them_95_times_in_100():
    """Of four schemes that hit with probability .10, .12, .14 and .15, forty trials each, 200 times."""
    generator, held = np.random.default_rng(0), 0
    for seed in range(200):
        hits = generator.binomial(40, (0.10, 0.12, 0.14, 0.15))
        tuned = {str(place): arm(str(place), number, 40, seed) for place, number in enumerate(hits)}
        held += "3" in {one.scheme for one in choices(tuned, "passes")}
    assert held >= 190


@pytest.mark.parametrize(("hits", "known"), [(4, False), (5, True)])
def test_rates_are_told_from_five_hits_on(hits, known):
    lr = np.logspace(-5, 1, 64)
    told = rates(arm("a", hits, lr=lr).trials)
    assert (told is not None) == known
    if told is not None:
        assert told == pytest.approx(np.quantile(lr[:hits], (0.5, 0.1, 0.9)))


def said(never=(), **verdicts):
    shares = {name: JudgedShare(0.5, 0.1, 0.9, verdict=verdict) for name, verdict in verdicts.items()}
    words = sentences.verdicts(shares, "base", "takes ", " of the passes of ", list(never))
    named = [word.text for word in words if word.kind == "scheme" and word.text != "base"]
    return named, "".join(word.text for word in words)


def test_a_sentence_names_at_most_three_schemes_and_counts_the_others():
    names, text = said(never=["n"], **{f"u{place}": "unclear" for place in range(8)}, dear="costs", good="saves")
    assert names == ["good", "dear", "n"]
    assert "eight others cannot be told from the baseline; n never reached it" in text
    names, text = said(**{f"s{place}": "saves" for place in range(4)}, dear="costs")
    assert len(names) == 3
    assert text.endswith("one other saves too; one other costs more")


def test_what_would_settle_it_is_told_of_the_nearest_and_of_all():
    times = {"a": 3.0, "b": 40.0}
    shares = {name: JudgedShare(0.5, verdict="unclear", times=one) for name, one in times.items()}
    assert settling(shares) == (
        "about 3 times as many trials would tell a from it, more than ten times as many would tell all"
    )
    assert settling(shares | {"c": JudgedShare(5.0, bound=">", verdict="unclear")}) == (
        "about 3 times as many trials would tell a from it"
    )
