"""The way to a curvature that is the faster one of a trial's network, told by the calls of one mini-batch."""

from dataclasses import replace
from typing import Literal, NamedTuple

import torch

from trainables.run.loop import Run
from trainables.second_order.tape import recorded
from trainables.seeds import seeded
from trainables.trial import Trial


class Told(NamedTuple):
    """The faster recipe, and why there is no other."""

    recipe: Literal["adjoints", "graph"]
    refused: str  # the call that has no jet; empty where all have one


def recipe_of(trial: Trial) -> Told:
    """Run the first mini-batch of a trial forward, on the CPU, and tell how its curvature is computed faster.

    Args:
        trial: by our loop; its rule does not matter.
    """
    run = Run(replace(trial, compile=False))
    inputs, targets, _ = run.course.batches(0)[0]
    leaves = {name: param.detach().requires_grad_() for name, param in run.params.items()}
    with seeded(run.device, 0), torch.enable_grad():
        _, tape, refused = recorded(run.objective(inputs, targets), leaves)
    return Told("graph" if tape is None or tape.loops else "adjoints", refused)
