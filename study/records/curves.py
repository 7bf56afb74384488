"""The records of every trial in their order, several seeds of one configuration as one curve."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from study.records.ended import OPEN, is_lost
from study.records.question import Floats, Question
from study.records.table import KEY
from trainables.refusal import Refusal

ORDERED = "repetition", "trial"
COSTS = "passes", "flops", "steps", "seconds", "gradients"
"""Costs of a training beside the one that is asked for; seeds of a trial add up. The last where it was measured."""


def curves(table: pd.DataFrame, question: Question) -> pd.DataFrame:
    """One row a record of a trial, its seeds taken together, in the order of trials: what `trials` is read off.

    Args:
        table: as for `trials`, or what this function has given: then nothing changes.
        question: as for `trials`.

    Returns:
        The table's columns; `score` is the mean of a trial's seeds from the record on at which each has had one, costs
        are added over them.
    """
    table = in_order(table)
    return table if _one_seed_each(table) else _together(table, question)


def in_order(table: Any) -> pd.DataFrame:
    """A table sorted by key and epoch; trials and repetitions that have a text for a name are numbered as they appear.

    Args:
        table: one row a record.
    """
    text = [name for name in ORDERED if name in table and not is_numeric_dtype(table[name])]
    table = table.assign(**{name: pd.factorize(table[name])[0] for name in text})
    keys = [name for name in KEY if name in table]
    codes = [pd.factorize(table[name], sort=name in ORDERED)[0] for name in keys]
    epoch = table["epoch"].to_numpy() if "epoch" in table else np.zeros(len(table))
    return table.iloc[np.lexsort((epoch, *reversed(codes)))]


def first_rows(table: Any, keys: Sequence[str]) -> NDArray[np.intp]:
    """The positions where any of the sorted columns starts a new value.

    Args:
        table: as `in_order` gives it.
        keys: names of columns.
    """
    new = np.zeros(len(table), bool)
    new[:1] = True
    for name in keys:
        codes = pd.factorize(table[name])[0]
        new[1:] |= codes[1:] != codes[:-1]
    return np.flatnonzero(new)


def costs_of(table: Any, starts: NDArray[np.intp], name: str = "cost") -> Floats:
    """The cumulative cost of every record: a column; where there is none epochs, else one a trial.

    Args:
        table: as `in_order` gives it.
        starts: where its trials, or their seeds, start.
        name: of the column.

    Raises:
        Refusal: where a cost falls within a trial.
    """
    if name not in table:
        return table["epoch"].to_numpy(float) if "epoch" in table else np.ones(len(table))
    cost = table[name].to_numpy(float)
    falls = np.diff(cost, prepend=0.0) < 0
    falls[starts] = False
    if falls.any():
        at = int(np.flatnonzero(falls)[0])
        raise Refusal(
            f"row {int(table.index[at]) + 1}, column {name!r}: cost is cumulative within a trial, and "
            f"{cost[at]:g} is less than the {cost[at - 1]:g} before it"
        )
    return cost


def _one_seed_each(table: Any) -> bool:
    """Tell if every trial has one seed, and is to have no more."""
    if "seed" not in table:
        return True
    more = "planned" in table and bool((table["planned"] > 1).any())
    return not more and int(table.groupby(_keys(table), sort=False)["seed"].nunique().max()) == 1


def _keys(table: Any) -> list[str]:
    return [name for name in KEY if name in table and name != "seed"]


def _together(table: Any, question: Question) -> pd.DataFrame:
    """Several seeds of one configuration as one curve: mean scores, summed costs.

    They are not independent trials; counted as such they would make every interval too narrow. A mean exists from the
    epoch at which each of the trial's seeds has had a value, and each one's last value counts. `worth` counts a seed
    that was lost at chance throughout, and none for less; a hit is read off what was scored at the time.
    """
    keys = _keys(table)
    levels = question.levels("chance", table["task"])
    chance = pd.Series(levels, index=table.index)
    lost = is_lost(table)
    score = table["score"].where(np.isfinite(table["score"]), np.nan)
    untold = score.isna() & ~lost & (question.score_at == "last")
    score = score.mask(untold, chance.fillna(np.inf))  # infinite: no earlier score stands for what nobody told
    table = table.assign(
        untold=untold,
        score=score.where(~(lost & score.isna()), chance),
        worth=pd.Series(question.floored(score.to_numpy(float), levels), index=table.index).mask(lost, chance),
        cost=costs_of(table, first_rows(table, [*keys, "seed"])),
        epoch=table.get("epoch", 0.0),
    )
    means = ["score", "worth"]
    if "test_score" in table:
        test = pd.Series(question.floored(table["test_score"].to_numpy(float), levels), index=table.index)
        table["test_score"] = test.mask(lost, chance)
        means.append("test_score")
    about = _about_seeds(table, keys, lost)
    sums = [name for name in ("cost", *COSTS) if name in table]
    planned = [name for name in table if str(name).startswith("dearest")]
    wide: Any = table.set_index([*keys, "epoch", "seed"])[[*means, *sums, *planned]].unstack("seed")
    filled = wide.groupby(level=keys, sort=False).ffill()
    number = about["seeds"].reindex(filled.index.droplevel("epoch")).to_numpy()
    rows = pd.DataFrame(
        {name: _mean(filled[name], number) for name in means}
        | {name: filled[name].sum(axis=1, min_count=1) for name in sums}  # nobody's is not 0
    )
    rows[means] = rows[means].where(np.isfinite(rows[means]))
    rows = rows.assign(**{name: filled[name].mean(axis=1) * number for name in planned})
    rest = table.drop_duplicates([*keys, "epoch"]).set_index([*keys, "epoch"])
    rest = rest.drop(columns=[*means, *sums, *planned, "seed", "status", "untold"], errors="ignore")
    return in_order(rows.join(rest).join(about, on=keys).reset_index())


def _mean(values: Any, number: NDArray) -> Floats:
    """The mean over a trial's seeds, where each has had a value."""
    return np.where(values.count(axis=1) == number, values.sum(axis=1) / number, np.nan)


def _about_seeds(table: Any, keys: list[str], lost: Any) -> pd.DataFrame:
    """One row a trial: how many seeds it has, were lost, and told no last score where that is asked for; its status."""
    status = table["status"] if "status" in table else pd.Series("finished", index=table.index)
    last: Any = table.assign(status=status, lost=lost.astype(int)).drop_duplicates([*keys, "seed"], keep="last")
    flags = {name: (last["status"] == name).astype(int) for name in (OPEN, "stopped", "failed")}
    groups: Any = last.assign(**flags, seeds=1, planned=last.get("planned", 1)).groupby(keys, sort=False)
    about = groups[["seeds", "lost", "untold", *flags]].sum().join(groups["planned"].max())
    conditions = [
        (about[OPEN] > 0) | (about["seeds"] < about["planned"]),
        about["stopped"] > 0,
        about["failed"] == about["seeds"],
        about["lost"] == about["seeds"],
    ]
    about["status"] = np.select(conditions, [OPEN, "stopped", "failed", "diverged"], "finished")
    return about[["seeds", "lost", "untold", "status"]]
