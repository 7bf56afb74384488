"""The units of a page: what follows from costs up to targets is told in each of them, and a reader chooses one."""

from dataclasses import dataclass

from study.answers.study import Answers
from study.records.material import Material
from study.reports import advice, over_tasks, over_tasks_sheet
from study.reports.cells import Sheet
from study.reports.sentences import Words, sentence
from study.reports.tables import alike_in, target_sheet

NAMES = {"flops": "FLOPs"}
"""Words for a unit, where they are not its name."""


@dataclass(frozen=True)
class InUnit:
    """The words of a task, or of all, in one unit."""

    sentence: Words
    advice: Words  # what to do; empty where nothing follows


def units_of(every: list[Answers]) -> list[str]:
    """The units in which a page tells costs, that of the answers first; one that nobody's record tells, or that says
    the same as one before it, is left out.

    every: the answers of all tasks.
    """
    kept: list[str] = []
    for unit in every[0].in_units if every else ():
        paid = [of.get(unit) for one in every for of in one.paid.values()]
        known = all(paid) and any(one.cost.estimate is not None for one in paid if one)
        if not kept or (known and not any(_alike(every, unit, other) for other in kept)):
            kept.append(unit)
    return kept


def _alike(every: list[Answers], unit: str, other: str) -> bool:
    return all(alike_in(paid[unit].cost, paid[other].cost) for one in every for paid in one.paid.values())


def of_task(answers: Answers, units: list[str]) -> dict[str, InUnit]:
    """Sentences of a task, by the unit.

    Args:
        answers: of the task.
        units: of the page.
    """
    return {unit: InUnit(sentence(one), advice.advice(one)) for unit, one in each_unit(answers, units).items()}


def of_all_tasks(every: list[Answers], units: list[str]) -> dict[str, InUnit]:
    """The sentence over all tasks, by the unit; empty where there is one task at most.

    Args:
        every: the answers of all tasks.
        units: of the page.
    """
    there = {unit: [answers.in_units[unit] for answers in every] for unit in units}
    results = {unit: [result for one in found for result in one.results] for unit, found in there.items()}
    return {unit: InUnit(over_tasks.sentence(found), []) for unit, found in results.items()}


def sheets_of_task(answers: Answers, material: Material, units: list[str]) -> list[Sheet]:
    """The tables that follow from the unit: what to use, and what the target costs, each in all units.

    Args:
        answers: of the task.
        material: the record, for the addresses of runs.
        units: of the page.
    """
    told = each_unit(answers, units).values()
    made = [advice.sheets(one, material) for one in told], [target_sheet(one, material) for one in told]
    return [sheet for kind in made for found in kind for sheet in found]


def sheets_of_all_tasks(every: list[Answers], units: list[str]) -> list[Sheet]:
    """The table over all tasks, in all units.

    Args:
        every: the answers of all tasks.
        units: of the page.
    """
    return [sheet for unit in units for sheet in over_tasks_sheet.sheets([answers.in_units[unit] for answers in every])]


def each_unit(answers: Answers, units: list[str]) -> dict[str, Answers]:
    """The answers by the unit; once, where the task has no target.

    Args:
        answers: of the task.
        units: of the page.
    """
    return {unit: answers.in_units[unit] for unit in (units if answers.paid else units[:1])}
