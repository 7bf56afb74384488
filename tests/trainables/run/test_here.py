"""A trial in the caller's own thread: the same records as elsewhere, and errors as they are."""

import dataclasses
import math
import random
import sys
import threading

import loops
import pytest
import torch

from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.run.here import train
from trainables.run.own_loop import begin
from trainables.run.profile import Profile
from trainables.training import Training
from trainables.trial import Trial

PLAIN = {"task": trusted("loops:Plain"), "batch_size": 50, "epochs": 3, "scheme.lr": 0.1}
OURS = {"task": "quadratic", "epochs": 3, "scheme.lr": 0.1}


def shown(trial, **options):
    """The records that are shown, but for the time that they took."""
    found = []
    train(trial, found.append, "cpu", **options)
    return untimed(found)


def untimed(records):
    return [dataclasses.replace(record, seconds=0.0, flops=0.0) for record in records]


def own(loop, **keys):
    """A trial of a training whose loop is that function."""

    @dataclasses.dataclass(frozen=True)
    class Mine(Training):
        metric, mode, chance = "accuracy", "max", 0.5

        def train(self, session):
            loop(session)

    heeded = {key: value for key, value in PLAIN.items() if key != "batch_size"}
    return dataclasses.replace(Trial.parse({**heeded, **keys}), task=Mine())


def stepped(session):
    """A step of the session's optimizer, made where there is none yet."""
    if session.stepping is None:
        session.optimizer(torch.nn.Linear(2, 2))
    optimizer = session.stepping.optimizer
    for param in optimizer.param_groups[0]["params"]:
        param.grad = torch.ones_like(param)
    optimizer.step()


@pytest.mark.parametrize("flat", [OURS, PLAIN], ids=["a task", "a loop of its own"])
def test_the_records_are_those_of_a_study(flat):
    trial = Trial.parse({**flat, "seed": 3})
    assert shown(trial) == untimed(begin(trial))
    assert len(shown(trial)) == 3


def test_a_loop_of_its_own_runs_in_the_callers_thread_and_its_records_come_one_by_one():
    seen, count = [], []

    def loop(session):
        for _ in session.epochs():
            seen.append((threading.current_thread(), len(count)))
            stepped(session)
            session.report(valid_score=0.7)

    train(own(loop), count.append, "cpu")
    assert seen == [(threading.current_thread(), number) for number in range(3)]
    assert len(count) == 3


def test_a_trainer_that_owns_its_epochs_is_heard_and_ended_after_the_last():
    heard, count = [], []

    def loop(session):
        for number in range(99):
            stepped(session)
            session.folder.joinpath("mine").touch()
            heard.append((number, len(count), session.folder))
            session.report(valid_score=0.7)

    train(own(loop), count.append, "cpu")
    assert [entry[:2] for entry in heard] == [(0, 0), (1, 1), (2, 2)]
    assert len(count) == 3
    assert not heard[0][2].exists()


def test_a_number_that_is_not_finite_ends_it():
    def loop(session):
        for _ in session.epochs():
            stepped(session)
            session.report(valid_score=0.7, train_loss=math.inf)

    (record,) = shown(own(loop))
    assert record.diverged


def test_a_loop_without_a_report_is_refused_and_one_that_ends_early_says_so(capsys):
    with pytest.raises(Refusal, match="has ended without session"):
        shown(own(lambda session: None))

    def loop(session):
        for _ in session.epochs():
            stepped(session)
            session.report(valid_score=0.7)
            return

    assert len(shown(own(loop))) == 1
    assert "ended by itself after 1 of 3 epochs" in capsys.readouterr().err


def test_errors_come_as_they_are_and_an_exit_as_an_error():
    def fails(session):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        shown(own(fails))
    with pytest.raises(RuntimeError, match=r"has called sys\.exit\(3\)"):
        shown(own(lambda session: sys.exit(3)))


def test_what_a_loop_changes_for_the_process_is_put_back():
    random.seed(1)
    torch.manual_seed(1)
    before = random.random(), torch.rand(1).item()
    random.seed(1)
    torch.manual_seed(1)
    shown(Trial.parse(PLAIN))
    assert (random.random(), torch.rand(1).item()) == before


def test_a_profile_tells_phases_of_both_loops():
    for flat, names in ((OURS, {"update", "evaluation"}), (PLAIN, {"optimizer"})):
        profile = Profile()
        shown(Trial.parse(flat), watch=profile.watching())
        phases = profile.phases()
        assert set(phases) == {"data", "forward", "backward", "other"} | names
        assert all(seconds > 0 for name, seconds in phases.items() if name != "other")
        assert sum(phases.values()) == pytest.approx(profile.seconds)
        assert "dearest functions" in "\n".join(profile.table())


def test_the_plain_loop_is_here():
    assert loops.Plain().width == 8
