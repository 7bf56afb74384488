"""A loop of the user's: records, turns, resume, ends, and what is told where it is used wrongly."""

import io
import math
import random
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

import loops
import numpy as np
import pytest
import torch
from torch import nn

from trainables.components import find
from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.run import own_loop
from trainables.run.own_loop import OwnLoop
from trainables.run.stopping import Rung
from trainables.run.trainers_checkpoints import TrainersCheckpoints
from trainables.seeds import seed_of
from trainables.tasks import Workload
from trainables.training import Training
from trainables.trial import Trial


def trial(train=None, task="loops:Plain", **keys):
    """A trial of a training; of one whose loop is `train`, where that is given."""
    heeded = {"batch_size": 50} if train is None else {}
    flat = {"task": trusted(task), **heeded, "epochs": 4, "scheme.lr": 0.1, **keys}
    made = Trial.parse({key: value for key, value in flat.items() if value is not None})
    if train is None:
        return made

    @dataclass(frozen=True)
    class Mine(Training):
        metric, mode, chance = "accuracy", "max", 0.5

        def train(self, session):
            train(session)

    return replace(made, task=Mine())


def one(session):
    """A model and the optimizer of the trial's rule."""
    model = nn.Linear(2, 1)
    return model, session.optimizer(model, steps_per_epoch=3)


def walk(model, optimizer, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(1, 2)).square().sum().backward()
        optimizer.step()


def told(records):
    """Everything of the records but the wall clock, comparable where it is NaN."""
    return [str({**record.flat(), "seconds": 0}) for record in records]


def broken_off(given, after):
    """The records of a training that is put into a file after some epochs, and gone on with from there."""
    first = OwnLoop(given)
    for _ in range(after):
        first.epoch()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    first.close()
    file.seek(0)
    second = OwnLoop(given)
    second.load_state_dict(torch.load(file, weights_only=True))
    list(second)
    return second.records


def test_a_record_an_epoch_and_what_is_not_told_is_nan():
    records = list(OwnLoop(trial()))
    assert [(r.epoch, r.steps, r.passes, r.lr, r.diverged) for r in records] == [
        (float(epoch), 3 * epoch, 3.0 * epoch, 0.1, False) for epoch in (1, 2, 3, 4)
    ]
    assert all(math.isnan(r.valid_loss) and math.isnan(r.flops) and math.isnan(r.train_score) for r in records)
    assert all(math.isfinite(r.train_loss) for r in records)


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"direction": "adam"},
        {"scheme": "cprop"},
        {"scheme": "multilevel", "scheme.lr": None},
        {"rule": "packaged", "optimizer": "schedulefree_adamw", "scheme.lr": None},
        {"scheme.schedule": "cosine"},
    ],
    ids=str,
)
def test_broken_off_between_two_epochs_it_ends_with_the_same_records(rule):
    given = trial(**rule)
    assert told(broken_off(given, 2)) == told(OwnLoop(given))


def test_its_seed_decides_everything_and_the_caller_s_generators_stay():
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert told(OwnLoop(trial(seed=1))) == told(OwnLoop(trial(seed=1))) != told(OwnLoop(trial(seed=2)))
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


def test_a_loop_that_ends_leaves_no_thread_and_no_default_type_behind():
    def train(session):
        torch.set_default_dtype(torch.float64)
        model, optimizer = one(session)
        for _ in session.epochs(model=model, optimizer=optimizer):
            for _ in range(3):
                optimizer.zero_grad()
                model(torch.ones(1, 2)).sum().backward()
                optimizer.step()
            session.report(0.5)

    assert len(list(OwnLoop(trial(train, seed=78)))) == 4
    assert "training 78" not in [thread.name for thread in threading.enumerate()]
    assert torch.get_default_dtype() == torch.float32


def test_it_starts_from_the_seed_from_which_our_loop_draws_its_parameters():
    seen = []

    def train(session):
        model, optimizer = one(session)
        seen.append(model.weight.detach().clone())
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            session.report(0.5)

    list(OwnLoop(trial(train, seed=7)))
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(7, "init"))
        assert torch.equal(seen[0], nn.Linear(2, 1).weight)


