"""One row a trial: what it was worth and what it used."""

from typing import Any

import pandas as pd

from study.records import own
from study.records.material import Level

COSTS = ["passes", "flops", "steps", "seconds"]


def trials(record: pd.DataFrame, task: str, level: Level) -> pd.DataFrame:
    """The trials of one task that have ended, in the order of the record.

    `score` is the best validation score of a trial; one that diverged or failed counts at chance.
    """
    here: Any = record[record["task"] == task]
    here = own.ended(here)
    here = here.assign(scheme=own.schemes(here), rate_given=own.learning_rates(here))
    groups = here.groupby(["arm", "repetition", "k", "seed_number"], sort=False)
    last = groups.last().reset_index()
    best = groups["valid_score"].agg(level.mode).reset_index()["valid_score"]
    bad = last["status"].isin(["diverged", "failed"])
    made = {
        "task": last["task"],
        "scheme": last["scheme"],
        "arm": last["arm"],
        "repetition": last["repetition"],
        "trial": last["k"],
        "seed": last["seed_number"],
        "status": last["status"],
        "lr": last["rate_given"],
        "score": best.where(~bad, level.chance),
        "test_score": last.get("test_score", float("nan")),
        **{name: last[name] for name in COSTS},
        "run_id": last.get("run_id"),
    }
    return pd.DataFrame(made)


def validated(rows: pd.DataFrame) -> bool:
    """Whether any trial that neither diverged nor failed has a score; true where there is no such trial."""
    sound: Any = rows[~rows["status"].isin(["diverged", "failed"])]
    return sound.empty or bool(sound["score"].notna().any())


def best_of(rows: pd.DataFrame, mode: str) -> pd.DataFrame:
    """The best trial of every scheme, chosen on validation; where nothing was validated, the first stands for all."""
    if not validated(rows):
        return rows.drop_duplicates("scheme")
    known = rows[rows["score"].notna() & ~rows["status"].isin(["diverged", "failed"])]
    groups = known.groupby("scheme", sort=False)["score"]
    return known.loc[groups.idxmax() if mode == "max" else groups.idxmin()]


def rates(record: pd.DataFrame, best: pd.DataFrame) -> pd.DataFrame:
    """The rate that each of these trials used, record by record: the base rate times the mean scale."""
    keys = ["arm", "repetition", "k", "seed_number"]
    wanted: Any = best.rename(columns={"trial": "k", "seed": "seed_number"})[[*keys, "scheme"]]
    here = record.drop(columns="scheme", errors="ignore").merge(wanted, on=keys)  # theirs is the family of the rule
    scale = here["scale"].fillna(1.0) if "scale" in here else 1.0
    columns: Any = here[["task", "scheme", "repetition", "k", "epoch"]]
    made = columns.rename(columns={"k": "trial"})
    return made.assign(rate=here["lr"].astype(float) * scale)


def step_price(rows: pd.DataFrame, baseline: str) -> dict[str, tuple[float, float, float]]:
    """Seconds a step as multiples of the baseline's median: (median, lower and upper quartile) of every scheme.

    From the record: trials that ran side by side disturb each other, so it is a hint, not a measurement
    (`lr-study overhead` measures).
    """
    used: Any = rows[(rows["steps"] > 0) & (rows["seconds"] > 0)]
    price = used["seconds"] / used["steps"]
    unit = price[used["scheme"] == baseline].median()
    if not unit > 0:
        return {}
    quartiles = (price / unit).groupby(used["scheme"], sort=False).quantile([0.5, 0.25, 0.75]).unstack()
    return {str(name): (float(row[0.5]), float(row[0.25]), float(row[0.75])) for name, row in quartiles.iterrows()}
