"""Stoppers: which trials end early and where, whatever order results arrive in.

On a real Ray, with any number of slots and after kills: tests/execution/test_reconciler.py.
"""

import json
import math
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState
from stopped import Curve, stopped_lengths

from study.answers.summary import Options, summarize
from study.dispatch.dispatcher import Dispatcher
from study.dispatch.outcome import Outcome, Recorded
from study.dispatch.searching import Searching
from study.execution.runner import run as run_study
from study.plan.parse import parse
from study.records.own import of_record
from study.records.question import Question
from study.search.stoppers import STOPPERS, Asha
from study.tracking import Tracker, read
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.run.stopping import Rung, stopped_at
from trainables.trial import Record, Trial

HALVES = Asha(min_epochs=1.0, reduction=2)
CURVES = {  # five records, rungs at 1, 2 and 4; where each ends was worked out by hand
    (0.5, 0.6, 0.6, 0.7, 0.7): None,  # the first has nobody to be judged against
    (0.4, 0.9, 0.9, 0.9, 0.9): 1,  # of two the best goes on: 0.4 < 0.5
    (0.6, 0.5, 0.5, 0.65, 0.9): 4,  # equals 0.6, its best so far, at the second rung; 0.65 < 0.7
    (0.5, 0.5, 0.9, 0.9, 0.9): 2,  # of four the best two go on: 0.5 will do; of three the best one: 0.5 < 0.6
}


def test_curves_end_where_a_calculation_by_hand_says():
    assert stopped_lengths(HALVES, map(Curve, CURVES)) == [length or 5 for length in CURVES.values()]
    reached = [HALVES.reached(k, scores[:length]) for k, (scores, length) in enumerate(CURVES.items())]
    assert reached[2] == (Rung(1, 0.6), Rung(2, 0.6), Rung(4, 0.65))
    diverged = HALVES.reached(4, [0.7, 0.1], diverged=True)
    assert diverged == (Rung(1, 0.7), Rung(2, 0.1))
    # At 1: the third best of .7 .6 .5 .5 .4; at 2: the second best of .6 .6 .5 .1; at 4: the best of .7 .65.
    assert HALVES.bars(5, [*reached, diverged]) == (Rung(1, 0.5), Rung(2, 0.6), Rung(4, 0.7))


def test_a_trial_that_diverged_between_rungs_counts_at_the_next_and_at_no_later_one():
    thirds = Asha(min_epochs=1.0, reduction=3)
    assert thirds.reached(0, [0.7, 0.1], diverged=True) == (Rung(1, 0.7), Rung(3, 0.1))
    assert thirds.reached(0, [0.1], diverged=True) == (Rung(1, 0.1),)


def test_rungs_are_counted_in_epochs():
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    quarters = Asha(min_epochs=0.5, reduction=2).reached(0, scores, record_every=0.25)
    assert quarters == (Rung(2, 0.2), Rung(4, 0.4), Rung(8, 0.8))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(0, 5), st.integers(2, 5))
