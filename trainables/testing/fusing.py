"""Trainings side by side, held against the same ones by themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from trainables.components import floats, slots
from trainables.refusal import Refusal
from trainables.rules import Composed
from trainables.run.fused import FusedRun
from trainables.run.loop import Run
from trainables.testing.problems import cut
from trainables.trial import Trial


def check_fuses(trials: Sequence[Trial], tolerance: float = 1e-10, rows: int | None = None) -> FusedRun:
    """Trainings of several trials as one program end as each does by itself, to rounding.

    Args:
        trials: one a lane
        tolerance: of every parameter, buffer, state and record
        rows: how many examples of each split are left, where all of them would take long; None: all

    Returns:
        The fused run, ended.

    Raises:
        AssertionError: where they differ by more
        Refusal: where they cannot be trained together
    """
    fused, alone = FusedRun(trials), [Run(trial) for trial in trials]
    for run in (*fused.lanes, *alone):
        if rows is not None:
            cut(run, rows, rows)
    while not fused.finished:
        fused.epoch()
    for lane, run in zip(fused.lanes, alone, strict=True):
        for _ in run:
            pass
        torch.testing.assert_close(_told(lane), _told(run), rtol=tolerance, atol=tolerance, equal_nan=True)
    return fused


def _told(run: Run) -> list[Tensor]:
    """Everything that a run ends with but for the clock, in its order."""
    numbers = [{key: value for key, value in record.flat().items() if key != "seconds"} for record in run.records]
    state = [run.params, run.buffers, numbers, run.best_score, run.stopped, run.steps, run.passes]
    return [torch.as_tensor(leaf, dtype=torch.float64) for leaf in tree_leaves(state)]


def check_fuses_or_says_why(rule: Composed, flat: Mapping[str, Any]) -> None:
    """A rule trains in lanes beside others as by itself, or says in one line that it does not.

    Args:
        rule: whose real numbers differ between the lanes
        flat: the rest of the trial, in float64

    Raises:
        AssertionError: it does neither
    """
    first = {**flat, **rule.flat(), "gradient_clip": 1.0, "fuse": 2}
    valid = {slot.key: slot.valid for slot in slots(type(rule), rule.flat()).values() if slot.valid}
    others = {
        key: max(0.75 * value, valid[key].low) if key in valid else 0.75 * value for key, value in floats(rule).items()
    }
    second = {**first, **others, "gradient_clip": 0.5, "seed": 1}
    if rule.scheme.asks:
        with pytest.raises(Refusal, match=r"\Afuse: 2 needs .*\Z"):
            Trial.parse(first)
    else:
        check_fuses([Trial.parse(first), Trial.parse(second)])
