"""The page's table of what knowing the rate is worth."""

from study.answers.knowledge import FACTORS
from study.answers.results import KnownCost
from study.answers.study import Answers
from study.records.material import Material
from study.reports.cells import Cell, Column, Row, Sheet, cost_cell, defined, doubts, links_of
from study.reports.knowledge import LEAD, TITLE, even_text


def sheets(answers: Answers, material: Material) -> list[Sheet]:
    """The page's table; none where nothing is known.

    Args:
        answers: of one task.
        material: the record, for the addresses of runs.
    """
    links = links_of(answers, material)
    within = [f"known within ×{factor}" for factor in FACTORS]
    columns = [
        Column("searches", "what whoever knows more searches less of"),
        Column("from nothing", f"{answers.unit} expected up to the first hit"),
        *(
            Column(name, "the same within a window of 2 log10 of the factor, around a rate that once worked")
            for name in within
        ),
        Column(f"as {answers.baseline}", "within which factor the rates must be known for both to cost the same"),
    ]
    rows = []
    for result in answers.results:
        if result.known_within:
            link, weak = links[result.scheme], doubts(result, "known_cost")
            costs = [cost_cell(result.known_within.get(factor, KnownCost()), link) for factor in FACTORS]
            costs = [
                cost._replace(flags=weak) if place == 0 and cost.text != "—" else cost
                for place, cost in enumerate(costs)
            ]
            even = (
                Cell("baseline") if result.scheme == answers.baseline else Cell(even_text(result.break_even), link=link)
            )
            field = Cell(result.known_field or "no rate")
            rows.append(Row(result.scheme, [field, cost_cell(result.expected_cost, link), *costs, even]))
    return [defined(Sheet(TITLE, LEAD.format(unit=answers.unit), columns, rows))] if rows else []
