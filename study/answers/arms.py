"""From a long table to arms: score, cost, hit and learning rate of every trial, one arm a (task, scheme)."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from study.records.table import KEY
from trainables.refusal import Refusal

Floats = NDArray[np.float64]

ORDERED = "repetition", "trial"

INDEPENDENT = {"random", "grid", "qmc", "sobol", "halton", "brute_force"}
"""Searchers whose next trial does not depend on the results so far."""

LOST = ["diverged", "failed"]
"""How trials end that are worth no more than chance, whatever they said before."""


@dataclass(frozen=True)
class Trials:
    """The n trials of one (task, scheme), search by search, in order; scores are higher-is-better."""

    task: str
    scheme: str
    score: Floats  # (n,) chance where it diverged, NaN where there is no chance level
    full: Floats  # (n,) cost of the whole trial
    charged: Floats  # (n,) cost to the target of a hit, the whole of a miss
    hit: NDArray[np.bool_]  # (n,)
    search: NDArray[np.intp]  # (n,) which repetition
    searches: int
    depends: str  # why the formulas of independent trials do not hold; empty where they do
    lr: Floats | None = None  # (n,)
    test: Floats | None = None  # (n,) higher is better
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Question:
    """What is asked of a table, in its own sense of scores. target, chance: one, or by task (''= rest)."""

    mode: Literal["max", "min"] = "max"
    target: float | dict[str, float] | None = None
    chance: float | dict[str, float] | None = None
    score_at: Literal["last", "best"] = "last"
    learns: bool | None = None

    def sign(self) -> float:
        """What scores are multiplied with so that higher is better."""
        return 1.0 if self.mode == "max" else -1.0

    def of(self, name: Literal["target", "chance"], task: str) -> float | None:
        """The target or chance level of a task, in the table's own sense."""
        value = getattr(self, name)
        return value.get(task, value.get("")) if isinstance(value, dict) else value


def arms(table: pd.DataFrame, question: Question) -> list[Trials]:
    """The arms of a validated table, in order of first appearance.

    Raises Refusal where a score is missing that no chance level stands for.
    """
    table = _one_seed(_numbered(table), question)
    keys = [name for name in KEY if name in table and name != "seed"]
    codes = {name: pd.factorize(table[name], sort=name in ORDERED)[0] for name in keys}
    epoch = table["epoch"].to_numpy() if "epoch" in table else np.zeros(len(table))
    order = np.lexsort((epoch, *(codes[name] for name in reversed(keys))))
    starts = _changes([codes[name][order] for name in keys])
    table = table.iloc[order]
    _refuse_falling_costs(table, starts)
    trials = _reduced(table, starts, question)
    arm_starts = _changes([codes[name][order][starts] for name in ("task", "scheme")])
    order_of_search = codes.get("repetition", np.zeros(len(table), int))[order][starts]
    return [
        _arm(trials, slice(a, b), order_of_search[a:b], question)
        for a, b in zip(arm_starts, [*arm_starts[1:], starts.size], strict=True)
    ]


def _numbered(table: pd.DataFrame) -> pd.DataFrame:
    """Trials and repetitions with text for a name are numbered in the order in which they appear: t2 before t10."""
    text = [name for name in ORDERED if name in table and not is_numeric_dtype(table[name])]
    return table.assign(**{name: pd.factorize(table[name])[0] for name in text})


def _changes(columns: list[NDArray]) -> NDArray[np.intp]:
    """The positions where any of the sorted columns starts a new value."""
    new = np.zeros(columns[0].size, bool)
    new[0] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return np.flatnonzero(new)


def _reduced(table: pd.DataFrame, starts: NDArray[np.intp], question: Question) -> pd.DataFrame:
    """One row a trial: its last in order of epoch, with final score, full and charged cost, and hit."""
    ends = np.append(starts[1:], len(table)) - 1
    trials = table.iloc[ends].reset_index(drop=True)
    tasks = trials["task"].astype(str)
    target, chance = (
        tasks.map({task: question.of(name, task) for task in tasks.unique()}).to_numpy(float)
        for name in ("target", "chance")
    )
    sign = question.sign()
    score = sign * table["score"].to_numpy()
    with np.errstate(invalid="ignore"):
        above = score >= np.repeat(sign * target, np.diff(np.append(starts, len(table))))
    above &= np.isfinite(score)
    cost = _costs(table)
    row = np.where(above, np.arange(len(table)), len(table))
    first = np.minimum.reduceat(row, starts)
    trials["hit"] = first < len(table)
    trials["full"] = cost[ends]
    trials["charged"] = np.where(trials["hit"], cost[np.minimum(first, len(table) - 1)], cost[ends])
    finite = np.isfinite(score)
    worth = sign * table["worth"].to_numpy() if "worth" in table else np.where(finite, score, np.nan)
    final = worth[ends]
    if question.score_at == "best":
        final = np.fmax.reduceat(worth, starts)
    if "status" in trials:
        lost = trials["status"].isin(LOST)
        final = np.where(lost, np.nan, final)
        if "test_score" in trials:
            trials["test_score"] = trials["test_score"].mask(lost & trials["test_score"].isna(), pd.Series(chance))
    trials["final"] = np.where(np.isnan(final), sign * chance, final)
    return trials


