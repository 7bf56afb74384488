"""Tables that a study file asks for beside its summary: published numbers (here and on the page), a heat map."""

from typing import Any

import pandas as pd

from study.answers.heat_map import cell_text, steps_until, value_text
from study.answers.published import COLUMNS, beside, verdict
from study.plan.file import Heat, Published, StudyFile
from study.plan.tasks import entry_of, label
from study.records.material import Material
from study.reports.cells import Cell, Column, Row, Sheet
from study.reports.terminal import TextTable


def sections(record: pd.DataFrame, file: StudyFile | None) -> list[TextTable]:
    """The tables of words that the file asks for, in the order of its fields.

    Args:
        record: as `study.tracking.read` gives it.
        file: the study file; None where the record has none.

    Returns:
        At most one table of published numbers, and one heat map a task.
    """
    made: list[TextTable] = []
    if file and file.published:
        made.append(published_table(record, file.published))
    return [*made, *heat_tables(record, file.heat)] if file and file.heat else made


def heat_tables(record: pd.DataFrame, heat: Heat) -> list[TextTable]:
    """The heat map of every task, with its name where there are several.

    Args:
        record: as `study.tracking.read` gives it.
        heat: what the file asks for.
    """
    of_task: Any = [] if record.empty else record.groupby("task", sort=False)
    made = [(str(task), heat_table(rows, heat)) for task, rows in of_task]
    several = len(made) > 1
    return [told._replace(title=f"{label(task)}: {told.title}") if several else told for task, told in made]


def published_table(record: pd.DataFrame, published: Published) -> TextTable:
    """Published numbers beside ours, and in one sentence whether every trial is as near as the study asks.

    Args:
        record: as `study.tracking.read` gives it.
        published: the numbers, their source and the tolerance.
    """
    found: Any = beside(record, published)
    rows = [
        [str(row.arm), str(row.number), *(f"{n:.4f}" for n in (row.theirs, row.ours)),
         *(f"{n:+.4f}" for n in (row.difference, row.farthest)), str(row.trials)]
        for row in found.itertuples()
    ]  # fmt: skip
    return TextTable("Published beside ours", COLUMNS, rows, [verdict(found, published)])


def published_sheets(material: Material, task: str) -> list[Sheet]:
    """Published numbers beside ours: one row an arm, one column a number.

    Args:
        material: the record, and its study file.
        task: whose arms are shown.

    Returns:
        One table; none where the file names no numbers of this task's arms.
    """
    published = material.file.published if material.file else None
    here: Any = material.record[material.record["task"] == task]
    if published is None or here.empty:
        return []
    found: Any = beside(here, published)
    found = found[found["trials"] > 0]
    names = list(dict.fromkeys(found["number"]))
    cells = {
        (row.arm, row.number): Cell(f"{row.ours:.4f}", f"theirs {row.theirs:.4f}; farthest {row.farthest:+.4f}")
        for row in found.itertuples()
    }
    rows = [
        Row(entry_of(arm, task), [cells.get((arm, name), Cell("—")) for name in names])
        for arm in dict.fromkeys(found["arm"])
    ]
    columns = [Column(name, "our mean; theirs; the difference of our farthest trial") for name in names]
    return [Sheet("Published beside ours", verdict(found, published), columns, rows)] if rows else []


def heat_table(record: pd.DataFrame, heat: Heat) -> TextTable:
    """The heat map as a table of words.

    Args:
        record: of one task, as `study.tracking.read` gives it.
        heat: what the file asks for.
    """
    cells: Any = steps_until(record, heat)
    columns = list(dict.fromkeys(cells.sort_values("column", na_position="first")["column"].map(value_text)))
    rows: dict[str, dict[str, str]] = {}
    for cell in cells.itertuples():
        rows.setdefault(value_text(cell.row), {})[value_text(cell.column)] = cell_text(cell)
    head = f"{heat.rows} \\ {heat.columns}"
    table = [[name, *(found.get(column, "") for column in columns)] for name, found in rows.items()]
    return TextTable(f"Steps until {heat.loss} {heat.until:g}", [head, *columns], table, [])
