"""Advice: the cheapest scheme and every other not told from it, each at its rates, and what would settle it."""

from collections.abc import Iterable

from study.answers.choice import Choice
from study.answers.results import JudgedShare
from study.answers.study import Answers
from study.plan.tasks import label
from study.records.material import Material
from study.reports.cells import Cell, Column, Row, Sheet, links_of
from study.reports.sentences import NAMED, Word, Words, counted, listed, not_compared, settling, told
from study.reports.terminal import MOST


def advice(answers: Answers) -> Words:
    """One sentence of what to use on a task; empty where no scheme has reached a target there."""
    if not answers.choices:
        return []
    best, *others = answers.choices
    words = [
        Word(f"To reach {answers.target:.4g} {answers.metric} on "),
        Word(label(answers.task), "task"),
        Word(", use "),
    ]
    words += [Word(best.scheme, "scheme"), Word(_at(best))]
    left = [result.scheme for result in answers.results if result.expected_cost.estimate is None]
    aside = not_compared(left)
    if not others:
        told_all = f"; every other scheme {'that can be compared ' if left else ''}is told from it"
        return [*words, Word(told_all if len(answers.results) > 1 + len(left) else ""), *aside, Word(".")]
    named = [choice.scheme for choice in others[: NAMED - 1]]
    more = len(others) - len(named)
    words += [Word("; "), *listed(named, f"{counted(more)} more" if more else ""), Word(" cannot be told from it")]
    settled = settling(_open(others))
    return [*words, Word(f"; {settled}" if settled else ""), *aside, Word(".")]


def sheets(answers: Answers, material: Material) -> list[Sheet]:
    """The table of the schemes to use; none where there is no choice between several.

    Args:
        answers: of one task.
        material: the record, for the addresses of runs.
    """
    if len(answers.choices) < 2:
        return []
    best = answers.choices[0].scheme
    columns = [
        Column(
            "rate",
            "median of the hits' learning rates, and their middle four fifths; from five hits on. As given; where a "
            "scheme finds its own, those that it found",
        ),
        Column("hits", "trials that reached the target"),
        Column("of the cheapest's", f"its {answers.unit} as a share of those of {best}"),
        Column("to tell it apart", "times as many trials, were the share as it is estimated: roughly"),
    ]
    links = links_of(answers, material)
    rows = [Row(one.scheme, _cells(one, links[one.scheme], cheapest=one.scheme == best)) for one in answers.choices]
    lead = (
        f"The cheapest, and every scheme that these trials do not tell from it at 1 − .05/{len(answers.results) - 1}: "
        "of those whose cost is defined, the cheapest in truth is one of these 95 times in 100."
    )
    return [Sheet("What to use", lead, columns, rows, unit=answers.unit)]


def _cells(choice: Choice, link: str | None, *, cheapest: bool) -> list[Cell]:
    rates, times = choice.rates, choice.share.times
    between = "" if rates is None or rates.low == rates.high else f"{rates.low:.2g} – {rates.high:.2g}"
    share = "cheapest" if cheapest else told(choice.share).split(" [")[0]
    low_high = "" if cheapest else _between(choice.share)
    return [
        Cell("—" if rates is None else f"{rates.median:.2g}", between, link=link),
        Cell(str(choice.hits), link=link),
        Cell(share, low_high, link=link),
        Cell("—" if times is None else f"× {times:.2g}" if times <= MOST else f"× {MOST:.0f} or more", link=link),
    ]


def _between(share: JudgedShare) -> str:
    return told(share).partition(" [")[2].rstrip("]").replace(", ", " – ")


def _at(choice: Choice) -> str:
    """The rates of its hits, or why they are not told; rates that it finds are nothing to be set.

    >>> from study.answers.choice import Rates
    >>> from study.answers.results import Quantity
    >>> _at(Choice("adam", Quantity(), JudgedShare(), 13, Rates(0.0025, 0.0008, 0.01)))
    ' at a rate of 0.0025 (the middle four fifths of its 13 hits: 0.0008 to 0.01)'
    >>> _at(Choice("prodigy", Quantity(), JudgedShare(), 13, Rates(0.002, 0.001, 0.003), finds_rate=True))
    ', which finds its rate: 0.002 (the middle four fifths of its 13 hits: 0.001 to 0.003)'
    """
    rates, hits = choice.rates, choice.hits
    if rates is None:
        return f" (too few hits to name a rate: {hits})" if hits < 5 else ""
    at = ", which finds its rate:" if choice.finds_rate else " at a rate of"
    if rates.low == rates.high:
        return f"{at} {rates.median:.2g}"
    span = f"{rates.low:.2g} to {rates.high:.2g}"
    return f"{at} {rates.median:.2g} (the middle four fifths of its {hits} hits: {span})"


def _open(others: Iterable[Choice]) -> dict[str, JudgedShare]:
    return {choice.scheme: choice.share for choice in others}
