"""A task's target: what a tuned baseline reaches on seeds that no tuning has seen, fixed before any race."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from study.answers.trials import trainings_of, trials_of
from study.plan.parse import parse
from study.plan.study import Study
from study.records.ended import best_of
from study.records.material import Level, level_of
from trainables.refusal import Refusal

BASELINE = {"direction": "momentum", "scheme.schedule": "cosine"}
SEARCH, SEEDS = "search", "seeds"


class Calibrated(NamedTuple):
    """Two targets, with the configuration and the scores they come from."""

    target: float
    halfway: float | None  # reached after half of the epochs, a target that asks for less; None without a score then
    chosen: dict[str, Any]  # the searched values of the best configuration
    scores: list[float]  # its best validation scores on fresh seeds


def search_study(task: str, trials: int, settings: Mapping[str, Any]) -> Study:
    """The study that tunes the baseline: a random search of momentum with a cosine schedule.

    Choi et al. 2019 (arXiv 1910.05446) and AlgoPerf (arXiv 2306.07179, section 4.2) fix their targets in this way.

    Args:
        task: whose target is to be fixed.
        trials: how many configurations are tried.
        settings: of each trial, by their dotted keys: its epochs, and those from one validation score to the next; the
            best of these scores is what a training is worth.

    Returns:
        The study.
    """
    return _study(task, SEARCH, {"trials": trials, **BASELINE, **settings})


def seeds_study(task: str, seeds: int, settings: Mapping[str, Any]) -> Study:
    """The study that trains the chosen configuration anew: one trial, whose seeds no tuning has seen.

    They are its own because the study's name is part of every key.

    Args:
        task: whose target is to be fixed.
        seeds: how many trainings.
        settings: of the search, and the searched values of its best configuration.

    Returns:
        The study.
    """
    return _study(task, SEEDS, {"trials": 1, "seeds": seeds, **BASELINE, **settings})


def calibrated(record: pd.DataFrame, chosen: dict[str, Any]) -> Calibrated:
    """The target: the median of the best validation scores that the fresh seeds recorded.

    Args:
        record: of the study of seeds; a seed that was lost counts at chance.
        chosen: the configuration that was trained anew.

    Returns:
        The target, and the same of the first half of the epochs; the configuration and the scores they come from.
    """
    level = _level(record)
    scores = [float(score) for score in trainings_of(record, level)["score"]]
    half = record["epoch"].max() / 2
    first_half: Any = record[~(record["epoch"] > half)]  # with what was lost before it scored at all
    scored = bool(((record["status"] == "finished") & (record["epoch"] <= half)).any())
    halfway = float(np.median(trainings_of(first_half, level)["score"])) if scored else None
    return Calibrated(float(np.median(scores)), halfway, chosen, scores)


def best_configuration(record: pd.DataFrame, study: Study) -> dict[str, Any]:
    """The searched values of the trial with the best validation score, among as many as the study has today.

    Args:
        record: of the study that tunes the baseline; it may have been larger once.
        study: that study; its one arm says what is searched.

    Returns:
        The values by their dotted keys.

    Raises:
        Refusal: where no trial came to its end.
    """
    level = _level(record)
    whole: Any = record[(record["status"] == "finished") & (record["k"] < study.arms[0].settings.trials)]
    if whole.empty:
        raise Refusal(f"no trial of {study.name!r} came to its end: there is nothing to calibrate with")
    best = best_of(trials_of(whole, level), level.mode).iloc[0]
    row = whole[whole["run_id"] == best["run_id"]].iloc[0]
    values = {key: row[key] for key in study.arms[0].space}
    return {key: None if value != value else value for key, value in values.items()}  # a NaN here is a null


def _level(record: pd.DataFrame) -> Level:
    return level_of(record, str(record["task"].iloc[0]))


def _study(task: str, part: str, arm: dict[str, Any]) -> Study:
    """One of the two studies; written as a study file, so that it can be read and run as any other."""
    plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in arm.items()}
    text = json.dumps(
        {"question": f"What does a tuned baseline reach on {task}?", "arms": {"baseline": {"task": task, **plain}}}
    )
    name = f"target-{task.replace(':', '-').replace('.', '-').replace('/', '-')}-{part}"
    return parse(text, name, folder=Path())
