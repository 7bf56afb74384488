"""Cells, columns, rows: the parts of the page's tables, and how numbers are written in them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from study.answers.results import JudgedShare, Quantity, Result
from study.answers.study import Answers
from study.cost.quantities import unbounded
from study.records.material import Material

NOT_RUN = "not run"
SIZES = (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")


class Cell(NamedTuple):
    """A number, its interval, what weakens it, and where the runs behind it are."""

    text: str
    interval: str = ""
    flags: tuple[str, ...] = ()
    link: str | None = None
    kind: str = ""  # of a share: saves, costs, unclear


class Column(NamedTuple):
    """The name of a column, and what it says."""

    name: str
    help: str = ""


class Row(NamedTuple):
    """The row of one scheme."""

    scheme: str
    cells: list[Cell]


@dataclass(frozen=True)
class Sheet:
    """One table of the page."""

    title: str
    lead: str
    columns: list[Column]
    rows: list[Row]
    of: str = "scheme"  # what a row is
    unit: str = ""  # in which its costs are told, where the page has the same in others; empty: it has it once


def defined(sheet: Sheet) -> Sheet:
    """The table without the columns that no scheme has a number in; the notes say why."""
    empty = "—", NOT_RUN
    kept = [
        place for place in range(len(sheet.columns)) if any(row.cells[place].text not in empty for row in sheet.rows)
    ]
    rows = [Row(row.scheme, [row.cells[place] for place in kept]) for row in sheet.rows]
    return replace(sheet, columns=[sheet.columns[place] for place in kept], rows=rows)


def links_of(answers: Answers, material: Material) -> dict[str, str | None]:
    """The address of every scheme's trials in MLflow; None where nobody knows it.

    Args:
        answers: of one task.
        material: the record, which has the addresses of arms.
    """
    arms: Any = answers.trials[["arm", "scheme"]].drop_duplicates()
    return {scheme: material.runs.get(arm) for arm, scheme in arms.itertuples(index=False)}


def doubts(result: Result, what: str) -> tuple[str, ...]:
    """The suspicions that weaken a quantity.

    Args:
        result: of one arm.
        what: the quantity, as flags name it.
    """
    return tuple(flag.words for flag in result.flags if flag.weakens == what)


def cost_cell(quantity: Quantity, link: str | None, flags: tuple[str, ...] = ()) -> Cell:
    """A cost with its interval.

    Args:
        quantity: a dash where it has no estimate.
        link: the address of the runs behind it.
        flags: what weakens it.
    """
    if quantity.estimate is None:
        return Cell("—")
    sign = {"=": "", "<": "≤ ", ">": "≥ "}[quantity.bound]
    return Cell(sign + amount(quantity.estimate), between(quantity, amount), flags, link)


def share_cell(paid: JudgedShare, link: str | None, base: bool) -> Cell:
    """A share with its interval and its verdict.

    Args:
        paid: a dash where it has no estimate.
        link: the address of the runs behind it.
        base: whether it is the baseline's own.
    """
    if base:
        return Cell("baseline")
    if paid.estimate is None:
        return Cell("—")
    words = {"unclear": ("cannot be told from none",), "unknown": ("no interval",)}.get(paid.verdict, ())
    sign = {"=": "", "<": "≤ ", ">": "≥ "}[paid.bound]
    return Cell(f"{sign}{amount(paid.estimate)}", between(paid, amount), words, link, paid.verdict)


def quantity_cell(quantity: Quantity, link: str | None) -> Cell:
    """A number with its interval, to three places.

    Args:
        quantity: a dash where it has no estimate.
        link: the address of the runs behind it.
    """
    return Cell(digits(quantity.estimate, ".3f"), between(quantity, lambda end: f"{end:.3f}"), (), link)


def between(quantity: Quantity, form: Callable[[float], str]) -> str:
    """The interval of a quantity; nothing where it has none.

    Args:
        quantity: with both ends, or without.
        form: a number's text.
    """
    if quantity.low is None or quantity.high is None:
        return ""
    ends = [unbounded(end, form) for end in (quantity.low, quantity.high)]
    return f"{ends[0]} – {ends[1]}"


def amount(value: float) -> str:
    """Three digits, with a factor in letters where they would be many.

    >>> amount(0.4821), amount(12.3), amount(1234.0), amount(3.2e12), amount(250_000)
    ('0.48', '12.3', '1,234', '3.2 T', '250 k')
    >>> amount(999_600), amount(9.997e14), amount(3e5)
    ('1 M', '1 P', '300 k')
    """
    if value < 10:
        return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"
    if value >= 1e5:
        value = float(f"{value:.3g}")
        size, letter = next(of for of in SIZES if value >= of[0])
        return f"{value / size:.3g} {letter}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def digits(value: float | None, form: str = ".4f") -> str:
    """A number's digits, or a dash where there is none.

    Args:
        value: None and NaN are none.
        form: as `format` takes it.

    >>> digits(0.25), digits(None)
    ('0.2500', '—')
    """
    return "—" if value is None or value != value else format(value, form)