def scores(*values, mode="max"):
    def train(session):
        model, optimizer = one(session)
        for epoch in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            session.report(values[epoch])

    return train


def test_bars_end_it_inside_of_report_and_the_user_s_finally_runs():
    ended = []

    def train(session):
        try:
            scores(0.6, 0.6, 0.6, 0.6)(session)
        finally:
            ended.append(True)

    run = OwnLoop(trial(train), bars=[Rung(2, 0.7)])
    assert (len(list(run)), run.stopped, run.finished, ended) == (2, True, True, [True])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_number_told_that_is_not_finite_is_divergence(bad):
    run = OwnLoop(trial(scores(0.9, bad, 0.9, 0.9)))
    assert [(r.valid_score, r.diverged) for r in run] == [(0.9, False), (0.5, True)]
    assert run.best_score == 0.5


def test_told_passes_and_operations_are_charged_for_the_epoch_and_logged_numbers_stand_beside():
    def train(session):
        model, optimizer = one(session)
        for epoch in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            session.log(grad_norm=epoch)
            session.report(0.5, passes=10, flops=100, test_score=0.4)

    records = list(OwnLoop(trial(train)))
    assert [(r.passes, r.flops, r.steps) for r in records] == [(10 * n, 100 * n, 3 * n) for n in (1, 2, 3, 4)]
    assert records[2].extras == {"grad_norm": 2.0, "test_score": 0.4}


def test_evaluation_is_not_charged():
    import time

    def train(session):
        model, optimizer = one(session)
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            with session.evaluating():
                time.sleep(0.5)
            session.report(0.5)

    assert list(OwnLoop(trial(train, epochs=2)))[-1].seconds < 0.9


def test_schemes_that_ask_for_more_take_a_closure_and_its_calls_are_charged():
    def train(session):
        model, optimizer = one(session)
        for _ in session.epochs(model=model, optimizer=optimizer):
            for _ in range(3):
                optimizer.step(lambda: (model(torch.ones(1, 2)) - 1).square().sum())
            session.report(0.5)

    records = list(OwnLoop(trial(train, scheme="curvature", **{"scheme.lr": None})))
    assert records[-1].steps == 12
    assert records[-1].passes > 12
    with pytest.raises(Refusal, match="needs a closure"):
        list(OwnLoop(trial(scores(0.5, 0.5, 0.5, 0.5), scheme="curvature", **{"scheme.lr": None})))


def test_a_schedule_moves_with_the_steps_and_in_a_stream_with_the_reports():
    def train(steps_per_epoch):
        def loop(session):
            model = nn.Linear(2, 1)
            optimizer = session.optimizer(model, steps_per_epoch=steps_per_epoch)
            for _ in session.epochs(model=model, optimizer=optimizer):
                walk(model, optimizer)
                session.report(0.5)

        return loop

    cosine = {"scheme.schedule": "cosine"}
    by_steps = [r.lr for r in OwnLoop(trial(train(3), **cosine))]
    in_a_stream = [r.lr for r in OwnLoop(trial(train(None), **cosine))]
    assert by_steps == pytest.approx([0.05 * (1 + math.cos(math.pi * step / 12)) for step in (2, 5, 8, 11)])
    assert in_a_stream == pytest.approx([0.05 * (1 + math.cos(math.pi * epoch / 4)) for epoch in (0, 1, 2, 3)])


# --- wrong use ---------------------------------------------------------------------------------------------


def no_report(session):
    model, optimizer = one(session)
    walk(model, optimizer)


def a_pass_without_report(session):
    model, optimizer = one(session)
    for _ in session.epochs(model=model, optimizer=optimizer):
        walk(model, optimizer)


def two_reports(session):
    model, optimizer = one(session)
    for _ in session.epochs(model=model, optimizer=optimizer):
        walk(model, optimizer)
        session.report(0.5)
        session.report(0.5)


def no_optimizer(session):
    for _ in session.epochs():
        session.report(0.5)


def another_optimizer(session):
    model, _ = one(session)
    own = torch.optim.SGD(model.parameters(), 0.1)
    for _ in session.epochs():
        walk(model, own)
        session.report(0.5)


