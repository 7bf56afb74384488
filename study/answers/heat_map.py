"""A heat map: how many steps trainings take until a loss, over two hyper-parameters."""

from typing import Any

import pandas as pd

from study.plan.file import Heat

WITHOUT = "none"  # the column of arms that have no such hyper-parameter
COLUMNS = ["row", "column", "steps", "reached"]


def steps_until(record: pd.DataFrame, heat: Heat) -> pd.DataFrame:
    """The steps of the first record whose loss is at most `until`, a cell's median, the lower of two.

    Args:
        record: as `study.tracking.read` gives it.
        heat: the part of the study file that names rows, columns, loss and `until`.

    Returns:
        One row a cell: row, column, steps, reached. Where half of a cell's trials never reach it, `reached` is False
        and `steps` are the most that one of them was given.
    """
    cells: list[dict[str, Any]] = []
    if record.empty or heat.rows not in record:
        return pd.DataFrame(columns=COLUMNS)
    where: Any = record.assign(_row=record[heat.rows], _column=record.get(heat.columns, pd.Series(index=record.index)))
    for (row, column), cell in where.groupby(["_row", "_column"], dropna=False):
        trials = [_first(trial, heat) for _, trial in cell.groupby("run_id")]
        hits = sorted(steps for steps, reached in trials if reached)
        reached = 2 * len(hits) > len(trials)
        middle = hits[(len(trials) - 1) // 2] if reached else max(steps for steps, _ in trials)
        cells.append({"row": row, "column": column, "steps": middle, "reached": reached})
    return pd.DataFrame(cells, columns=COLUMNS).sort_values(
        ["row", "column"], ascending=[False, True], na_position="first", ignore_index=True
    )


def _first(trial: Any, heat: Heat) -> tuple[int, bool]:
    hits = trial[trial[heat.loss] <= heat.until] if heat.loss in trial else trial.iloc[:0]  # none was recorded yet
    return (int(hits["steps"].min()), True) if len(hits) else (int(trial["steps"].max()), False)


def cell_text(cell: Any) -> str:
    """The steps of a cell; '>' where they did not suffice."""
    return f"{'' if cell.reached else '> '}{cell.steps:,}"


def value_text(value: Any) -> str:
    """A hyper-parameter's value as rows and columns show it.

    >>> value_text(0.001), value_text(float("nan"))
    ('0.001', 'none')
    """
    return WITHOUT if value != value else f"{value:g}" if isinstance(value, float) else str(value)
