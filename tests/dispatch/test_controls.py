"""Control arms: derived from what another arm recorded, and from nothing else."""

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from study.dispatch.controls import curve
from study.dispatch.dispatcher import Dispatcher
from study.dispatch.outcome import Outcome, Recorded, SourceRecord
from study.plan.parse import parse
from trainables.components import members
from trainables.directions import Direction
from trainables.refusal import Refusal
from trainables.rules import Composed, Coupled, Decoupled
from trainables.run.loop import Run
from trainables.schemes import Gradients, Known
from trainables.schemes.control import Control, pieces
from trainables.schemes.cprop import CProp
from trainables.schemes.fixed import Fixed
from trainables.testing import same, steps, two_layers
from trainables.trial import Trial

ARMS = "{question: q, common: {task: quadratic, trials: 2, seeds: 2, epochs: 2}, arms: {%s}}"
TEXT = ARMS % "control: {control_of: cprop}, cprop: {scheme: cprop, scheme.schedule: cosine}"
DONE = Outcome("finished", 1.0)


# --- the scheme ------------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [Coupled(0.01), Decoupled(0.01)], ids=["coupled", "decoupled"])
@pytest.mark.parametrize("direction", members(Direction).values(), ids=members(Direction))
def test_a_scale_of_one_is_the_base_bit_for_bit(direction, decay):
    ours, _ = steps(Composed(direction(), Control(lr=0.05), decay), 5)
    base, _ = steps(Composed(direction(), Fixed(lr=0.05), decay), 5)
    assert same(ours, base)


def test_without_decay_a_scale_of_a_half_is_half_the_rate():
    ours, _ = steps(Composed(scheme=Control(lr=0.1, scales="0:0.5")), 5)
    base, _ = steps(Composed(scheme=Fixed(lr=0.05)), 5)
    assert same(ours, base)


def test_decoupled_decay_is_not_scaled():
    ours, _ = steps(Composed(scheme=Control(lr=0.1, scales="0:0"), decay=Decoupled(0.5)), 1)
    for name, param in two_layers().items():
        torch.testing.assert_close(ours[name], param * 0.95)


@pytest.mark.parametrize("scales", ["", "half", "0:1 0:2", "0.1:1", "0:1 1:2", "0:-1", "0:nan", "0:inf", "0:1 nan:1"])
def test_what_is_no_curve_is_refused(scales):
    with pytest.raises(Refusal, match=r"scheme\.scales needs start:scale pairs, starts rising from 0 and below 1, got"):
        Trial.parse({"task": "quadratic", "scheme": "control", "scheme.scales": scales})


def test_cprop_records_the_mean_of_its_scales():
    scheme, params, seen = CProp(beta=0.5), two_layers(), []
    state = scheme.init(params)
    for step in range(5):
        grads = Gradients({name: torch.cos(param * 10**step) for name, param in params.items()}, {})
        rate, state = scheme.rate(Known(None, grads, {}, state, params, torch.tensor(0.0)))
        seen.append(torch.cat([scale.flatten() for scale in rate.scale.values()]).mean().item())
        assert state.mean_scale.item() == pytest.approx(sum(seen) / len(seen), rel=1e-12)
    assert min(seen) < 0.9


def test_a_control_goes_as_far_as_its_source_between_any_two_records():
    """On a slope everywhere alike, way is the sum of rates: CProp's over all elements, the control's of each."""
    flat = {"task": "quadratic", "batch_size": 4, "epochs": 2.5, "record_every": 0.3, "evaluate_test": "never"}
    source = Run(Trial.parse({**flat, "scheme": "cprop", "scheme.lr": 0.05}))
    rows = [SourceRecord(r.epoch, r.steps, r.extras["mean_scale"]) for r in source]
    control = Run(Trial.parse({**flat, "scheme": "control", "scheme.scales": curve([rows], 2.5)}))
    total, used, progresses = 0.0, [], []
    while not control.finished:
        control.step()
        total += control.rule_state.scheme.scale.item()
        progresses.append(control.steps)
        used.append(total)
    for row in rows:
        assert used[int(row.steps) - 1] == pytest.approx(row.steps * row.mean_scale, rel=1e-5)
    assert len(pieces(curve([rows], 2.5))) == len(rows) > 5


