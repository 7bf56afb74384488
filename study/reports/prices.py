"""Prices of a step on the page: measured in gradients beside those that records count, and where savings differ."""

from collections.abc import Sequence
from typing import Any

from study.answers.study import Answers
from study.records.material import Material
from study.records.prices import GRADIENTS
from study.reports.cells import Cell, Column, Row, Sheet
from trainables.price import Price, differ

LEAD = (
    "A worker measured it before the arm's first trial: the median over steps of the time of a whole step over that of "
    "one forward and backward of its own mini-batch. Of plain SGD it is a little above 1, since a step takes the "
    "mini-batch from the data, moves the parameters and adds up loss and score besides. It is wall clock: what the "
    "machine did meanwhile is in it, and another device has other prices."
)


def of_schemes(answers: Answers, material: Material) -> dict[str, list[Price]]:
    """The prices of every scheme of a task, those that could not be measured among them.

    Args:
        answers: of the task.
        material: the record, with the prices of its arms.
    """
    arms: Any = answers.trials[["arm", "scheme"]].drop_duplicates()
    found: dict[str, list[Price]] = {}
    for arm, scheme in arms.itertuples(index=False):
        found.setdefault(str(scheme), []).extend(material.prices.get(str(arm), ()))
    return {scheme: prices for scheme, prices in found.items() if prices}


def sheets(prices: dict[str, list[Price]]) -> list[Sheet]:
    """The table of what a step costs; none where nothing was measured.

    prices: by scheme.
    """
    if not any(not price.why for told in prices.values() for price in told):
        return []
    columns = [
        Column("measured", "gradients a step by the clock, the median; from the cheapest to the dearest size or name"),
        Column("counted", "passes a step, as records count them; ⚑ where the two differ by more than a quarter"),
        Column("on", "device, threads, steps that were measured"),
    ]
    return [Sheet("What a step costs in gradients", LEAD, columns, [_row(name, told) for name, told in prices.items()])]


def remarks(answers: Answers) -> list[str]:
    """One line for every scheme whose saving is another by more than a quarter in measured gradients than in passes.

    answers: of one task.
    """
    told = []
    for scheme, paid in answers.paid.items():
        if not {"passes", GRADIENTS} <= set(paid):
            continue
        counted, measured = (paid[unit].share.estimate for unit in ("passes", GRADIENTS))
        if counted and measured and differ(measured, counted):
            told.append(
                f"{scheme}: its cost is {measured:.2f} of {answers.baseline}'s in gradients as measured, and "
                f"{counted:.2f} in passes as counted: they differ by more than a quarter"
            )
    return told


def _row(scheme: str, prices: Sequence[Price]) -> Row:
    measured = [price for price in prices if not price.why]
    if not measured:
        return Row(scheme, [Cell("—"), Cell("—"), Cell(f"not measured: {prices[0].why}")])
    flags = ("measured and counted differ by more than a quarter",) if any(price.differs for price in measured) else ()
    places = dict.fromkeys(f"{price.name}, {price.steps} steps" for price in measured)
    cells = [
        Cell(_range([price.gradients for price in measured])),
        Cell(_range([price.passes for price in measured]), "", flags),
        Cell("; ".join(places)),
    ]
    return Row(scheme, cells)


def _range(numbers: Sequence[float]) -> str:
    """The least and the greatest; one where they are equal as written.

    >>> _range([1.0, 1.004]), _range([1.0, 2.5])
    ('1.00', '1.00 – 2.50')
    """
    return " – ".join(dict.fromkeys(f"{number:.2f}" for number in (min(numbers), max(numbers))))
