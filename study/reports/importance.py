"""Tables about the importance of hyper-parameters, on the page and in the terminal."""

from collections.abc import Sequence
from typing import Any

from study.answers.configurations import configurations
from study.answers.importance import Importance, importances
from study.answers.trials import trials_of
from study.plan.tasks import label
from study.records.ended import ended
from study.records.material import Material, level_of
from study.reports.cells import Cell, Column, Row, Sheet
from study.reports.terminal import TextTable

TITLE = "Importance of hyper-parameters"
LEAD = (
    "Each one's share in what makes a trial one of the best tenth (of the best five, where those are more): PED-ANOVA "
    "(arXiv 2304.10255), as Optuna computes it, without interactions and without an interval."
)


def sheets(told: Sequence[Importance]) -> list[Sheet]:
    """One table, one row a scheme and one column a hyper-parameter; none where no arm searches several."""
    keys = list(dict.fromkeys(key for one in told for key in one.shares))
    columns = [Column(key, "its share") for key in keys]
    rows = [Row(one.scheme, [Cell(_share(one, key)) for key in keys]) for one in told]
    return [Sheet(TITLE, LEAD, columns, rows)] if rows else []


def text_tables(material: Material) -> list[TextTable]:
    """The same for a terminal, one table a task whose arms search several hyper-parameters.

    Args:
        material: the record, and what its arms search.
    """
    record, made = material.record, list[TextTable]()
    for task in (
        dict.fromkeys(ended(record)["task"]) if len(record) and (material.contents or material.searched) else ()
    ):
        here: Any = record[record["task"] == task]
        level = level_of(record, task)
        told = importances(configurations(here, ended(trials_of(here, level)), material), level.mode)
        for sheet in sheets(told):
            rows = [[row.scheme, *(cell.text for cell in row.cells)] for row in sheet.rows]
            names = ["scheme", *(column.name for column in sheet.columns)]
            made.append(TextTable(f"{label(task)}: {TITLE}", names, rows, [LEAD]))
    return made


def _share(told: Importance, key: str) -> str:
    return f"{told.shares[key]:.2f}" if key in told.shares else "—"