def _costs(table: pd.DataFrame) -> Floats:
    for name in ("cost", "epoch"):
        if name in table:
            return table[name].to_numpy()
    return np.ones(len(table))


def _refuse_falling_costs(table: pd.DataFrame, starts: NDArray[np.intp]) -> None:
    if "cost" not in table:
        return
    falls = np.diff(table["cost"].to_numpy(), prepend=0.0) < 0
    falls[starts] = False
    if falls.any():
        at = int(np.flatnonzero(falls)[0])
        raise Refusal(
            f"row {int(table.index[at]) + 1}, column 'cost': cost is cumulative within a trial, and "
            f"{table['cost'].iloc[at]:g} is less than the {table['cost'].iloc[at - 1]:g} before it"
        )


def _arm(trials: pd.DataFrame, rows: slice, search: NDArray, question: Question) -> Trials:
    part = trials.iloc[rows]
    optional = {name: part[name].to_numpy() for name in ("lr", "test_score") if name in part}
    test = optional.get("test_score")
    notes = []
    if test is not None and np.isnan(test).any():
        if not np.isnan(test).all():
            notes.append("expected_test is not defined, because a trial has no test score")
        test = None
    if np.isnan(part["final"].to_numpy()).any():
        notes.append("a trial has no score and no chance level stands for it: give --chance")
    return Trials(
        task=str(part["task"].iloc[0]),
        scheme=str(part["scheme"].iloc[0]),
        score=part["final"].to_numpy(),
        full=part["full"].to_numpy(),
        charged=part["charged"].to_numpy(),
        hit=part["hit"].to_numpy(),
        search=np.unique(search, return_inverse=True)[1],
        searches=np.unique(search).size,
        depends=_dependence(part, question),
        lr=optional.get("lr"),
        test=None if test is None else question.sign() * test,
        notes=notes,
    )


def _dependence(part: pd.DataFrame, question: Question) -> str:
    """Why these trials depend on each other, in words; empty where they do not."""
    if "status" in part and "stopped" in set(part["status"]):
        return "trials were stopped early, by comparison with others"
    if question.learns is not None:
        return "the searcher learns from earlier trials" if question.learns else ""
    if "searcher" in part:
        names = sorted(set(part["searcher"].astype(str).str.lower()) - INDEPENDENT)
        if names:
            return f"the searcher {names[0]} learns from earlier trials"
    return ""


def _one_seed(table: pd.DataFrame, question: Question) -> pd.DataFrame:
    """Several seeds of one configuration become one trial: mean scores, summed cost; one that ended stays so.

    They are not independent trials; counted as such they would make every interval too narrow. What the trial is
    `worth` counts a seed that was lost at chance throughout; a hit is read off what was scored at the time.
    """
    trial = [name for name in KEY if name in table and name != "seed"]
    if "seed" not in table or int(table.groupby(trial, sort=False)["seed"].nunique().to_numpy().max()) == 1:
        return table
    table = table.assign(score=table["score"].where(np.isfinite(table["score"]), np.nan))
    chance = table["task"].astype(str).map(lambda task: question.of("chance", task)).astype(float)
    table["score"] = table["score"].fillna(chance)
    lost = table["status"].isin(LOST) if "status" in table else pd.Series(data=False, index=table.index)
    table["worth"] = table["score"].mask(lost, chance)
    means = ["score", "worth"]
    if "test_score" in table:
        table["test_score"] = table["test_score"].mask(lost & table["test_score"].isna(), chance)
        means.append("test_score")
    if "status" in table:
        of = [table[name] for name in trial]
        stopped = (table["status"] == "stopped").groupby(of).transform("any")
        table["status"] = np.select([stopped, lost.groupby(of).transform("all")], ["stopped", "diverged"], "finished")
    table["cost"] = _costs(table)
    table = table.assign(epoch=table.get("epoch", 0.0))
    wide = table.set_index([*trial, "epoch", "seed"])[[*means, "cost"]].unstack("seed").sort_index()
    filled = wide.groupby(level=trial, sort=False).ffill()
    rows = pd.DataFrame({name: filled[name].mean(axis=1) for name in means} | {"cost": filled["cost"].sum(axis=1)})
    rows["worth"] = filled["worth"].mean(axis=1, skipna=False)  # a seed that nothing stands for is not left out
    rest = table.drop_duplicates([*trial, "epoch"]).set_index([*trial, "epoch"]).drop(columns=[*means, "cost", "seed"])
    return rows.join(rest).reset_index()
