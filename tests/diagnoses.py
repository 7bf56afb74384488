"""Tables of the evidence why a scheme loses: the rates that it found, against the best that never changed."""

from typing import Any

import pandas as pd

from study.reports.terminal import TextTable

CONSTANT = "sgd"  # the arm whose trials keep their rate


def learned(record: pd.DataFrame, arms: list[str]) -> TextTable:
    """The rates at which arms end that learn theirs, a row an arm and task; over the trials that did not diverge.

    Args:
        record: a row a record of a trial; tasks without an arm of constant rates are left out.
        arms: without the task.
    """
    rows = []
    for arm, task in _there(record, arms):
        told, best = _records(record, arm, task), best_constant(record, task)
        last = told.groupby("k").last()
        alive = last[last["diverged"] == 0]
        low = alive["scheme.lr"] <= best / 10
        below = f"{int((alive['lr'] < 0).sum())} of {len(alive)}"
        lost = f"{int((last['diverged'] == 1).sum())} of {len(last)}"
        ends = quartiles(alive.loc[low, "lr"]), quartiles(alive.loc[~low, "lr"])
        rows.append([arm, task, f"{best:.2g}", *ends, below, lost])
    columns = [
        "last rates",
        "task",
        "best constant",
        "begun a tenth below or less",
        "begun above",
        "below 0",
        "diverged",
    ]
    return TextTable("", columns, rows, [])


def measured(record: pd.DataFrame, arms: list[str]) -> TextTable:
    """The rates of curvature rescaling at levels of ½ … 2, and how its mini-batches' curvature scatters, a row an arm.

    Scatter: the median over trials of the factor between the 90th and the 10th percentile of their records.

    Args:
        record: a row a record of a trial; tasks without an arm of constant rates are left out.
        arms: without the task.
    """
    rows = []
    for arm, task in _there(record, arms):
        told = _records(record, arm, task)
        near = told[told["scheme.level"].between(0.5, 2) & (told["diverged"] == 0)]
        trials = near.groupby("k")
        scatter = trials["curvature"].quantile(0.9) / trials["curvature"].quantile(0.1)
        rates = quartiles(trials["lr"].first()), quartiles(trials["lr"].last())
        rows.append([arm, task, f"{best_constant(record, task):.2g}", *rates, quartiles(scatter)])
    return TextTable("", ["measured rates", "task", "best constant", "first", "last", "curvature's scatter"], rows, [])


def best_constant(record: pd.DataFrame, task: str) -> float:
    """The constant rate of the trial with the best validation score on a task.

    Args:
        record: as for `learned`.
        task: one of its tasks.
    """
    rows = _records(record, CONSTANT, task).dropna(subset=["valid_score"])
    score = rows["valid_score"]
    best = score.idxmax() if rows["mode"].iloc[0] == "max" else score.idxmin()
    return float(rows.loc[best, "scheme.lr"])


def quartiles(values: pd.Series) -> str:
    """The median and the middle half.

    >>> quartiles(pd.Series([1.0, 2.0, 3.0, 4.0, 5.0])), quartiles(pd.Series([], dtype=float))
    ('3 (2 to 4)', '—')
    """
    if values.empty:
        return "—"
    low, middle, high = values.quantile([0.25, 0.5, 0.75], interpolation="nearest")  # some are infinite
    return f"{middle:.2g} ({low:.2g} to {high:.2g})"


def _there(record: pd.DataFrame, arms: list[str]) -> list[tuple[str, str]]:
    """The arms on every task on which a constant rate stands beside them."""
    known, tasks = set(record["arm"]), list(dict.fromkeys(record["task"]))
    beside = [task for task in tasks if f"{CONSTANT}-{task}" in known]
    return [(arm, task) for arm in arms for task in beside if f"{arm}-{task}" in known]


def _records(record: pd.DataFrame, arm: str, task: str) -> Any:
    return record[record["arm"] == f"{arm}-{task}"].dropna(subset=["epoch"]).sort_values("epoch")
