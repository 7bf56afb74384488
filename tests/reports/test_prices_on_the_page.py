"""Measured prices on the page: beside the counted ones, with the savings that they change, and only where measured."""

import json

import pytest
from recorded import record, training

from study.answers.study import ReportOptions, answers_of
from study.records.material import Material
from study.reports import prices
from study.reports.forms import as_json, markdown
from study.reports.page import Page, page
from trainables.price import Price

SGD = Price("cpu", "cpu, 1 thread", 1.08, 1.0, 20)
TITLE = "What a step costs in gradients"


def made(**priced: Price) -> Page:
    trained = [
        training([0.2, 0.2 + 0.4 * (k % 2)], arm=arm, k=k, target=0.5, **{"scheme.lr": 0.1 * 2**k})
        for arm in ("sgd", "b")
        for k in range(4)
    ]
    material = Material("s", record(*trained), baseline="sgd", prices={arm: [price] for arm, price in priced.items()})
    return page(material, answers_of(material, ReportOptions(draws=100)))


@pytest.mark.parametrize(
    ("gradients", "differs"),
    [(1.08, False), (1.3, False), (1.5, True), (0.5, True)],
    ids=["same", "near", "dear", "cheap"],
)
def test_the_page_says_which_savings_the_clock_sees_otherwise_by_more_than_a_quarter(
    gradients: float, differs: bool
) -> None:
    (part,) = made(sgd=SGD, b=SGD._replace(gradients=gradients)).parts
    told = f"b: its cost is {gradients / 1.08:.2f} of sgd's in gradients as measured, and 1.00 in passes"
    assert any(remark.startswith(told) for remark in part.remarks) == differs
    assert not any("sgd: its cost" in remark for remark in part.remarks)


def test_prices_stand_beside_counts_with_their_device_and_a_loop_of_its_own_says_so() -> None:
    whole = made(sgd=SGD, b=Price("cpu", "cpu, 1 thread", why="its loop is its own"))
    (sheet,) = [sheet for sheet in whole.parts[0].sheets if sheet.title == TITLE]
    assert [[cell.text for cell in row.cells] for row in sheet.rows] == [
        ["1.08", "1.00", "cpu, 1 thread, 20 steps"],
        ["—", "—", "not measured: its loop is its own"],
    ]
    assert "little above 1" in sheet.lead
    assert TITLE in markdown(whole)
    sgd, b = json.loads(as_json(whole))["tasks"][0]["arms"]
    assert (sgd["prices"][0]["gradients"], b["prices"][0]["gradients"]) == (1.08, None)
    assert (sgd["paid"]["gradients"]["cost"]["estimate"] > 0, b["paid"]["gradients"]["cost"]["estimate"]) == (
        True,
        None,
    )


def test_of_several_sizes_the_cheapest_and_the_dearest_are_told_and_doubts_marked() -> None:
    (sheet,) = prices.sheets({"b": [SGD, SGD._replace(gradients=2.0)]})
    assert [(cell.text, bool(cell.flags)) for cell in sheet.rows[0].cells[:2]] == [
        ("1.08 – 2.00", False),
        ("1.00", True),
    ]


def test_a_page_without_prices_does_not_speak_of_them() -> None:
    whole = made()
    assert "gradients" not in whole.in_units | whole.parts[0].in_units
    assert TITLE not in markdown(whole)
    assert '"prices"' not in as_json(whole)