def two_optimizers(session):
    one(session), one(session)


def keeps_no_optimizer(session):
    model, _ = one(session)
    for _ in session.epochs(model=model):
        pass


def keeps_no_model(session):
    _, optimizer = one(session)
    for _ in session.epochs(optimizer=optimizer):
        pass


def keeps_a_number(session):
    model, optimizer = one(session)
    for _ in session.epochs(model=model, optimizer=optimizer, best=3):
        pass


class Odd:
    def state_dict(self):
        return {"draws": [np.float64(3)]}

    def load_state_dict(self, state):
        pass


def keeps_what_no_checkpoint_holds(session):
    model, optimizer = one(session)
    for _ in session.epochs(model=model, optimizer=optimizer, odd=Odd()):
        pass


def saves_passes(session):
    model, optimizer = one(session)
    for _ in session.epochs(model=model, optimizer=optimizer):
        walk(model, optimizer)
        session.report(0.5, passes=-5)


def counts_no_number(session):
    model, optimizer = one(session)
    for _ in session.epochs(model=model, optimizer=optimizer):
        walk(model, optimizer)
        session.report(0.5, flops=float("nan"))


def logs_a_field(session):
    session.log(train_loss=3)


@pytest.mark.parametrize(
    ("train", "line"),
    [
        (no_report, "has ended without session.report"),
        (a_pass_without_report, "epoch 0 has ended without session.report"),
        (two_reports, "belongs into a pass of session.epochs(), once"),
        (no_optimizer, "make the optimizer by session.optimizer"),
        (another_optimizer, "has not stepped: is another one in use"),
        (two_optimizers, "one optimizer a trial"),
        (keeps_no_optimizer, "add optimizer=optimizer"),
        (keeps_no_model, "add model=model"),
        (keeps_a_number, r"epochs\(best=…\) keeps what has state_dict"),
        (keeps_what_no_checkpoint_holds, r"odd.draws\[0\], a float64"),
        (logs_a_field, "train_loss is a number of every record"),
        (saves_passes, r"report\(passes=…\) counts since the last report: at least 0, got -5"),
        (counts_no_number, r"report\(flops=…\) counts since the last report: at least 0, got nan"),
    ],
)
def test_wrong_use_is_told(train, line):
    with pytest.raises(Refusal, match=line.replace("(),", r"\(\),")):
        list(OwnLoop(trial(train)))


def test_a_logged_name_of_the_rule_s_own_is_refused():
    def train(session):
        model, optimizer = one(session)
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            session.log(mean_scale=1.0)
            session.report(0.5)

    assert len(list(OwnLoop(trial(train)))) == 4
    with pytest.raises(Refusal, match="mean_scale is a number of the trial's rule"):
        list(OwnLoop(trial(train, scheme="cprop")))


def test_a_schedule_without_a_number_of_steps_is_refused():
    def train(session):
        session.optimizer(nn.Linear(2, 1))

    with pytest.raises(Refusal, match="steps_per_epoch=len"):
        list(OwnLoop(trial(train, **{"scheme.schedule": "cosine"})))


@pytest.mark.parametrize(
    ("key", "value"), [("compile", True), ("record_every", 0.5), ("artifacts", True), ("epochs", 1.5)]
)
def test_fields_that_mean_nothing_for_it_are_refused(key, value):
    with pytest.raises(Refusal, match=key):
        trial(**{key: value})


AVERAGED = {"rule": "packaged", "optimizer": "schedulefree_sgd", "optimizer.lr": 0.01, "scheme.lr": None}


def normalised(session, judge):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    optimizer = session.optimizer(model)
    batches = [torch.randn(8, 2) for _ in range(3)]
    for _ in session.epochs(model=model, optimizer=optimizer):
        for batch in batches:
            optimizer.zero_grad()
            model(batch).square().sum().backward()
            optimizer.step()
        judge(session, model, batches)
        session.report(0.5)


