"""Measure the price of a training step in gradients, here, beside a training that knows nothing of it."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from textwrap import shorten
from typing import TypeAlias

import torch

from trainables.minibatch import Minibatch
from trainables.oracle import Oracle
from trainables.price import Price
from trainables.refusal import first_line
from trainables.run.fused import FusedRun
from trainables.run.loop import Run
from trainables.seeds import seeded
from trainables.training import Training
from trainables.trial import Trial

STEPS = 20  # measured, each beside a gradient of its own mini-batch
FEWEST = 5  # of which a median is told, where they take long
LIMIT = 10.0  # seconds after which no further step is begun
WARM_UP = 2  # steps before the first that counts: compilation, and what is allocated once
LONG = 2.0 * (STEPS + WARM_UP)  # epochs that have more steps than are made here, whatever the batch size

Steps: TypeAlias = Run | FusedRun


def price_of(trials: Sequence[Trial], device: str | torch.device) -> Price:
    """The price of a step of these trials, by the clock: no number where it cannot be measured, and the reason instead.

    A step is held against one forward and backward of its own mini-batches, without an update, again and again in
    turn; the median of the ratios is told. Of a group that is trained as one program both are those of all its lanes.
    Steps that take seconds are measured for ten of them; where that is fewer than five steps, no price is told.

    Args:
        trials: one, or a group that is trained as one program.
        device: where they are trained.

    >>> price = price_of([Trial.parse({"task": "quadratic"})], "cpu")
    >>> price.name, price.passes, price.steps, price.why
    ('cpu, 1 thread', 1.0, 20, '')
    """
    where, threads = torch.device(device), trials[0].threads
    none = Price(where.type, f"{device_name(where)}, {threads} thread{'s' if threads > 1 else ''}")
    if isinstance(trials[0].task, Training):
        return none._replace(why="its loop is its own")
    try:
        with seeded(where, 0):
            gradients, passes = _measured(_fresh(trials, where))
    except Exception as error:  # whatever is wrong, the training that follows says it better
        return none._replace(why=shorten(first_line(error), 200, placeholder="…"))
    if len(gradients) < FEWEST:
        return none._replace(why=f"{FEWEST} steps take longer than {LIMIT:g} s")
    return none._replace(gradients=statistics.median(gradients), passes=statistics.median(passes), steps=len(passes))


def gradient(run: Steps) -> Callable[[], object]:
    """One forward and backward of the next step's mini-batches, without an update: the run stays as it is.

    Args:
        run: of which a step could follow.

    Returns:
        A function that computes them; the mini-batches have been drawn.
    """
    if isinstance(run, FusedRun):
        return run.gradients()
    batches = run.course.batches(run.steps)
    objectives = [run.objective(each.inputs, each.targets, place=place) for place, each in enumerate(batches)]
    size = sum(batch.size for batch in batches)
    oracle = Oracle.over([Minibatch(each) for each in objectives], [batch.size / size for batch in batches], None)
    return lambda: oracle.gradient(run.params)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The time that some work takes, with whatever it leaves under way on a GPU.

    Args:
        work: to be done once.
        device: where it is done.
    """
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def device_name(device: torch.device) -> str:
    """The name that the device calls itself."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _fresh(trials: Sequence[Trial], device: torch.device) -> Steps:
    """A run of its own, with enough steps to come."""
    longer = [replace(trial, epochs=max(trial.epochs, LONG)) for trial in trials]
    return FusedRun(longer, device) if trials[0].fuse is not None else Run(longer[0], device)


def _measured(run: Steps) -> tuple[list[float], list[float]]:
    """The time of every step over that of one gradient beside it, and the gradients that it counts."""
    first = run.lanes[0] if isinstance(run, FusedRun) else run
    for _ in range(WARM_UP):
        gradient(run)()
        run.rehearse()
    gradients, passes = list[float](), list[float]()
    started = time.monotonic()
    while len(passes) < STEPS and time.monotonic() - started < LIMIT:
        of_all = seconds(gradient(run), run.device)  # of as many mini-batches as a step accumulates
        before = first.passes
        gradients.append(first.trial.accumulate * seconds(run.rehearse, run.device) / of_all)
        passes.append(first.trial.accumulate if isinstance(run, FusedRun) else first.passes - before)
    return gradients, passes


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
