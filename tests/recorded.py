"""Records made by hand, as `study.tracking.read` gives them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

LEVEL = {"mode": "max", "metric": "accuracy", "chance": 0.1, "target": float("nan")}


def training(scores: Sequence[float], status: str = "finished", **about: Any) -> pd.DataFrame:
    """One training: a row a record; `about` replaces the columns of the same name, of a task called `t`."""
    count = len(scores)
    numbers = range(1, count + 1)
    columns = {
        "study": "s",
        "arm": "a",
        "repetition": 0,
        "k": 0,
        "seed_number": 0,
        "status": status,
        "searcher": "random",
        "task": "t",
        "scheme.lr": 0.1,
        **LEVEL,
        "record": numbers,
        "epoch": [float(n) for n in numbers],
        "train_loss": 1.0,
        "valid_score": list(scores),
        "test_score": list(scores),
        "lr": 0.1,
        "diverged": 0.0,
        **{unit: [float(n) for n in numbers] for unit in ("passes", "flops", "steps", "seconds")},
        **about,
    }
    made = pd.DataFrame(columns, index=range(count))
    return made.assign(run_id=f"{columns['arm']}-{columns['repetition']}-{columns['k']}-{columns['seed_number']}")


def record(*trainings: pd.DataFrame) -> pd.DataFrame:
    """All of them, one after another."""
    return pd.concat(trainings, ignore_index=True)