# --- the curve -------------------------------------------------------------------------------------


def rows_of(scales, steps_each=10):
    """Records of a trial whose mean scale between two of them was as given."""
    sums = [steps_each * sum(scales[: number + 1]) for number in range(len(scales))]
    return [SourceRecord(n, n * steps_each, total / (n * steps_each)) for n, total in enumerate(sums, start=1)]


def test_the_curve_is_the_mean_over_the_seeds():
    found = pieces(curve([rows_of([1.0, 0.5]), rows_of([0.6, 0.1])], epochs=2))
    assert [piece.scale for piece in found] == pytest.approx([0.8, 0.3])


def test_a_seed_that_diverged_keeps_its_last_scale():
    broken = [*rows_of([0.6]), SourceRecord(1.7, 17, math.nan)]
    found = pieces(curve([rows_of([1.0, 0.5]), broken], epochs=2))
    assert [piece.scale for piece in found] == pytest.approx([0.8, 0.55])


def test_a_seed_that_measured_nothing_does_not_count_and_without_any_it_is_the_base():
    assert curve([rows_of([0.5]), []], epochs=1) == "0:0.5"
    assert curve([[], [SourceRecord(0.4, 4, math.nan)]], epochs=1) == "0:1"


def test_a_record_without_a_step_since_the_last_one_says_nothing():
    twice = [SourceRecord(1, 10, 0.8), SourceRecord(2, 10, 0.8), SourceRecord(3, 20, 0.7)]
    assert curve([[SourceRecord(0, 0, 1.0), *twice]], epochs=3) == curve([[twice[0], twice[2]]], epochs=3)


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=900), st.integers(1, 5))
def test_however_many_records_the_curve_is_short_and_keeps_the_sum(scales, seeds):
    text = curve([rows_of(scales)] * seeds, epochs=len(scales))
    assert len(text) < 6000
    starts = [piece.start for piece in pieces(text)]
    spans = [right - left for left, right in zip(starts, [*starts[1:], 1.0], strict=True)]
    spent = sum(span * piece.scale for span, piece in zip(spans, pieces(text), strict=True))
    assert spent == pytest.approx(sum(scales) / len(scales), rel=0.06 / len(scales) + 1e-4, abs=0.06 / len(scales))
    Control(scales=text).check()


# --- the study -------------------------------------------------------------------------------------


def measured(key):
    """Each seed of each trial measured something else."""
    return rows_of([1 / (2 + key.k), 1 / (3 + key.seed_number)])


def test_a_control_has_all_of_its_source_but_the_scheme():
    control, source = parse(TEXT, "x").arms
    assert control.contents() == {**source.contents(), "control_of": "cprop", "scheme": "control"}
    assert control.settings.trials == source.settings.trials


@pytest.mark.parametrize("outcome", ["finished", "diverged", "failed"])
def test_trial_k_waits_for_every_seed_of_its_sources_trial_k_however_it_ends(outcome):
    dispatcher = Dispatcher(parse(TEXT, "x"), {}, measured)
    sources = [dispatcher.next() for _ in range(4)]
    assert {assignment.key.arm for assignment in sources} == {"cprop"}
    assert dispatcher.next() is None
    of_second = [a for a in sources if a.key.k == 1] + [a for a in sources if a.key.k == 0]
    for assignment in of_second[:3]:
        dispatcher.observe(assignment.key, Outcome(outcome, 1.0))
        assert dispatcher.next() is None
    dispatcher.observe(of_second[3].key, Outcome(outcome, 1.0))
    controls = [dispatcher.next() for _ in range(4)]
    assert [(c.key.arm, c.key.k, c.key.seed_number) for c in controls] == [
        ("control", k, seed) for k in range(2) for seed in range(2)
    ]
    assert dispatcher.next() is None
    assert not dispatcher.done