def test_an_average_is_judged_inside_of_evaluating_and_batch_norm_wants_batches():
    def nowhere(session, model, batches):
        pass

    def without_batches(session, model, batches):
        with session.evaluating():
            pass

    with pytest.raises(Refusal, match=r"with session.evaluating\(\):"):
        list(OwnLoop(trial(lambda session: normalised(session, nowhere), **AVERAGED)))

    def of_nobody(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model.parameters())
        for _ in session.epochs():
            walk(model, optimizer)
            with session.evaluating():
                session.report(0.5)

    with pytest.raises(Refusal, match=r"give session\.optimizer the module"):
        list(OwnLoop(trial(of_nobody, **AVERAGED)))
    with pytest.raises(Refusal, match="refresh=loader"):
        list(OwnLoop(trial(lambda session: normalised(session, without_batches), **AVERAGED)))


def test_inside_of_evaluating_stand_the_average_and_statistics_of_its_own_and_afterwards_what_was_trained():
    def judge(session, model, batches):
        trained = {name: value.clone() for name, value in model.state_dict().items()}
        with session.evaluating(refresh=batches):
            assert not torch.equal(model[0].weight, trained["0.weight"])
            seen = torch.cat([model[0](batch) for batch in batches])
            assert torch.allclose(model[1].running_mean, seen.view(3, 8, 3).mean(1).mean(0), atol=1e-6)
        assert all(torch.allclose(value, trained[name], atol=1e-6) for name, value in model.state_dict().items())
        assert torch.equal(model[1].running_mean, trained["1.running_mean"])

    assert len(list(OwnLoop(trial(lambda session: normalised(session, judge), **AVERAGED)))) == 4


# --- errors and ends ---------------------------------------------------------------------------------------


def test_what_the_user_s_code_raises_comes_out_with_its_own_lines():
    def train(session):
        raise KeyError("no such column")

    with pytest.raises(KeyError, match="no such column") as raised:
        list(OwnLoop(trial(train)))
    assert any(entry.path == Path(__file__) and entry.name == "train" for entry in raised.traceback)


def test_an_exit_ends_the_training_and_not_the_process():
    with pytest.raises(SystemExit):
        list(OwnLoop(trial(lambda session: sys.exit(3))))


def test_a_loop_that_swallows_its_end_is_ended_at_its_next_word_or_fails_after_a_while(monkeypatch):
    def swallows(session):
        model, optimizer = one(session)
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            try:
                session.report(float("nan"))
            except:  # noqa: E722
                walk(model, optimizer)

    assert len(list(OwnLoop(trial(swallows)))) == 1

    go_on = threading.Event()

    def never_ends(session):
        try:
            swallows(session)
        except BaseException:
            go_on.wait(20)

    monkeypatch.setattr(own_loop, "GRACE", 0.3)
    with pytest.raises(RuntimeError, match=r"has not ended 0.3 s after it was told to"):
        list(OwnLoop(trial(never_ends)))
    go_on.set()


def test_closed_between_two_epochs_the_loop_ends():
    run = OwnLoop(trial(seed=77))
    run.epoch()
    assert "training 77" in [thread.name for thread in threading.enumerate()]
    run.close()
    assert run.finished
    assert "training 77" not in [thread.name for thread in threading.enumerate()]


def test_rehearsed_it_makes_one_step():
    steps = []

    def train(session):
        model, optimizer = one(session)
        optimizer.register_step_post_hook(lambda *_: steps.append(1))
        walk(model, optimizer)
        steps.append("never")

    OwnLoop(trial(train, batch_size=None)).rehearse()
    assert steps in ([], [1])


@pytest.mark.parametrize(("key", "value"), [("batch_size", 64), ("precision", "bfloat16"), ("gradient_clip", 1.0)])
def test_rehearsed_it_is_refused_where_it_never_asks_for_what_the_trial_says(key, value):
    def loop(*asked):
        def train(session):
            assert [getattr(session, name) for name in asked] == [value][: len(asked)]
            walk(*one(session))

        return OwnLoop(trial(train, **{"batch_size": None, key: value}))

    loop(key).rehearse()
    with pytest.raises(Refusal, match=rf"{key} is given, .* train\(\) never asks for session.{key}"):
        loop().rehearse()


