"""Transfer between the tasks of a study whose arms drew the same configurations on each."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from study.cost import TRIALS_A_CHOICE, Interval, NotDefined, ends, transfer_draws, transfer_regret
from study.cost.best_of import FEWEST_TRIALS
from study.records.ended import LOST
from study.records.material import Material
from study.records.question import Floats

TRIAL = ["repetition", "trial"]
Losses = dict[
    int, tuple[Floats, list[Interval]]
]  # by budget K: on every task and their mean; no interval where none holds


@dataclass(frozen=True)
class Transfer:
    """The loss of a scheme on one task whose configuration is chosen on the others, in test score."""

    scheme: str
    trials: int  # configurations that all its tasks have
    regret: dict[int, float] = field(default_factory=dict)  # K → loss against the best of K here
    mean: dict[int, float] = field(default_factory=dict)  # K → over all tasks; empty if it lacks one or metrics differ
    interval: dict[int, Interval] = field(default_factory=dict)  # K → of the loss; only of independent trials
    mean_interval: dict[int, Interval] = field(default_factory=dict)  # likewise of the mean


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
        One list a task; empty where no scheme ran on several tasks at the same configurations. A scheme that ran on
        some of them is chosen on those, and has no mean.
    """
    drawn = [rows[rows["arm"].isin(list(material.same_points))] for rows in trials]
    made: list[list[Transfer]] = [[] for _ in trials]
    for scheme in dict.fromkeys(scheme for rows in drawn for scheme in rows["scheme"]):
        tasks = [task for task, rows in enumerate(drawn) if scheme in set(rows["scheme"])]
        here: list[Any] = [drawn[task][drawn[task]["scheme"] == scheme] for task in tasks]
        generator = np.random.default_rng(zlib.crc32(f"transfer\0{scheme}".encode()))
        worths = [_worth(rows.set_index(TRIAL), modes[task]) for rows, task in zip(here, tasks, strict=True)]
        count, losses = _losses(worths, generator if _by_chance(here, material) else None)
        on_all = len(tasks) == sum(len(rows) > 0 for rows in drawn)
        for place, task in enumerate(tasks) if losses else ():
            made[task].append(_transfer(scheme, count, losses, place, alike=alike and on_all))
    return made


def budget(told: Iterable[Transfer]) -> int:
    """The largest budget K at which all of them are known, and compare.

    told: of any schemes and tasks, one at least.
    """
    return max(set.intersection(*(set(one.regret) for one in told)))


def _transfer(scheme: str, count: int, losses: Losses, task: int, *, alike: bool) -> Transfer:
    """The part of its task, by place, of the losses of a scheme, of which the mean stands behind the tasks."""
    here, mean = ({k: float(values[place]) for k, (values, _) in losses.items()} for place in (task, -1))
    ends_here, ends_mean = ({k: found[place] for k, (_, found) in losses.items() if found} for place in (task, -1))
    return Transfer(scheme, count, here, mean if alike else {}, ends_here, ends_mean if alike else {})


def _by_chance(tables: Sequence[Any], material: Material) -> bool:
    """Tell if no trial depends on another, nor keeps a distance from it."""
    arms = {arm for rows in tables for arm in rows["arm"]}
    searchers = set(material.record.loc[material.record["arm"].isin(list(arms)), "searcher"])
    return searchers == {"random"} and not any((rows["status"] == "stopped").any() for rows in tables)


def _losses(worths: Sequence[Any], generator: np.random.Generator | None) -> tuple[int, Losses]:
    """The number of configurations that all tasks have, and the losses; intervals where a generator is given."""
    joined: Any = pd.concat(worths, axis=1, join="inner")
    valid, test = (joined[name].to_numpy(float) for name in ("score", "test_score"))
    found: Losses = {}
    k = 1
    while k * TRIALS_A_CHOICE <= len(valid):
        loss = transfer_regret(valid, test, k)
        if isinstance(loss, NotDefined):
            break
        every = np.append(loss, loss.mean())
        told = len(valid) >= FEWEST_TRIALS and k > 1  # of one configuration nothing is lost
        found[k] = every, _intervals(valid, test, k, generator, every) if told and generator is not None else []
        k *= 2
    return len(valid), found


def _intervals(valid: Floats, test: Floats, k: int, generator: np.random.Generator, losses: Floats) -> list[Interval]:
    """One interval a task, and last that of their mean."""
    low, high = (np.vstack([drawn, drawn.mean(axis=0)]) for drawn in transfer_draws(valid, test, k, generator))
    return [ends(*three) for three in zip(low, high, losses, strict=True)]


def _worth(rows: Any, mode: str) -> Any:
    """Validation and test scores, higher is better; what was lost ranks below all others."""
    signed = rows[["score", "test_score"]] * (-1.0 if mode == "min" else 1.0)
    return signed.assign(score=signed["score"].mask(rows["status"].isin(list(LOST)), -np.inf))
