"""The worth of every trial, its cost, and its hit of the target: one row a trial, from a table of records.

A trial is the mean of the seeds that it has. This is the one place that settles what counts:

- `score`: the best (or the last) score of a trial that ended; chance where it diverged or failed; NaN where it is open
  or nobody told one;
- `full`, `charged`: its whole cost, and its cost up to the target (its whole cost where it missed); `charged_passes` …
  the same in every other unit that the table has;
- `hit`: whether a score reached the target, equal up to rounding, at the time it was told;
- `seeds`, `lost`: the seeds that it has, and how many of them diverged or failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from study.records.table import KEY
from trainables.refusal import Refusal

Floats = NDArray[np.float64]

OPEN = "running"
LOST = ("diverged", "failed")
"""How trials end that are worth no more than chance, whatever they said before."""
ORDERED = "repetition", "trial"
COSTS = "passes", "flops", "steps", "seconds", "gradients"
"""Costs of a training beside the one that is asked for; seeds of a trial add up. The last where it was measured."""
ROUNDING = 4  # units in the last place by which a mean may miss the target that it equals


@dataclass(frozen=True)
class Question:
    """Levels that trials are judged by, in the table's sense. target, chance, dearest: one, or by task ('' = rest)."""

    mode: Literal["max", "min"] = "max"
    target: float | dict[str, float] | None = None
    chance: float | dict[str, float] | None = None
    score_at: Literal["last", "best"] = "last"
    learns: bool | None = None
    dearest: float | dict[str, float] | None = None  # the most that a trial can cost

    def sign(self) -> float:
        """The factor of scores that makes higher better."""
        return 1.0 if self.mode == "max" else -1.0

    def of(self, name: Literal["target", "chance", "dearest"], task: str) -> float | None:
        """The target or chance level of a task in the table's own sense, or the most that a trial of it can cost.

        Args:
            name: which of the three.
            task: whose.

        Returns:
            The number; None where nobody gave one.
        """
        value = getattr(self, name)
        return value.get(task, value.get("")) if isinstance(value, dict) else value

    def levels(self, name: Literal["target", "chance"], tasks: pd.Series) -> Floats:
        """The target or chance level of every row's task.

        Args:
            name: which of the two.
            tasks: (rows,) names of tasks.

        Returns:
            (rows,) in the table's own sense; NaN where there is none.
        """
        names = tasks.astype(str)
        return names.map({task: self.of(name, task) for task in names.unique()}).to_numpy(float)


def trials(table: pd.DataFrame, question: Question) -> pd.DataFrame:
    """One row a trial, its seeds taken together, task by task and scheme by scheme in order of first appearance.

    Args:
        table: a validated table (`study.records.table`), one row a (trial, seed, epoch). `planned`, where it has this
            column, is the number of seeds that a trial is to have.
        question: the sense of scores, target, chance level, and which score of a trial counts.

    Returns:
        The last row of every trial, costs added over its seeds, with `score`, `test_score`, `full`, `charged`, `hit`,
        `seeds`, `lost`, and `status`: finished, stopped, diverged, failed, or running where a seed is still to end.

    Raises:
        Refusal: where the cost of a trial falls.
    """
    return of_curves(curves(table, question), question)


def curves(table: pd.DataFrame, question: Question) -> pd.DataFrame:
    """One row a record of a trial, its seeds taken together, in the order of trials: what `trials` is read off.

    Args:
        table: as for `trials`, or what this function has given: then nothing changes.
        question: as for `trials`.

    Returns:
        The table's columns; `score` is the mean of a trial's seeds from the record on at which each has had one, costs
        are added over them.
    """
    table = _prepared(table)
    return table if _one_seed_each(table) else _together(table, question)


def trainings(table: pd.DataFrame, question: Question) -> pd.DataFrame:
    """One row a (trial, seed): the same columns as `trials`, every seed by itself.

    Args:
        table: as for `trials`.
        question: as for `trials`.

    Raises:
        Refusal: where the cost of a trial falls.
    """
    return of_curves(_prepared(table), question)


