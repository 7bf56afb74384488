"""A task's target: what a tuned baseline reaches on seeds that no tuning has seen, fixed before any race."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from study.plan.parse import parse
from study.plan.study import Study
from trainables.refusal import Refusal

BASELINE = {"direction": "momentum", "scheme.schedule": "cosine"}
SEARCH, SEEDS = "search", "seeds"


class Calibrated(NamedTuple):
    """A target, with the configuration and the scores it comes from."""

    target: float
    chosen: dict[str, Any]  # the searched values of the best configuration
    scores: list[float]  # its best validation scores on fresh seeds


def search_study(task: str, epochs: float, trials: int) -> Study:
    """The study that tunes the baseline: a random search of momentum with a cosine schedule.

    Choi et al. 2019 (arXiv 1910.05446) and AlgoPerf (arXiv 2306.07179, section 4.2) fix their targets in this way.
    """
    return _study(task, SEARCH, {"epochs": epochs, "trials": trials, **BASELINE})


def seeds_study(task: str, epochs: float, seeds: int, chosen: Mapping[str, Any]) -> Study:
    """The study that trains the chosen configuration anew: one trial, whose seeds no tuning has seen.

    They are its own because the study's name is part of every key.
    """
    return _study(task, SEEDS, {"epochs": epochs, "trials": 1, "seeds": seeds, **BASELINE, **chosen})


def calibrated(record: pd.DataFrame, chosen: dict[str, Any], mode: str) -> Calibrated:
    """The target: the median of the best validation scores that the fresh seeds recorded."""
    scores = best_scores(record, mode)
    return Calibrated(float(np.median(scores)), chosen, scores)


def best_configuration(table: pd.DataFrame, study: Study, mode: str) -> dict[str, Any]:
    """The searched values of the trial with the best validation score, diverged ones left out."""
    whole: Any = table[table["status"] == "finished"]
    if whole.empty:
        raise Refusal(f"no trial of {study.name!r} came to its end: there is nothing to calibrate with")
    at = whole["valid_score"].idxmax() if mode == "max" else whole["valid_score"].idxmin()
    return {key: whole.loc[at, key] for key in study.arms[0].space}


def best_scores(table: pd.DataFrame, mode: str) -> list[float]:
    """The best validation score of each trial; a diverged one counts with its last, which is chance."""
    trials = table.groupby(["k", "seed_number"])
    scores: Any = (
        trials["valid_score"].agg(mode).where(trials["status"].last() != "diverged", trials["valid_score"].last())
    )
    return [float(score) for score in scores]


def _study(task: str, part: str, arm: dict[str, Any]) -> Study:
    """One of the two studies; written as a study file, so that it can be read and run as any other."""
    plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in arm.items()}
    text = json.dumps(
        {"question": f"What does a tuned baseline reach on {task}?", "arms": {"baseline": {"task": task, **plain}}}
    )
    return parse(text, f"target-{task.replace(':', '-').replace('.', '-').replace('/', '-')}-{part}")
