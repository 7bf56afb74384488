"""The page's table over all tasks that have a target."""

from study.answers.results import JudgedShare
from study.answers.study import Answers
from study.plan.tasks import label
from study.reports.cells import Column, Row, Sheet, defined, share_cell
from study.reports.over_tasks import LEAD, TITLE, told_over_tasks


def sheets(every: list[Answers]) -> list[Sheet]:
    """One table, one row a scheme, one column a task and one for all; none where there is one task at most.

    Args:
        every: the answers of all tasks.
    """
    results = [result for answers in every for result in answers.results]
    told = told_over_tasks(results)
    if not told:
        return []
    first = next(iter(told.values()))
    on = {(result.scheme, answers.task): answers.paid for answers in every for result in answers.results}
    columns = [
        Column("over all", f"geometric mean of its shares of the {first.unit} of {first.against}; below 1 it saves"),
        *(Column(label(task), f"its share of the {first.unit} of {first.against}") for task in first.tasks),
    ]
    rows = []
    for scheme, share in told.items():
        base = scheme == first.against
        paid = [on.get((scheme, task), {}).get(scheme, {}).get(first.unit) for task in first.tasks]
        shares = [share, *(JudgedShare() if one is None else one.share for one in paid)]
        rows.append(Row(scheme, [share_cell(one, None, base and one.estimate is not None) for one in shares]))
    lead = LEAD.format(unit=first.unit, baseline=first.against)
    return [defined(Sheet(TITLE, lead, columns, rows, unit=first.unit))]