def of_curves(table: pd.DataFrame, question: Question) -> pd.DataFrame:
    """One row a curve: its last, with worth, cost and hit.

    Args:
        table: sorted, as `curves` gives it.
        question: as for `trials`.

    Returns:
        As `trials` does.

    Raises:
        Refusal: where the cost of a trial falls.
    """
    starts = _starts(table, [name for name in KEY if name in table])
    ends = np.append(starts[1:], len(table)) - 1
    rows: Any = table.iloc[ends].reset_index(drop=True)
    sign, chance = question.sign(), question.levels("chance", rows["task"])
    score = sign * table["score"].to_numpy(float)
    above = reaches(score, sign * question.levels("target", pd.Series(table["task"])))
    first = np.minimum.reduceat(np.where(above, np.arange(len(table)), len(table)), starts)
    rows["hit"] = first < len(table)
    until = np.where(rows["hit"], np.minimum(first, len(table) - 1), ends)
    cost = _costs(table, starts)
    rows["full"], rows["charged"] = cost[ends], cost[until]
    rows = rows.assign(**{f"charged_{name}": _costs(table, starts, name)[until] for name in COSTS if name in table})
    worth = sign * table["worth"].to_numpy(float) if "worth" in table else np.where(np.isfinite(score), score, np.nan)
    final = np.fmax.reduceat(worth, starts) if question.score_at == "best" else worth[ends]
    lost = is_lost(rows).to_numpy()
    final = np.where(lost, chance, sign * final)
    running = (rows["status"] == OPEN).to_numpy() if "status" in rows else np.zeros(len(rows), bool)
    rows["score"] = np.where(running, np.nan, final)
    if "test_score" in rows:
        rows["test_score"] = rows["test_score"].mask(lost & rows["test_score"].isna(), pd.Series(chance))
    if "lost" not in rows:
        rows["seeds"], rows["lost"] = 1, lost.astype(int)
    return rows


