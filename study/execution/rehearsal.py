"""One step of whatever may not fit together, in the driver and before Ray starts: what is broken costs seconds."""

import contextlib
import json
import shlex
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import FrameType

import torch

from study.plan.study import Arm, Study
from trainables.components import slots
from trainables.plugins import is_outside, place_of
from trainables.refusal import Refusal, first_line
from trainables.rules import Composed
from trainables.run.fused import FusedRun
from trainables.run.heeding import given
from trainables.run.loop import Run
from trainables.run.own_loop import OwnLoop, begin
from trainables.space import corner
from trainables.tasks import Task
from trainables.training import Training
from trainables.trial import Trial

SECONDS = 10.0  # for all steps together
BATCHES = "batch_size", "accumulate", "epochs"  # what decides how many examples the last mini-batch has


class _TimeIsUp(BaseException):
    """Raised wherever the user's code is: no `except Exception` of theirs may swallow it."""


def rehearse(study: Study, *, verbose: bool = False, seconds: float = SECONDS) -> None:
    """Make one step, on the CPU, of every distinct (task, rule) that may fail in a way that no study file shows.

    These are tasks and rules from a module or file of the user's, and rules that do not take every model.

    Args:
        study: what is about to run.
        verbose: print the traceback of what fails.
        seconds: for all of them together; what is not done by then is left out.

    Raises:
        Refusal: where one fails, with its error and the line of the user's code that raised it.
    """
    deadline = time.monotonic() + seconds
    with contextlib.suppress(_TimeIsUp):
        for arm, trial, to_heed in _doubtful(study):
            with answerable(arm, study.source, verbose=verbose), _until(deadline):
                try:
                    _step(trial, to_heed)
                except Refusal as refusal:
                    raise Refusal(f"arm {arm.name!r}: {refusal}") from refusal


@contextlib.contextmanager
def answerable(arm: Arm, source: str = "", *, verbose: bool) -> Iterator[None]:
    """Turn what other people's code raises into a refusal that names it; ours stays what it is.

    Args:
        arm: the arm whose code runs.
        source: the study as its user named it, empty where it was made in Python.
        verbose: print the traceback, too.

    Raises:
        Refusal: in place of any error, but those of an arm that has nothing from outside.
    """
    try:
        yield
    except (Refusal, KeyboardInterrupt, _TimeIsUp):
        raise
    except BaseException as error:  # sys.exit() too: in a worker it would end the process
        names = ", ".join(dict.fromkeys(_names(arm.fixed).values()))
        if not names:
            raise
        if verbose:
            traceback.print_exception(error)
        told = f"{type(error).__name__}: {first_line(error)}"
        hint = f"; `lr-study try {shlex.quote(source) if source else 'STUDY'} {arm.name}` shows its traceback"
        raise Refusal(f"arm {arm.name!r}: one step of {names} fails: {told} ({place_of(error)}){hint}") from error


def _doubtful(study: Study) -> Iterator[tuple[Arm, Trial, list[str]]]:
    """One arm of every distinct (task, rule) of which a step is to be tried, with a trial, and what its loop must heed.

    Loops of the user's that are given other settings are tried with each; so are mini-batches, for the last of them,
    but those that are searched.
    """
    seen = set[str]()
    for arm in study.arms:
        trial = arm.trial({key: corner(domain) for key, domain in arm.space.items()}, seed=0)
        flat = trial.flat()
        to_heed = given(trial, arm.space) if isinstance(trial.task, Training) else []
        families = {key: str(flat[key]) for key, slot in slots(Trial, flat).items() if slot.family}
        batches = {key: value for key, value in flat.items() if key in BATCHES or key.startswith("task.")}
        chosen = json.dumps([families, to_heed, batches], default=str)
        if (_names(flat) or not isinstance(trial.rule, Composed)) and chosen not in seen:
            seen.add(chosen)
            yield arm, trial, to_heed


def _names(flat: Mapping[str, object]) -> dict[str, str]:
    """The components of a trial that are named by where they are, by their keys."""
    return {
        key: str(flat[key]) for key, slot in slots(Trial, flat).items() if slot.family and is_outside(flat.get(key))
    }


def _step(trial: Trial, to_heed: list[str]) -> None:
    """The first step of a trial; not compiled, for a first compilation takes longer than this may."""
    threads = torch.get_num_threads()
    torch.set_num_threads(trial.threads)
    try:
        if trial.fuse is None:
            run = begin(replace(trial, compile=False), "cpu")
            if isinstance(run, OwnLoop):
                run.session.heeding.expected = to_heed
        else:
            run = FusedRun([trial, replace(trial, seed=trial.seed + 1)])
        run.rehearse()
        if isinstance(trial.task, Task):
            _step_of_one(Run(replace(trial, compile=False, fuse=None)))
    finally:
        torch.set_num_threads(threads)


def _step_of_one(run: Run) -> None:
    """The last step of an epoch, where one example is left for it: a BatchNorm may have no statistics of that."""
    course = run.course
    if len(course.rows(course.steps_per_epoch - 1)[-1]) > 1 or course.num_steps < course.steps_per_epoch:
        return
    run.steps = course.steps_per_epoch - 1
    try:
        run.rehearse()
    except Exception as error:
        told = f"{type(error).__name__}: {first_line(error)}"
        raise Refusal(
            f"every epoch ends with a mini-batch of one example, where a step fails: {told}; choose another batch_size"
        ) from error


@contextlib.contextmanager
def _until(deadline: float) -> Iterator[None]:
    """Raise `_TimeIsUp` at the deadline, in the main thread; another one is left to its work."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise _TimeIsUp
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def up(number: int, frame: FrameType | None) -> None:
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, up)
    signal.setitimer(signal.ITIMER_REAL, left)
    try:
        yield
    except _TimeIsUp:
        sys.stderr.write(f"a step on the CPU takes longer than {left:.2g} s here: it is not tried out\n")
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