def test_while_the_record_cannot_be_read_controls_wait_and_nothing_else_does():
    answers = [False]
    dispatcher = Dispatcher(parse(TEXT, "x"), {}, lambda key: measured(key) if answers[0] else None)
    sources = [dispatcher.next() for _ in range(4)]
    for assignment in sources:
        dispatcher.observe(assignment.key, DONE)
    assert dispatcher.next() is None
    answers[0] = True
    assert dispatcher.next().key.arm == "control"


def test_the_configuration_is_the_sources_with_what_it_measured():
    dispatcher = Dispatcher(parse(TEXT, "x"), {}, measured)
    sources = [dispatcher.next() for _ in range(4)]
    for assignment in sources:
        dispatcher.observe(assignment.key, DONE)
    for source in sources:
        flat, theirs = dispatcher.next().trial.flat(), source.trial.flat()
        assert flat["scheme"] == "control"
        assert flat["scheme.lr"] == theirs["scheme.lr"]
        assert flat["scheme.schedule"] == "cosine"
        seeds = [measured(source.key._replace(seed_number=seed)) for seed in range(2)]
        assert flat["scheme.scales"] == curve(seeds, epochs=2)


def recorded(ended):
    """The record after `ended` trials, and the dispatcher that wrote it."""
    dispatcher, record = Dispatcher(parse(TEXT, "x"), {}, measured), {}
    for _ in range(ended):
        _, key, trial, *_ = dispatcher.next()
        record[key] = Recorded("run", trial.flat(), "finished", 1.0, 1, "these versions")
        dispatcher.observe(key, DONE)
    return record, dispatcher


@pytest.mark.parametrize("ended", [1, 2, 4, 5, 7, 8])
def test_a_restarted_dispatcher_derives_the_same_controls(ended):
    record, first = recorded(ended)
    second = Dispatcher(parse(TEXT, "x"), record, measured)
    assert second.num_ended == ended
    while not first.done:
        ours, theirs = first.next(), second.next()
        assert ours[1:] == theirs[1:]
        for dispatcher in (first, second):
            dispatcher.observe(ours.key, DONE)
    assert second.done


def test_a_control_whose_source_measures_something_else_today_is_refused():
    record, _ = recorded(8)
    with pytest.raises(Refusal, match=r"recorded with scheme\.scales=.*these versions"):
        Dispatcher(parse(TEXT, "x"), record, lambda key: rows_of([0.123]))


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        ("a: {scheme: cprop}, b: {control_of: aa}", "unknown arm in control_of of 'b': 'aa'"),
        ("cprop: {scheme: cprop}, b: {control_of: crpop}", "did you mean 'cprop'?"),
        ("a: {scheme: cprop}, b: {control_of: a}, c: {control_of: b}", "'b' is itself a control; name the arm that"),
        ("a: {}, b: {control_of: a}", "'a' records no mean_scale; a control needs a scheme of cprop"),
        ("a: {rule: packaged, optimizer: prodigy}, b: {control_of: a}", "'a' records no mean_scale"),
        (
            "a: {scheme: cprop}, b: {control_of: a, task: digits_mlp}",
            "a control takes task, budget and all else from 'a'",
        ),
        ("a: {scheme: cprop}, b: {control_of: a, trials: 9}", "remove trials"),
        ("a: {scheme: cprop, seeds: 1, stopper: asha, epochs: 9}, b: {control_of: a}", "'a' must have no stopper"),
        ("a: {scheme: cprop}, b: {control_of: [a]}", "unknown arm in control_of"),
        ("a: {scheme: cprop}, ../b: {control_of: a}", "arm name '../b' must be"),
    ],
)
def test_is_refused_in_one_clear_line(arms, message):
    with pytest.raises(Refusal, match=re.escape(message)) as refusal:
        parse(ARMS % arms, "x")
    assert "\n" not in str(refusal.value)


def test_control_of_cannot_be_common():
    with pytest.raises(Refusal, match="control_of belongs to one arm"):
        parse("{question: q, common: {task: quadratic, control_of: a}, arms: {a: {scheme: cprop}}}", "x")