def test_ended_by_its_own_decision_it_is_finished_and_said_so(capsys):
    def train(session):
        model, optimizer = one(session)
        for epoch in session.epochs(model=model, optimizer=optimizer):
            if epoch == 2:
                break
            walk(model, optimizer)
            session.report(0.5)

    run = OwnLoop(trial(train))
    assert (len(list(run)), run.finished) == (2, True)
    assert "ended by itself after 2 of 4 epochs" in capsys.readouterr().err


# --- trainers that own their epochs ----------------------------------------------------------------------------


def test_a_trainer_goes_on_from_its_own_newest_whole_checkpoint(tmp_path):
    began = []

    def train(session):
        model, optimizer = one(session)
        start = 0
        if session.resume_from:
            saved = torch.load(session.resume_from, weights_only=True)
            start = saved["epoch"]
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
        began.append(start)
        session.folder.mkdir(parents=True, exist_ok=True)
        for epoch in range(start, 100):
            walk(model, optimizer)
            session.report(model.weight.sum())
            state = {"epoch": epoch + 1, "model": model.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, session.folder / f"{epoch + 1}.pt")

    whole = OwnLoop(trial(train, epochs=5), folder=tmp_path / "whole")
    list(whole)
    first = OwnLoop(trial(train, epochs=5), folder=tmp_path / "own")
    for _ in range(3):
        first.epoch()
    assert first.keeps_own
    state = first.state_dict()
    first.close()
    (tmp_path / "own" / "3.pt").write_bytes(b"half")  # killed while it was written
    again = OwnLoop(trial(train, epochs=5), folder=tmp_path / "own")
    again.load_state_dict(state)
    assert again.session.resume_from == str(tmp_path / "own" / "2.pt")
    list(again)
    assert began == [0, 0, 2]
    assert told(again.records) == told(whole.records)


def test_what_a_killed_attempt_left_behind_counts_once_it_is_written_again(tmp_path):
    (tmp_path / "whole" / "deep").mkdir(parents=True)
    (tmp_path / "whole" / "deep" / "weights").write_text("of an attempt that nobody knows")
    now = TrainersCheckpoints(tmp_path)
    now.look(3)
    assert now.state_dict() == {}
    time.sleep(0.02)
    (tmp_path / "whole" / "deep" / "weights").write_text("of this one")
    now.look(4)
    assert TrainersCheckpoints(tmp_path).newest(now.state_dict()) == (str(tmp_path / "whole"), 4)


def test_what_was_written_before_the_first_record_may_be_a_log(tmp_path):
    now = TrainersCheckpoints(tmp_path)
    (tmp_path / "logs").mkdir()
    now.look(0)
    assert TrainersCheckpoints(tmp_path).newest(now.state_dict()) == (None, 0)


def test_what_is_no_training_is_told_what_to_inherit():
    with pytest.raises(Refusal, match=r"or trainables\.training\.Training with a loop of its own"):
        find(Workload, trusted("loops:blobs"))
    assert find(Workload, trusted("loops:Plain")) is loops.Plain


@pytest.mark.parametrize(
    ("steps", "schedule", "said"),
    [
        ((3, 3, 3, 3), "cosine", ""),
        (
            (4, 4, 4, 4),
            "cosine",
            "steps_per_epoch=3, and 4 steps were made by the end of epoch 1: the schedule ends early",
        ),
        (
            (3, 2, 2, 3),
            "cosine",
            "steps_per_epoch=3, and 5 steps were made by the end of epoch 2: the schedule ends late",
        ),
        ((2, 2, 2, 2), "constant", ""),
    ],
    ids=["as told", "more", "fewer", "no schedule"],
)
def test_epochs_of_other_lengths_than_a_schedule_was_told_are_said_once(steps, schedule, said, capfd):
    def train(session):
        model, optimizer = one(session)
        for epoch in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer, steps[epoch])
            session.report(valid_score=0.5)

    list(OwnLoop(trial(train, **{"scheme.schedule": schedule})))
    told = capfd.readouterr().err
    assert told.count("session.optimizer was told") == bool(said)
    assert said in told
