"""One row a trial of our own record, as a page shows it, and what those rows tell beside their worth."""

from typing import Any

import pandas as pd

from study.records import own
from study.records import rates as rates_of
from study.records.curves import COSTS
from study.records.material import Level
from study.records.question import Question
from study.records.trials import trainings, trials

COLUMNS = [
    *("task", "scheme", "arm", "repetition", "trial", "seeds", "lost", "status", "lr", "score", "told", "test_score"),
    *("passes", "flops", "steps", "seconds"),
    "run_id",
]


def trials_of(record: pd.DataFrame, level: Level) -> pd.DataFrame:
    """The trials of one task in the order of the record: see `study.records.trials`.

    Args:
        record: the rows of one task.
        level: how its scores are to be read.

    Returns:
        One row a trial, its seeds taken together; `score` is its best validation score, `lr` the rate that it was
        given or, of a rule that finds its own, found (`study.records.rates`), costs are whole.
    """
    return shown(trials(own.of_record(record, "passes"), _best(level)))


def trainings_of(record: pd.DataFrame, level: Level) -> pd.DataFrame:
    """The same columns, every seed of a trial in a row of its own.

    Args:
        record: the rows of one task.
        level: how its scores are to be read.

    Returns:
        One row a training.
    """
    return shown(trainings(own.of_record(record, "passes"), _best(level)), "seed")


def shown(rows: pd.DataFrame, *more: str) -> pd.DataFrame:
    """The columns of trials that a page shows; of a rule that finds its own rate, that is their rate.

    Args:
        rows: of a record's table, as `study.records.trials` gives them.
        more: columns that are wanted besides, before the others.
    """
    return rows.assign(lr=rows["found"].fillna(rows["lr"])).reindex(columns=[*more, *COLUMNS])


def shown_curves(table: pd.DataFrame) -> pd.DataFrame:
    """The score of every trial after every record, and what it had cost by then in every unit that is known.

    table: one row a record of a trial (`study.records.curves`).

    Returns:
        Columns scheme, repetition, trial, epoch, score_then, and `passes_then` … for each cost that the table has.
    """
    costs = {name: f"{name}_then" for name in COSTS if name in table}
    keys = ["scheme", "repetition", "trial", "epoch"]
    return table.reindex(columns=[*keys, "score", *costs]).rename(columns={"score": "score_then", **costs})


def _best(level: Level) -> Question:
    return Question("min" if level.mode == "min" else "max", level.target, level.chance, "best")


def rates(record: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """The rate that the first seed of each of these trials used, record by record: the base rate × the mean scale.

    Args:
        record: the rows of one task.
        best: trials, with columns scheme, arm, repetition, trial.

    Returns:
        Columns task, scheme, repetition, trial, epoch, rate.
    """
    keys = ["arm", "repetition", "k"]
    wanted: Any = best.rename(columns={"trial": "k"})[[*keys, "scheme"]]
    first: Any = record[record["seed_number"] == record.groupby(keys)["seed_number"].transform("min")]
    here = first.drop(columns="scheme", errors="ignore").merge(wanted, on=keys)  # theirs is the family of the rule
    columns: Any = here[["task", "scheme", "repetition", "k", "epoch"]]
    made = columns.rename(columns={"k": "trial"})
    return made.assign(rate=rates_of.used(here))


def step_price(rows: pd.DataFrame, baseline: str) -> dict[str, tuple[float, float, float]]:
    """Seconds a step as multiples of the baseline's median.

    From the record: trials that ran side by side disturb each other, so it is a hint, not a measurement
    (`lr-study overhead` measures).

    Args:
        rows: one a trial, with columns scheme, steps, seconds.
        baseline: the scheme whose median is 1.

    Returns:
        (median, lower and upper quartile) of every scheme; empty where the baseline's is not known.
    """
    used: Any = rows[(rows["steps"] > 0) & (rows["seconds"] > 0)]
    price = used["seconds"] / used["steps"]
    unit = price[used["scheme"] == baseline].median()
    if not unit > 0:
        return {}
    quartiles = (price / unit).groupby(used["scheme"], sort=False).quantile([0.5, 0.25, 0.75]).unstack()
    return {str(name): (float(row[0.5]), float(row[0.25]), float(row[0.75])) for name, row in quartiles.iterrows()}