def test_a_bar_is_passed_exactly_by_those_among_the_best(others, score, reduction):
    """Counted: fewer than max(1, ⌊n/η⌋) of the others are strictly better."""
    (bar,) = Asha(reduction=reduction).bars(len(others), [[Rung(1, other)] for other in others])
    better = sum(other > score for other in others)
    among = better < max(1, (len(others) + 1) // reduction)
    assert (stopped_at([bar], [score]) is None) == among


# --- a search: what a trial is judged against -------------------------------------------------------

SEARCH = "{question: q, arms: {a: {task: quadratic, epochs: 9, trials: 12, %s}}}"
ASHA = "stopper: asha, stopper.reduction: 2"


def search_of(words="searcher: random", stopper=ASHA):
    return next(parse(SEARCH % f"{words}, {stopper}", "stopping").searches())


def losses(values):
    """A simulated training: a loss that falls at a speed that the rate decides."""
    speed = 1 / (1 + (math.log10(values["scheme.lr"]) + 1) ** 2)
    return [3 * math.exp(-speed * record) + 0.1 * math.cos(7 * record + values["scheme.lr"]) for record in range(9)]


def trained(search, k, values, bars):
    """The outcome of the simulated training, which ends where it falls short."""
    scores = losses(values)
    cut = stopped_at(bars, [-score for score in scores])
    kept = scores[:cut]
    status = "stopped" if len(kept) < len(scores) else "finished"
    return Outcome(status, min(kept), search.arm.rungs(k, kept, diverged=False))


def searched(words, delays=None, stopper=ASHA):
    """All of one search, (values, bars, outcome) by k; with `delays`, outcomes arrive late and out of order."""
    search = search_of(words, stopper)
    searching, order = Searching(search), random.Random(delays)
    seen, running = {}, []
    while not searching.done:
        if searching.ready and (delays is None or order.random() < 0.7):
            running.append(searching.suggest())
        elif running:
            k, values, bars = running.pop(order.randrange(len(running)) if delays else 0)
            seen[k] = values, bars, trained(search, k, values, bars)
            searching.observe(k, seen[k][2])
    return dict(sorted(seen.items()))


@pytest.mark.parametrize("stopper", STOPPERS)
@pytest.mark.parametrize("parallel", [1, 3])
def test_a_replay_of_whole_curves_stops_what_the_search_stopped(parallel, stopper):
    seen = searched(f"searcher: random, parallel: {parallel}", stopper=f"stopper: {stopper}")
    curves = [Curve([-score for score in losses(values)]) for values, _, _ in seen.values()]
    lengths = stopped_lengths(STOPPERS[stopper](), curves, parallel)
    assert [length < 9 for length in lengths] == [outcome.status == "stopped" for _, _, outcome in seen.values()]
    whole = [min(losses(values)[:length]) for length, (values, _, _) in zip(lengths, seen.values(), strict=True)]
    assert whole == [outcome.score for _, _, outcome in seen.values()]


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize(
    ("searcher", "stopper"),
    [("random", "asha"), ("sobol", "asha"), ("tpe", "asha"), ("random", "hyperband"), ("random", "median")],
)
def test_the_order_of_arrival_stops_nobody_else(searcher, stopper, parallel):
    words = f"searcher: {searcher}, parallel: {parallel}"
    first, *others = (searched(words, delays, f"stopper: {stopper}") for delays in (None, 1, 2))
    assert others == [first, first]
    assert {outcome.status for _, _, outcome in first.values()} == {"stopped", "finished"}


def test_a_trial_is_judged_against_exactly_those_before_it():
    search, seen = search_of("parallel: 3"), searched("parallel: 3")
    for k, (_, bars, _) in seen.items():
        assert bars == search.arm.stopper.bars(k, (seen[j][2].rungs for j in range(max(0, k - 2))))


def test_a_search_with_a_stopper_waits_even_if_its_searcher_does_not_learn():
    searching = Searching(search_of("parallel: 2"))
    assert [searching.suggest().k, searching.suggest().k] == [0, 1]
    assert not searching.ready
    searching.observe(1, Outcome("finished", 1.0, (Rung(1, -1.0),)))
    assert not searching.ready
    searching.observe(0, Outcome("finished", 2.0, (Rung(1, -2.0),)))
    assert searching.suggest().bars == (Rung(1, -2.0),)  # the result of 1 is there, and not seen


def test_a_stopper_changes_no_configuration_of_a_searcher_that_does_not_learn():
    plain = parse(SEARCH % "searcher: sobol", "stopping")
    searching = Searching(next(plain.searches()))
    assert [searching.suggest().values for _ in range(12)] == [v for v, _, _ in searched("searcher: sobol").values()]


def test_tpe_is_told_of_a_stopped_trial_as_pruned_with_its_intermediate_values():
    searching = Searching(search_of("searcher: tpe"))
    searching.suggest()
    searching.observe(0, Outcome("stopped", 1.5, (Rung(1, -2.5), Rung(2, -1.5))))
    searching.suggest()
    pruned = searching._study.trials[0]
    assert pruned.state is TrialState.PRUNED
    assert pruned.intermediate_values == {1: 2.5, 2: 1.5}  # in the task's own sense: a loss


@pytest.mark.parametrize("ended", [1, 7, 11])
def test_a_restarted_dispatcher_derives_the_same_bars_from_the_record(ended):
    text = parse(SEARCH % f"searcher: tpe, {ASHA}", "stopping")
    first, record = Dispatcher(text, {}), {}
    for place in range(12):
        search, key, trial, bars, *_ = first.next()
        if place == ended:
            again = Dispatcher(text, record).next()
            assert (again.key, again.trial, again.bars) == (key, trial, bars)
            assert bars
        outcome = trained(search, key.k, trial.flat(), bars)
        rungs = tuple(Rung(*rung) for rung in json.loads(json.dumps(outcome.rungs)))  # as the store keeps them
        record[key] = Recorded("run", trial.flat(), outcome.status, outcome.score, 1, "v", rungs)
        first.observe(key, outcome)


# --- a training: it ends itself ---------------------------------------------------------------------

FLAT = {"task": "quadratic", "scheme.lr": 0.01, "epochs": 9.0, "batch_size": 64}


def test_a_training_ends_after_the_record_at_which_it_falls_short():
    whole = Run(Trial.parse(FLAT))
    scores = [-record.valid_score for record in whole]
    run = Run(Trial.parse(FLAT), bars=[Rung(1, scores[0]), Rung(3, scores[2] + 1e-6), Rung(9, 0.0)])
    records = list(run)
    assert [record.valid_score for record in records] == [-score for score in scores[:3]]
    assert (run.stopped, run.diverged, run.finished) == (True, False, True)
    assert "test_score" in records[-1].extras  # what it was worth, as of any trial that ends


def test_at_its_last_record_a_training_is_finished_and_not_stopped():
    run = Run(Trial.parse(FLAT), bars=[Rung(9, 0.0)])
    assert len(list(run)) == 9
    assert not run.stopped


def test_a_training_that_diverges_is_diverged_and_not_stopped():
    run = Run(Trial.parse({**FLAT, "scheme.lr": 1e9}), bars=[Rung(1, 0.0)])
    list(run)
    assert (run.diverged, run.stopped) == (True, False)


def test_a_stopped_training_taken_up_from_its_checkpoint_stays_stopped():
    first = Run(Trial.parse(FLAT), bars=[Rung(2, 0.0)])
    list(first)
    second = Run(Trial.parse(FLAT), bars=[Rung(2, 0.0)])
    second.load_state_dict(first.state_dict())
    assert second.stopped
    assert list(second) == []


# --- the record, and what it cost -------------------------------------------------------------------


def test_a_stopped_trial_is_recorded_as_such_with_its_rungs(tmp_path, monkeypatch):
    """It is a miss charged for what it used, unless it reached the target before its end."""
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    whole = parse(SEARCH % f"repetitions: 2, {ASHA}", "recorded")
    tracker = Tracker(whole, uri)
    tracker.searches.open(whole.searches())
    rungs = (Rung(1, -0.1 - 0.2), Rung(2, -1 / 3))
    losses = {(0, 0): (3.0, 2.0), (0, 1): (3.0, 2.5, 1.5, 0.9), (1, 0): (0.5, 0.6), (1, 1): (2.0, 2.0, 2.0)}
    for search in whole.searches():
        for k in range(2):
            key, scores = search.key(k), losses[search.repetition, k]
            tracker.start(search, key, search.arm.trial({"scheme.lr": 0.3}, 7))
            for number, score in enumerate(scores, start=1):
                plain = dict.fromkeys(("train_loss", "train_score", "valid_loss", "lr", "flops", "seconds"), 0.0)
                spent = {"passes": 10.0 * number, "steps": number, "diverged": False}
                tracker.log(key, number, Record(epoch=number, valid_score=score, **plain, **spent))
            status = "stopped" if len(scores) == 2 else "finished"
            tracker.finish(key, status, min(scores), rungs=json.dumps(rungs))
    tracker.wait()
    known = Tracker(whole, uri).recorded()
    assert {recorded.rungs for recorded in known.values()} == {rungs}
    assert set(read("recorded", uri)["status"]) == {"stopped", "finished"}
    question = Question(mode="min", target=1.0, chance=3.0)
    (result,) = summarize(of_record(read("recorded", uri), "passes"), Options(question=question))
    # 20 for the stopped miss and 40 to the target; 10 to the target of the stopped hit.
    assert result.expected_cost.estimate == (20 + 40 + 10) / 2
    assert result.hits == 2


# --- what cannot work -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("stopper: ahsa", "unknown stopper 'ahsa': did you mean 'asha'?"),
        ("stopper.reduction: 2", "stopper.reduction needs a stopper: write stopper: asha"),
        ("stopper: asha, stopper.reductoin: 2", "unknown key 'reductoin': did you mean 'reduction'?"),
        ("stopper: asha, stopper.reduction: 1", "reduction must lie in [2, 1000], got 1"),
        ("stopper: asha, stopper.reduction: 2.5", "reduction must be a whole number, got 2.5"),
        ("stopper: asha, searcher: gp", "gp learns nothing from trials that asha stops: leave the stopper out"),
        ("stopper: asha, searcher: cmaes, direction: momentum, direction.momentum: {uniform: [0, 1]}", "cmaes learns"),
        ("stopper: asha, seeds: 2", "asha judges single trainings, seeds must be 1, got 2"),
        ("stopper: asha, stopper.min_epochs: 0.5", "must be a multiple of record_every=1, got 0.5"),
        ("stopper: asha, stopper.min_epochs: 1.5, record_every: 0.4", "a multiple of record_every=0.4, got 1.5"),
        ("stopper: median, epochs: 300", "median would judge a trial more than 200 times: raise stopper.min_epochs"),
        ("stopper: median, epochs: {choice: [9, 300]}", "median would judge a trial more than 200 times"),
        ("stopper: asha, epochs: 1", "asha would never stop a trial: stopper.min_epochs must lie below epochs=1"),
        ("stopper: asha, record_every: {choice: [0.5, 1]}", "give record_every one value"),
    ],
)
def test_what_a_stopper_cannot_do_is_refused_in_one_line(words, message):
    with pytest.raises(Refusal, match=re.escape(message)) as refused:
        parse(f"{{question: q, arms: {{a: {{task: quadratic, {words}}}}}}}", "x")
    assert str(refused.value).startswith("arm 'a': ")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("words", ["stopper: asha", "searcher: tpe"])
def test_without_validation_data_nothing_is_judged(words, tmp_path, shared):
    text = f"{{question: q, arms: {{a: {{task: mnist_logreg, task.valid_size: 0, {words}}}}}}}"
    with pytest.raises(Refusal, match="holds no validation data"):
        run_study(parse(text, "x"), f"sqlite:///{tmp_path}/mlflow.db", tmp_path)


def test_a_stopper_is_part_of_what_an_arm_is_and_its_absence_is_not():
    with_it, without = parse(SEARCH % ASHA, "x"), parse("{question: q, arms: {a: {task: quadratic}}}", "x")
    assert with_it.arms[0].contents().items() >= {"stopper": "asha", "stopper.reduction": 2}.items()
    assert not [key for key in without.arms[0].contents() if key.startswith("stopper")]
