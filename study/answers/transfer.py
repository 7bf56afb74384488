"""Transfer between the tasks of a study whose arms drew the same configurations on each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from study.cost import TRIALS_A_CHOICE, NotDefined, transfer_regret
from study.records.material import Material
from study.records.trials import LOST, Floats

TRIAL = ["repetition", "trial"]


@dataclass(frozen=True)
class Transfer:
    """The loss of a scheme on one task whose configuration is chosen on the others, in test score."""

    scheme: str
    trials: int  # configurations that all tasks have
    regret: dict[int, float] = field(default_factory=dict)  # K → loss against the best of K here
    mean: dict[int, float] = field(default_factory=dict)  # K → over all tasks; empty where their metrics differ


def transfers(
    trials: Sequence[pd.DataFrame], modes: Sequence[str], material: Material, *, alike: bool
) -> list[list[Transfer]]:
    """The losses on every task, of the schemes that drew the same configurations on all of them.

    Args:
        trials: one table a task, one row a trial that ended (`study.answers.trials`).
        modes: of every task's scores, max or min.
        material: says which arms drew the same configurations.
        alike: whether all tasks have one metric, so that a mean over them means something.

    Returns:
        One list a task; empty where no scheme ran on several tasks at the same configurations.
    """
    drawn = [rows[rows["arm"].isin(list(material.same_points))] for rows in trials]
    made: list[list[Transfer]] = [[] for _ in trials]
    for scheme in dict.fromkeys(scheme for rows in drawn for scheme in rows["scheme"]):
        here = [rows[rows["scheme"] == scheme] for rows in drawn]
        count, losses = _losses(here, modes)
        means = {k: float(loss.mean()) for k, loss in losses.items()} if alike else {}
        for task in range(len(trials)) if losses else ():
            made[task].append(Transfer(scheme, count, {k: float(loss[task]) for k, loss in losses.items()}, means))
    return made


def _losses(tables: Sequence[Any], modes: Sequence[str]) -> tuple[int, dict[int, Floats]]:
    """The number of configurations that all tasks have, and by budget K (tasks,) the losses."""
    worths = [_worth(rows.set_index(TRIAL), mode) for rows, mode in zip(tables, modes, strict=True)]
    joined: Any = pd.concat(worths, axis=1, join="inner")
    valid, test = (joined[name].to_numpy(float) for name in ("score", "test_score"))
    found: dict[int, Floats] = {}
    k = 1
    while k * TRIALS_A_CHOICE <= len(valid):
        loss = transfer_regret(valid, test, k)
        if isinstance(loss, NotDefined):
            break
        found[k] = loss
        k *= 2
    return len(valid), found


def _worth(rows: Any, mode: str) -> Any:
    """Validation and test scores, higher is better; what was lost ranks below all others."""
    signed = rows[["score", "test_score"]] * (-1.0 if mode == "min" else 1.0)
    return signed.assign(score=signed["score"].mask(rows["status"].isin(list(LOST)), -np.inf))
