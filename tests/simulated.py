"""Studies without training: trials' curves come from a law, everything else is the program's own.

The real Dispatcher and Searchers choose, the real Tracker writes; only the networks are missing.
"""

import math
from collections.abc import Callable

import numpy as np

from study.dispatch.dispatcher import Dispatcher
from study.dispatch.outcome import Outcome
from study.plan.study import Study
from study.tracking import Tracker
from trainables.trial import Record, Trial

Curve = list[float]  # the validation score after each epoch; ends with NaN where the trial diverges
Law = Callable[[str, Trial, np.random.Generator], Curve]


def simulate(study: Study, store: str, law: Law, most: int | None = None) -> None:
    """Write the record that such trials would have left; of at most so many trials."""
    tracker = Tracker(study, store, {"versions": "simulated"})
    dispatcher = Dispatcher(study, tracker.recorded())
    tracker.searches.open(study.searches())
    ended = 0
    while (most is None or ended < most) and (assignment := dispatcher.next()) is not None:
        search, key, trial = assignment.search, assignment.key, assignment.trial
        tracker.start(search, key, trial)
        curve = law(key.arm, trial, np.random.default_rng(key.seed))
        for number, record in enumerate(records(trial, curve), start=1):
            tracker.log(key, number, record)
        diverged = math.isnan(curve[-1])
        best = {"max": max, "min": min}[trial.task.mode]
        outcome = Outcome("diverged" if diverged else "finished", trial.task.chance if diverged else best(curve))
        tracker.finish(key, outcome.status, outcome.score)
        dispatcher.observe(key, outcome)
        ended += 1
    tracker.close(complete=dispatcher.done)


def records(trial: Trial, curve: Curve) -> list[Record]:
    """Ten steps an epoch, one pass and a hundredth of a second each; the rate as the trial's schedule has it."""
    made, last = [], len(curve)
    best = {"max": np.fmax, "min": np.fmin}[trial.task.mode].accumulate(curve)
    for epoch, score in enumerate(curve, start=1):
        diverged = math.isnan(score)
        tested = {"test_score": trial.task.chance if diverged else float(best[-1]) - 0.01} if epoch == last else {}
        flat = trial.flat()
        rate = float(flat.get("scheme.lr", flat.get("optimizer.lr", 0.1)))
        if flat.get("scheme.schedule") == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * (epoch - 0.5) / trial.epochs))
        made.append(
            Record(
                epoch=epoch,
                train_loss=math.nan if diverged else 1 - score,
                train_score=score,
                valid_loss=math.nan if diverged else 1 - score,
                valid_score=trial.task.chance if diverged else score,
                lr=rate,
                passes=10.0 * epoch,
                flops=1e9 * epoch,
                steps=10 * epoch,
                seconds=0.1 * epoch * (1 + 0.2 * (trial.seed % 7) / 7),
                diverged=diverged,
                extras=tested | ({"hidden_share": 0.85} if "hidden" in flat else {}),
            )
        )
    return made


def bowl(centre: float, width: float, top: float = 0.97) -> Callable[[Trial, np.random.Generator], Curve]:
    """Good within `width` decades around a rate of 10**centre, worse beyond, diverging a decade and a half above."""

    def curve(trial: Trial, rng: np.random.Generator) -> Curve:
        flat = trial.flat()
        off = math.log10(float(flat.get("scheme.lr", flat.get("optimizer.lr")))) - centre
        if off > width + 1.0:
            return [0.3, math.nan]
        final = (
            top - 0.02 * max(0.0, abs(off) - width / 2) ** 2 - 0.25 * max(0.0, abs(off) - width) + rng.normal(0, 0.004)
        )
        epochs = np.arange(1, round(trial.epochs) + 1)
        shape = 0.1 + (final - 0.1) * (1 - np.exp(-epochs * 3.0 / trial.epochs)) / (1 - math.exp(-3.0))
        return np.clip(shape, 0.05, 1).tolist()

    return curve
