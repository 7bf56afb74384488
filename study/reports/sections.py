"""Tables that a study file asks for beside its summary: published numbers, a heat map."""

from typing import Any

import pandas as pd

from study.answers.heat_map import cell_text, named, steps_until
from study.answers.published import COLUMNS, beside, verdict
from study.plan.file import Heat, Published, StudyFile
from study.reports.terminal import Sheet


def sections(record: pd.DataFrame, file: StudyFile | None) -> list[Sheet]:
    """The tables that the file asks for, in the order of its fields; none where there is no file."""
    made: list[Sheet] = []
    if file and file.published:
        made.append(published_sheet(record, file.published))
    if file and file.heat:
        made.append(heat_sheet(record, file.heat))
    return made


def published_sheet(record: pd.DataFrame, published: Published) -> Sheet:
    """The table for people, and in one sentence whether every trial is as near as the study asks."""
    found: Any = beside(record, published)
    rows = [
        [str(row.arm), str(row.number), *(f"{n:.4f}" for n in (row.theirs, row.ours)),
         *(f"{n:+.4f}" for n in (row.difference, row.farthest)), str(row.trials)]
        for row in found.itertuples()
    ]  # fmt: skip
    return Sheet("Published beside ours", COLUMNS, rows, [verdict(found, published)])


def heat_sheet(record: pd.DataFrame, heat: Heat) -> Sheet:
    """The map as a table of words."""
    cells: Any = steps_until(record, heat)
    columns = list(dict.fromkeys(cells.sort_values("column", na_position="first")["column"].map(named)))
    rows: dict[str, dict[str, str]] = {}
    for cell in cells.itertuples():
        rows.setdefault(named(cell.row), {})[named(cell.column)] = cell_text(cell)
    head = f"{heat.rows} \\ {heat.columns}"
    table = [[name, *(found.get(column, "") for column in columns)] for name, found in rows.items()]
    return Sheet(f"Steps until {heat.loss} {heat.until:g}", [head, *columns], table, [])
