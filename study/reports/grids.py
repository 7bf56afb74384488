"""Tables about grids over learning rate and weight decay: how far scores collapse, and what theory predicts."""

import math
from typing import Any

from study.answers.grids import Grid
from study.answers.grids.collapse import Collapse
from study.answers.grids.predictions import Prediction, collapsed, predictions, seeds_alone
from study.cost import NotDefined
from study.cost.quantities import unbounded
from study.reports.cells import Cell, Column, Row, Sheet

COLUMNS = [
    Column("within over across", "0 where only ηλ matters; a 95 % interval from the noncentral F distribution"),
    Column("within", "standard deviation of cells around the mean of their anti-diagonal"),
    Column("seeds alone", "what the spread within would be if seeds alone made it"),
    Column("across", "standard deviation of the anti-diagonals' means, each cell counted"),
    Column("all cells", "within over across, cells that had not settled counted too"),
    Column("settled", "cells whose rates were constant for 3(1−μ)/(ηλ) steps, μ the momentum"),
]
LEAD = (
    "Cells of one anti-diagonal share ηλ. What differs among them is what a search over ηλ alone cannot find. Scores "
    "are the means of a cell's seeds; what diverged counts at chance."
)
CLAIMS = (
    "After Li, Lyu & Arora 2020 (arXiv 2010.02916), of the first arm's settled cells. Predictions 5 to 7 (what a "
    "falling rate does, independence of the start, averaging) are not about a grid."
)
KIND = {"holds": "saves", "does not": "costs"}


def sheets(grids: list[Grid]) -> list[Sheet]:
    """Two tables about the grids of a task: how far scores collapse, and what theory predicts of the first; or none."""
    if not grids:
        return []
    first, *others = grids
    claims = [_claim(prediction) for prediction in predictions(first, others)]
    columns = [Column("verdict"), Column("measured", "a slope or a ratio, and its 95 % interval")]
    return [
        Sheet("What weight decay and learning rate decide together", LEAD, COLUMNS, [_row(grid) for grid in grids]),
        Sheet("What theory predicts of such a grid", CLAIMS, columns, claims, "prediction"),
    ]


def _row(grid: Grid) -> Row:
    cells: Any = grid.mean("score")
    settled = Cell(f"{int(cells['settled'].sum())} of {len(cells)}")
    told, every = collapsed(grid), collapsed(grid, settled=False)
    whole = Cell("—") if isinstance(every, NotDefined) else _ratio(every)
    if isinstance(told, NotDefined):
        return Row(grid.arm, [Cell("—", flags=(str(told),)), Cell("—"), Cell("—"), Cell("—"), whole, settled])
    alone = seeds_alone(grid)
    numbers = [told.within, alone, told.across]
    ratio = _ratio(told)
    return Row(grid.arm, [ratio, *(Cell("—" if math.isnan(n) else f"{n:.4f}") for n in numbers), whole, settled])


def _claim(prediction: Prediction) -> Row:
    verdict = Cell(prediction.verdict, kind=KIND.get(prediction.verdict, ""))
    return Row(f"({prediction.number}) {prediction.claim}", [verdict, Cell(prediction.measured)])


def _ratio(told: Collapse) -> Cell:
    low, ratio, high = (unbounded(value, ".2f") for value in (told.low, told.ratio, told.high))
    return Cell(ratio, f"{low} to {high}")
