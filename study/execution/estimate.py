"""Estimates of what a study would take, before it runs: one timed step an arm."""

import math
import os
import time

import torch

from study.execution.rehearsal import answerable
from study.plan.study import Arm, Study
from study.tracking.standing import clock
from trainables.run.loop import Run
from trainables.space import corner, written
from trainables.training import Training


def dry_run(study: Study, cpus: int | None = None) -> str:
    """The searches of a study, its number of trials, and an estimate of its duration on this machine.

    Args:
        study: what is asked.
        cpus: cores that its trials may take; None: all.
    """
    lines = [f"{study.name}: {study.file.question}"]
    total = 0.0
    for arm in study.arms:
        settings = arm.settings
        with answerable(arm, study.source, verbose=False):
            one = _seconds(arm)
        seconds = one * settings.trials * settings.repetitions * settings.seeds
        total += seconds if one == one else 0.0
        fused = ", were they not fused" if arm.fixed.get("fuse") else ""
        takes = f"about {clock(seconds)} of one core{fused}" if one == one else "as long as its own loop takes"
        space = ", ".join(f"{key} {written(domain)}" for key, domain in arm.space.items())
        lines.append(
            f"  {arm.name}: {settings.repetitions} × {settings.trials} trials by {settings.searcher}, "
            f"{takes.replace('about', 'at most') if arm.stopper else takes}; searches {space or 'nothing'}"
        )
    workers = cpus or os.cpu_count() or 1
    known = f", about {clock(total / workers)} on {workers} {'core' if workers == 1 else 'cores'} here" if total else ""
    lines.append(f"{study.num_trials} trials{known}")
    return "\n".join(lines)


def _seconds(arm: Arm) -> float:
    """The time that one trial takes of one core: that of a step after the first, times their number and its threads.

    NaN for a loop of the user's.
    """
    trial = arm.trial({key: corner(domain) for key, domain in arm.space.items()}, seed=0)
    if isinstance(trial.task, Training):
        return math.nan
    torch.set_num_threads(trial.threads)
    training = Run(trial)
    training.step()
    started = time.perf_counter()
    training.step()
    return (time.perf_counter() - started) * training.course.num_steps * trial.threads
