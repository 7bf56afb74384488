"""Other people's numbers: the float64 trajectories in ../shared/oracles, replayed through our rules."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from trainables.oracle import Tensors
from trainables.rules import Composed

ORACLES = Path(__file__).parents[1].parent / "shared" / "oracles"


class Trajectory(NamedTuple):
    """What the authors' own code did with gradients that were handed to it."""

    start: Tensors
    grads: list[Tensors]  # one a step, before any weight decay
    params: list[Tensors]  # after each step
    lr: list[float]  # after each step
    config: dict  # in the authors' names


def trajectory(name):
    """The oracle of that name; skips the test where the folder is absent."""
    path = ORACLES / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"needs ../shared/oracles/{name}.npz, which is not here")
    with np.load(path) as stored:
        held = {key: stored[key] for key in stored.files}
    count = sum(key.startswith("p0_") for key in held)
    num_steps = len(held["lr"])

    def of_step(kind, step):
        return {f"{i}.weight": torch.from_numpy(held[f"{kind}_{i}"][step]) for i in range(count)}

    return Trajectory(
        {f"{i}.weight": torch.from_numpy(held[f"p0_{i}"]) for i in range(count)},
        [of_step("grads", step) for step in range(num_steps)],
        [of_step("params", step) for step in range(num_steps)],
        held["lr"].tolist(),
        json.loads(str(held["config"])),
    )


def check_trajectory(rule: Composed, theirs: Trajectory, atol: float, rates: bool = False) -> None:
    """Our rule, fed with their gradients, walks their path (and moves its rate as they did)."""
    params, state = theirs.start, rule.init(theirs.start)
    progress = torch.zeros((), dtype=torch.float64)
    for grads, expected, lr in zip(theirs.grads, theirs.params, theirs.lr, strict=True):
        with torch.no_grad():
            params, state = rule.update(grads, params, state, progress)
        for name, param in params.items():
            torch.testing.assert_close(param, expected[name], rtol=0, atol=atol)
        if rates:
            assert state.lr.item() == pytest.approx(lr, rel=0, abs=atol)