def ended(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of trials that have ended, however they did."""
    kept: Any = rows[rows["status"] != OPEN] if len(rows) and "status" in rows else rows
    return kept


def is_lost(rows: pd.DataFrame) -> pd.Series:
    """Mark the rows of trials that count at chance."""
    if "status" in rows:
        return pd.Series(rows["status"]).isin(list(LOST))
    return pd.Series(data=False, index=rows.index)


def best_of(rows: pd.DataFrame, mode: str) -> pd.DataFrame:
    """The best trial of every scheme among those that neither diverged nor failed nor are still open.

    Where nothing was validated nothing may be selected: the first trial that ended stands for all.

    Args:
        rows: one a trial, as `trials` gives them, of one task.
        mode: max or min, the sense of their scores.

    Returns:
        One of these rows a scheme; none for a scheme of which every trial was lost.
    """
    sound: Any = ended(rows)
    sound = sound[~is_lost(sound)]
    if not has_scores(rows):
        return ended(rows).drop_duplicates("scheme")
    known: Any = sound[sound["score"].notna()]
    groups = known.groupby("scheme", sort=False)["score"]
    return known.loc[groups.idxmax() if mode == "max" else groups.idxmin()]


def ranked(rows: pd.DataFrame, mode: str) -> pd.DataFrame:
    """The trials that ended with a score of their own, the best first; of equals the one that came first.

    Args:
        rows: one a trial, as `trials` gives them, of one task.
        mode: max or min, the sense of their scores.
    """
    sound: Any = ended(rows)
    sound = sound[~is_lost(sound)]
    return sound[sound["score"].notna()].sort_values("score", ascending=mode == "min", kind="stable")


def has_scores(rows: pd.DataFrame) -> bool:
    """Tell a record with scores from one without: true too where every trial was lost."""
    sound: Any = ended(rows)
    sound = sound[~is_lost(sound)]
    return sound.empty or bool(sound["score"].notna().any())


def reaches(score: Floats, target: Floats) -> NDArray[np.bool_]:
    """Mark scores that reach their target; a mean that equals it but for rounding does.

    Args:
        score: (n,) higher is better.
        target: (n,) likewise; NaN where there is none.

    Returns:
        (n,) true where the score is finite and reaches it.

    >>> reaches(np.array([(0.7 + 0.8 + 0.9) / 3, 0.8 - 1e-9, np.nan]), np.array([0.8, 0.8, 0.8]))
    array([ True, False, False])
    """
    with np.errstate(invalid="ignore"):
        slack = ROUNDING * np.spacing(np.fmax(np.abs(score), np.abs(target)))
        return np.isfinite(score) & (score >= target - slack)


def _one_seed_each(table: Any) -> bool:
    """Tell if every trial has one seed, and is to have no more."""
    if "seed" not in table:
        return True
    more = "planned" in table and bool((table["planned"] > 1).any())
    return not more and int(table.groupby(_keys(table), sort=False)["seed"].nunique().max()) == 1


def _keys(table: Any) -> list[str]:
    return [name for name in KEY if name in table and name != "seed"]


def _prepared(table: Any) -> pd.DataFrame:
    """Sorted by key and epoch; trials and repetitions with text for a name are numbered as they appear: t2, t10."""
    text = [name for name in ORDERED if name in table and not is_numeric_dtype(table[name])]
    table = table.assign(**{name: pd.factorize(table[name])[0] for name in text})
    keys = [name for name in KEY if name in table]
    codes = [pd.factorize(table[name], sort=name in ORDERED)[0] for name in keys]
    epoch = table["epoch"].to_numpy() if "epoch" in table else np.zeros(len(table))
    return table.iloc[np.lexsort((epoch, *reversed(codes)))]


def _starts(table: Any, keys: Sequence[str]) -> NDArray[np.intp]:
    """The positions where any of the sorted columns starts a new value."""
    new = np.zeros(len(table), bool)
    new[:1] = True
    for name in keys:
        codes = pd.factorize(table[name])[0]
        new[1:] |= codes[1:] != codes[:-1]
    return np.flatnonzero(new)


def _costs(table: Any, starts: NDArray[np.intp], name: str = "cost") -> Floats:
    """Cumulative costs: the column, else epochs, else one a trial; a cost that falls within a trial is refused."""
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


def _together(table: Any, question: Question) -> pd.DataFrame:
    """Several seeds of one configuration as one curve: mean scores, summed costs.

    They are not independent trials; counted as such they would make every interval too narrow. A mean exists from the
    epoch at which each of the trial's seeds has had a value, and each one's last value counts. `worth` counts a seed
    that was lost at chance throughout; a hit is read off what was scored at the time.
    """
    keys = _keys(table)
    chance = pd.Series(question.levels("chance", table["task"]), index=table.index)
    lost = is_lost(table)
    score = table["score"].where(np.isfinite(table["score"]), np.nan)
    if question.score_at == "last":
        score = score.fillna(chance)
    table = table.assign(
        score=score.where(~(lost & score.isna()), chance),
        worth=score.mask(lost, chance),
        cost=_costs(table, _starts(table, [*keys, "seed"])),
        epoch=table.get("epoch", 0.0),
    )
    means = ["score", "worth"]
    if "test_score" in table:
        table["test_score"] = table["test_score"].mask(lost & table["test_score"].isna(), chance)
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
    rows = rows.assign(**{name: filled[name].mean(axis=1) * number for name in planned})
    rest = table.drop_duplicates([*keys, "epoch"]).set_index([*keys, "epoch"])
    rest = rest.drop(columns=[*means, *sums, *planned, "seed", "status"], errors="ignore")
    return _prepared(rows.join(rest).join(about, on=keys).reset_index())


def _mean(values: Any, number: NDArray) -> Floats:
    """The mean over a trial's seeds, where each has had a value."""
    return np.where(values.count(axis=1) == number, values.sum(axis=1) / number, np.nan)


def _about_seeds(table: Any, keys: list[str], lost: Any) -> pd.DataFrame:
    """One row a trial: how many seeds it has, how many were lost, and its status."""
    status = table["status"] if "status" in table else pd.Series("finished", index=table.index)
    last: Any = table.assign(status=status, lost=lost.astype(int)).drop_duplicates([*keys, "seed"], keep="last")
    flags = {name: (last["status"] == name).astype(int) for name in (OPEN, "stopped", "failed")}
    groups: Any = last.assign(**flags, seeds=1, planned=last.get("planned", 1)).groupby(keys, sort=False)
    about = groups[["seeds", "lost", *flags]].sum().join(groups["planned"].max())
    conditions = [
        (about[OPEN] > 0) | (about["seeds"] < about["planned"]),
        about["stopped"] > 0,
        about["failed"] == about["seeds"],
        about["lost"] == about["seeds"],
    ]
    about["status"] = np.select(conditions, [OPEN, "stopped", "failed", "diverged"], "finished")
    return about[["seeds", "lost", "status"]]
