"""Searchers: asked again, they say the same, and they see only what they may see."""

import math
import random
import re

import pytest
from scipy.stats import qmc

from study.dispatch.dispatcher import Dispatcher
from study.dispatch.outcome import Outcome, Recorded, joined
from study.dispatch.searching import Searching
from study.plan.parse import parse
from study.search.samplers import SAMPLERS
from trainables.refusal import Refusal

TEXT = """{question: q, common: {task: quadratic, trials: %d, repetitions: %d, parallel: %d, searcher: %s},
           arms: {sgd: {direction.momentum: %s, direction: momentum, scheme.lr: %s}}}"""


def study_of(searcher, trials=12, parallel=1, repetitions=1):
    momentum, lr = "{uniform: [0.1, 0.9]}", "{log_uniform: [1e-5, 10.0]}"
    if searcher == "grid":
        momentum, lr = "{choice: [0.1, 0.5, 0.9]}", "{choice: [0.01, 0.1, 1.0, 10.0]}"
    return parse(TEXT % (trials, repetitions, parallel, searcher, momentum, lr), "searching")


def score(values):
    """A bowl over (log lr, momentum), with one region that diverges."""
    if values["scheme.lr"] > 5:
        return Outcome("diverged", 9.0)
    return Outcome("finished", (values["scheme.lr"] - 0.1) ** 2 + (values["direction.momentum"] - 0.5) ** 2)


def searched(searcher, parallel=1, delays=None):
    """All suggestions of one search; with `delays`, outcomes arrive late and out of order."""
    trials = 8 if searcher == "gp" else 12  # a Gaussian process takes a second an ask
    searching = Searching(next(study_of(searcher, trials, parallel).searches()))
    order = random.Random(delays)
    seen, running = [], []
    while not searching.done:
        if searching.ready and (delays is None or order.random() < 0.7):
            suggestion = searching.suggest()
            seen.append(suggestion.values)
            running.append(suggestion)
        elif running:
            done = running.pop(order.randrange(len(running)) if delays else 0)
            searching.observe(done.k, score(done.values))
    return seen


@pytest.mark.parametrize("searcher", SAMPLERS)
def test_asked_again_it_says_the_same(searcher):
    assert searched(searcher) == searched(searcher)


@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.parametrize("searcher", SAMPLERS)
def test_the_order_of_arrival_changes_nothing(searcher, parallel):
    assert searched(searcher, parallel, delays=1) == searched(searcher, parallel, delays=2)


@pytest.mark.parametrize("searcher", [name for name, sampler in SAMPLERS.items() if sampler.learns])
def test_one_that_learns_waits_for_what_it_must_see(searcher):
    searching = Searching(next(study_of(searcher, parallel=2).searches()))
    assert [searching.suggest().k, searching.suggest().k] == [0, 1]
    assert not searching.ready
    searching.observe(1, Outcome("finished", 1.0))
    assert not searching.ready
    searching.observe(0, Outcome("finished", 1.0))
    assert searching.ready


@pytest.mark.parametrize("searcher", [name for name, sampler in SAMPLERS.items() if not sampler.learns])
def test_one_that_does_not_learn_draws_ahead(searcher):
    searching = Searching(next(study_of(searcher).searches()))
    drawn = [searching.suggest().values for _ in range(12)]
    assert searching.exhausted
    assert len({tuple(values.values()) for values in drawn}) == 12


def test_repetitions_draw_different_configurations():
    first, second = (Searching(search).suggest() for search in study_of("random", repetitions=2).searches())
    assert first.values != second.values


def test_a_longer_budget_begins_like_a_shorter_one():
    short, long = (Searching(next(study_of("tpe", trials=n).searches())) for n in (3, 9))
    for k in range(3):
        ours, theirs = short.suggest(), long.suggest()
        assert ours == theirs
        short.observe(k, score(ours.values))
        long.observe(k, score(ours.values))


def test_the_seeds_of_a_configuration_are_told_as_their_mean():
    outcomes = {0: Outcome("finished", 1.0), 1: Outcome("finished", 3.0)}
    assert joined(outcomes) == Outcome("finished", 2.0)
    assert joined({**outcomes, 2: Outcome("diverged", 5.0)}).status == "diverged"


def recorded_of(study, ended):
    """What the record holds after `ended` trials of a study ran to their end, one after the other."""
    dispatcher, record = Dispatcher(study, {}), {}
    for _ in range(ended):
        _, key, trial, *_ = dispatcher.next()
        flat = trial.flat()
        outcome = score(flat)
        record[key] = Recorded("run", flat, outcome.status, outcome.score, 1, "these versions")
        dispatcher.observe(key, outcome)
    return record, dispatcher


