"""The charts of a page that only some studies have: of grids over rate and decay, and of steps until a loss."""

from typing import Any
from urllib.parse import quote

from study.answers.study import Answers
from study.figures import balance, collapse, grid, heat
from study.records.material import Material
from study.reports.charts import Shown


def of_task(answers: Answers, material: Material) -> list[Shown]:
    """Those of one task; what nothing defines is left out.

    Args:
        answers: of the task.
        material: the record, for what the study file asks to be drawn and for the addresses of runs.
    """
    place = quote(answers.task, safe="")
    record: Any = material.record[material.record["task"] == answers.task]
    asked = material.file.heat if material.file else None
    made = [(grid.chart(one), f"{place}-{quote(one.arm, safe='')}") for one in answers.grids]
    made.append((collapse.chart(answers.grids), place))
    made += [(balance.chart(one), f"{place}-{quote(one.arm, safe='')}") for one in answers.grids]
    made.append((heat.chart(record, asked) if asked else None, place))
    return [Shown(chart, f"{chart.name}-{where}", material.run) for chart, where in made if chart]
