"""The worth of every trial, its cost, and its hit of the target: one row a trial, from a table of records.

A trial is the mean of the seeds that it has. This is the one place that settles what counts:

- `score`: the best (or the last) score of a trial that ended; chance where it diverged or failed, and where it was
  worse: a loss that blew up counts alike, as a number or not; NaN where it is open or nobody told one;
- `told`: that score as it was told, which may be worse than chance: by it trials of one `score` are ranked;
- `full`, `charged`: its whole cost, and its cost up to the target (its whole cost where it missed); `charged_passes` …
  the same in every other unit that the table has;
- `hit`: whether a score reached the target, equal up to rounding, at the time it was told;
- `test_score`: that of the record whose score counts, where none was told there of the last; chance at least, and
  where it diverged or failed, whatever was tested before;
- `seeds`, `lost`: the seeds that it has, and how many of them diverged or failed.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from study.records.curves import COSTS, costs_of, curves, first_rows, in_order
from study.records.ended import OPEN, is_lost
from study.records.question import Floats, Question, reaches
from study.records.table import KEY


def trials(table: pd.DataFrame, question: Question) -> pd.DataFrame:
    """One row a trial, its seeds taken together, task by task and scheme by scheme in order of first appearance.

    Args:
        table: a validated table (`study.records.table`), one row a (trial, seed, epoch). `planned`, where it has this
            column, is the number of seeds that a trial is to have.
        question: the sense of scores, target, chance level, and which score of a trial counts.

    Returns:
        The last row of every trial, costs added over its seeds, with `score`, `told`, `test_score`, `full`, `charged`,
        `hit`, `seeds`, `lost`, and `status`: finished, stopped, diverged, failed, or running while a seed is to end.

    Raises:
        Refusal: where the cost of a trial falls.
    """
    return of_curves(curves(table, question), question)


def trainings(table: pd.DataFrame, question: Question) -> pd.DataFrame:
    """One row a (trial, seed): the same columns as `trials`, every seed by itself.

    Args:
        table: as for `trials`.
        question: as for `trials`.

    Raises:
        Refusal: where the cost of a trial falls.
    """
    return of_curves(in_order(table), question)


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
    starts = first_rows(table, [name for name in KEY if name in table])
    ends = np.append(starts[1:], len(table)) - 1
    rows: Any = table.iloc[ends].reset_index(drop=True)
    sign, chance = question.sign(), question.levels("chance", rows["task"])
    score = sign * table["score"].to_numpy(float)
    above = reaches(score, sign * question.levels("target", pd.Series(table["task"])))
    first = np.minimum.reduceat(np.where(above, np.arange(len(table)), len(table)), starts)
    rows["hit"] = first < len(table)
    until = np.where(rows["hit"], np.minimum(first, len(table) - 1), ends)
    cost = costs_of(table, starts)
    rows["full"], rows["charged"] = cost[ends], cost[until]
    rows = rows.assign(**{f"charged_{name}": costs_of(table, starts, name)[until] for name in COSTS if name in table})
    finite, best = np.where(np.isfinite(score), score, np.nan), question.score_at == "best"
    worth = sign * table["worth"].to_numpy(float) if "worth" in table else finite
    final, told = (np.fmax.reduceat(each, starts) if best else each[ends] for each in (worth, finite))
    lost = is_lost(rows).to_numpy()
    at = np.where(best & ~lost, _first_best(worth, final, starts, ends), ends)
    final = np.where(lost, chance, question.floored(sign * final, chance))
    running = (rows["status"] == OPEN).to_numpy() if "status" in rows else np.zeros(len(rows), bool)
    rows["score"] = np.where(running, np.nan, final)
    rows["told"] = sign * told
    if "test_score" in rows:
        tested = table["test_score"].to_numpy(float)
        test = np.where(np.isnan(tested[at]), tested[ends], tested[at])
        rows["test_score"] = np.where(lost, chance, question.floored(test, chance))
    if "lost" not in rows:
        rows["seeds"], rows["lost"] = 1, lost.astype(int)
    return rows


def _first_best(worth: Floats, best: Floats, starts: NDArray[np.intp], ends: NDArray[np.intp]) -> NDArray[np.intp]:
    """The position of the first record of every trial that is worth its best; of its last one where none is scored."""
    sizes = np.diff(np.append(starts, worth.size))
    elsewhere = np.where(worth == np.repeat(best, sizes), np.arange(worth.size), worth.size)
    found = np.minimum.reduceat(elsewhere, starts)
    return np.where(found < worth.size, found, ends)