@pytest.mark.parametrize("searcher", SAMPLERS)
@pytest.mark.parametrize("ended", [1, 7, 8])
def test_a_restarted_dispatcher_goes_on_where_the_record_ends(searcher, ended):
    study = study_of(searcher, trials=8)
    record, first = recorded_of(study, ended)
    second = Dispatcher(study, record)
    assert second.num_ended == ended
    assert second.done == first.done == (ended == 8)
    while not first.done:
        ours, theirs = first.next(), second.next()
        assert ours[1:] == theirs[1:]
        for dispatcher in (first, second):
            dispatcher.observe(ours.key, score(ours.trial.flat()))
    assert second.done


def test_a_record_with_other_parameters_is_refused_naming_the_versions():
    study = study_of("random")
    record, _ = recorded_of(study, 2)
    key = next(iter(record))
    record[key] = record[key]._replace(params={**record[key].params, "scheme.lr": 0.123})
    with pytest.raises(Refusal, match=r"recorded with scheme.lr=0.123.*these versions"):
        Dispatcher(study, record)


def test_all_searches_advance_together():
    study = parse("{question: q, common: {task: quadratic, trials: 3, searcher: tpe}, arms: {a: {}, b: {}}}", "x")
    dispatcher = Dispatcher(study, {})
    first, second = dispatcher.next().key, dispatcher.next().key
    assert (first.arm, second.arm) == ("a", "b")
    assert dispatcher.next() is None
    dispatcher.observe(first, Outcome("finished", 1.0))
    assert dispatcher.next().key == first._replace(k=1)


def test_a_trial_that_is_handed_back_is_the_next():
    study = parse("{question: q, common: {task: quadratic, trials: 3}, arms: {a: {}}}", "x")
    dispatcher = Dispatcher(study, {})
    first, second = dispatcher.next(), dispatcher.next()
    dispatcher.requeue(first)
    assert dispatcher.next() == first
    assert dispatcher.next().key.k == second.key.k + 1


def test_a_grid_visits_every_cell_once():
    seen = searched("grid")
    assert len({tuple(values.values()) for values in seen}) == 12


@pytest.mark.parametrize("searcher", ["sobol", "halton"])
def test_a_quasi_random_search_is_more_even_than_a_random_one(searcher):
    """Discrepancy of 32 points: the sequences stay far below random draws, for every scramble."""

    def discrepancy(kind):
        searching = Searching(next(study_of(kind, trials=32).searches()))
        drawn = [searching.suggest().values for _ in range(32)]
        unit = [[(math.log10(v["scheme.lr"]) + 5) / 6, (v["direction.momentum"] - 0.1) / 0.8] for v in drawn]
        return qmc.discrepancy(unit)

    assert discrepancy(searcher) < 0.5 * discrepancy("random")


def test_a_field_may_be_searched_as_a_product_with_the_rate():
    text = "{question: q, common: {task: quadratic, trials: 4}, arms: {a: {decay.weight_decay: {over_lr: \
{log_uniform: [1e-5, 1e-1]}}}}}"
    study = parse(text, "derived")
    dispatcher = Dispatcher(study, {})
    for _ in range(4):
        trial = dispatcher.next().trial
        assert trial.rule.scheme.lr * trial.rule.decay.weight_decay * (1 + 1e-12) >= 1e-5
        assert trial.rule.scheme.lr * trial.rule.decay.weight_decay <= 1e-1 * (1 + 1e-12)


SPLIT = """
question: q
common: {task: quadratic, trials: 4, rule: split}
arms:
  ratio: {rest.scheme.lr: {times_lr: {log_uniform: [0.01, 0.1]}}, rest.decay.weight_decay: {over_lr: {uniform: [1, 2]}}}
  tenth: {hidden.optimizer.lr: {times_lr: {choice: [0.1]}}}
"""


def test_of_a_split_the_ratio_of_both_rates_may_be_searched_and_a_decay_is_over_the_rate_beside_it():
    dispatcher = Dispatcher(parse(SPLIT, "ratios"), {})
    for _ in range(8):
        suggestion = dispatcher.next()
        rule = suggestion.trial.rule
        hidden, rest = rule.hidden.optimizer.lr, rule.rest.scheme.lr
        if suggestion.key.arm == "tenth":
            assert hidden == pytest.approx(0.1 * rest)
        else:
            assert 0.01 <= rest / hidden <= 0.1
            assert 1 <= rule.rest.decay.weight_decay * rest <= 2


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ("searcher: grid", "a grid needs finite domains; give scheme.lr a choice"),
        ("searcher: grid, scheme.lr: {choice: [1, 2]}, trials: 3", "the grid has 2 points, trials asks for 3"),
        ("searcher: cmaes", "cmaes needs at least 2 numbers to search"),
        ("scheme.lr: {over_lr: 3}", "over_lr needs a domain of the product"),
        ("scheme.lr: {times_lr: 3}", "times_lr needs a domain of the ratio"),
        ("scheme.lr: {times_lr: {uniform: [0, 1]}}", "scheme.lr: times_lr needs the learning rate of something else"),
    ],
)
def test_what_a_searcher_cannot_do_is_refused(arm, message):
    with pytest.raises(Refusal, match=re.escape(message)):
        parse(f"{{question: q, arms: {{a: {{task: quadratic, {arm}}}}}}}", "x")
