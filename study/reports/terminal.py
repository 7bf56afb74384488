"""Results for people: the same tables in a terminal and as Markdown."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from study.answers.replayed import Replayed
from study.answers.results import JudgedShare, Quantity, Result
from study.cost.quantities import unbounded
from study.plan.tasks import class_notes, label

WIDEST = 10_000  # characters of a line that nobody's terminal bounds: no name and no number is cut or broken
MOST, LEAST = 10.0, 1.1  # times as many trials: beyond these a number would say more than is known


class TextTable(NamedTuple):
    """One table of words: a title, the names of its columns, its rows, and remarks below it."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    remarks: list[str]


def cost_tables(results: list[Result]) -> list[TextTable]:
    """Two tables a task: what reaching the target costs, and how good the best of k is."""
    made = []
    for task in dict.fromkeys(result.task for result in results):
        here = [result for result in results if result.task == task]
        made += [_costs(task, here), _scores(task, here)]
    return made


def _costs(task: str, here: list[Result]) -> TextTable:
    unit = next((result.expected_cost.unit for result in here if result.expected_cost.unit), "cost")
    target = "" if here[0].target is None else f" {here[0].target:.6g}"
    columns = [
        "scheme",
        "hits",
        "trials to target",
        f"{unit} to target",
        "share to target",
        "share at budget",
        "profile",
    ]
    rows = [
        [
            result.scheme,
            f"{'—' if result.hits is None else result.hits} of {result.n}",
            quantity_text(result.expected_trials),
            quantity_text(result.expected_cost),
            quantity_text(result.share_to_target),
            quantity_text(result.share_at_budget),
            "—" if result.profile_score is None else f"{result.profile_score:.3f}",
        ]
        for result in here
    ]
    title = f"{label(task)}: tuning cost up to the target{target}"
    return TextTable(title, columns, rows, [*_settled(here), *remarks(here), *class_notes([task])])


def _settled(here: list[Result]) -> list[str]:
    told = to_settle({result.scheme: result.share_to_target for result in here})
    return [f"no scheme can be told from the baseline: {told}"] if told else []


def to_settle(shares: Mapping[str, JudgedShare]) -> str:
    """A clause on the trials that would tell schemes from the baseline; empty unless none is told and one could be.

    Args:
        shares: of every scheme compared, by its name.

    >>> unclear = [JudgedShare(0.6, verdict="unclear", times=times) for times in (2.44, 30.0)]
    >>> to_settle({"adam": unclear[0], "nag": unclear[1]})
    'about 2.4 times as many trials would tell adam from the baseline; nag, more than ten times as many'
    >>> to_settle({"adam": unclear[0], "prodigy": JudgedShare(0.2, verdict="saves")})
    ''
    """
    if any(share.verdict in ("saves", "costs") for share in shares.values()):
        return ""
    ranked = sorted((share.times, scheme) for scheme, share in shares.items() if share.times is not None)
    amounts: dict[str, list[str]] = {}
    for times, scheme in ranked:
        amounts.setdefault(times_text(times), []).append(scheme)
    clauses = [f"{', '.join(who)}, {amount}" for amount, who in amounts.items()]
    for amount, who in list(amounts.items())[:1]:
        clauses[0] = f"{amount} trials would tell {', '.join(who)} from the baseline"
    return "; ".join(clauses)


def times_text(factor: float) -> str:
    """Say roughly, as a normal approximation must, how many times as many trials.

    >>> [times_text(factor) for factor in (0.8, 2.44, 9.96, 10.1)]
    ['a few more', 'about 2.4 times as many', 'about 10 times as many', 'more than ten times as many']
    """
    if factor > MOST:
        return "more than ten times as many"
    return "a few more" if factor < LEAST else f"about {factor:.2g} times as many"


def _scores(task: str, here: list[Result]) -> TextTable:
    shown = [k for k in (1, 2, 4, 8, 16, 32, 64, 128) if any(k in result.expected_best for result in here)]
    columns = ["scheme", *(f"best of {k}" for k in shown), "sensitivity", "±1 decade", "width"]
    rows = []
    for result in here:
        best = [_score(result, k) for k in shown]
        spread = [_or_dash(result.sensitivity[name], ".4f") for name in ("full", "window")]
        width = "—" if result.width_decades is None else f"{result.width_decades:.1f} decades"
        rows.append([result.scheme, *best, *spread, width])
    return TextTable(f"{label(task)}: expected best of k trials", columns, rows, [])


def replayed_table(task: str, answers: list[Replayed]) -> TextTable:
    """One table of searches over recorded trials.

    Args:
        task: for the title.
        answers: one an arm, at least one.
    """
    unit = answers[0].cost.unit
    columns = ["arm", "reached", "trials to target", f"{unit} to target", "share", "best of a search"]
    rows = [
        [
            row.arm,
            f"{row.reached} of {row.searches}",
            quantity_text(row.trials),
            quantity_text(row.cost),
            quantity_text(row.share),
            quantity_text(row.best, digits=4),
        ]
        for row in answers
    ]
    return TextTable(f"{label(task)}: searches over recorded trials", columns, rows, class_notes([task]))


def quantity_text(quantity: Quantity, suffix: str = "", digits: int = 3) -> str:
    """An estimate and its interval in words, numbers below 100 to so many significant digits.

    Args:
        quantity: a dash where it has no estimate.
        suffix: written after the estimate.
        digits: how many are significant.

    >>> quantity_text(Quantity(1179.3, 476.3, None))
    '1,179 (476 to ∞)'
    >>> quantity_text(Quantity(0.5, bound="<"), "×")
    '< 0.5×'
    """
    if quantity.estimate is None:
        return "—"
    sign = {"=": "", "<": "< ", ">": "≥ "}[quantity.bound]
    text = f"{sign}{_number(quantity.estimate, digits)}{suffix}"
    if quantity.low is None or quantity.low == quantity.high:
        return text
    return f"{text} ({_number(quantity.low, digits)} to {_number(quantity.high, digits)})"


def markdown(made: Iterable[TextTable]) -> str:
    """The tables as Markdown."""
    lines = []
    for sheet in made:
        lines += [f"### {sheet.title}", ""] if sheet.title else []
        lines += [_row(sheet.columns), _row(["---"] * len(sheet.columns)), *map(_row, sheet.rows), ""]
        lines += [f"* {remark}" for remark in sheet.remarks]
        lines += [""] if sheet.remarks else []
    return "\n".join(lines)


def terminal(made: Iterable[TextTable]) -> None:
    """Print the tables with rich; as wide as needed where nobody's terminal tells a width."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDEST)
    for sheet in made:
        table = Table(title=escape(sheet.title), title_justify="left", title_style="bold")
        for place, column in enumerate(sheet.columns):
            table.add_column(escape(column), justify="right" if place else "left")
        for row in sheet.rows:
            table.add_row(*map(escape, row))
        console.print(table)
        for remark in sheet.remarks:
            console.print(f"• {escape(remark)}", style="dim", highlight=False)


def remarks(here: list[Result], *, suspicions: bool = True) -> list[str]:
    """Flags and notes, those of all schemes once, the others under their scheme's name.

    Args:
        here: the results of one task.
        suspicions: whether flags are among them.
    """
    said_by: dict[str, list[str]] = {}
    for result in here:
        flags = [f"suspicious: {flag.words}" for flag in result.flags] if suspicions else []
        for text in (*flags, *result.notes):
            said_by.setdefault(text, []).append(result.scheme)
    return [text if len(who) == len(here) else f"{', '.join(who)}: {text}" for text, who in said_by.items()]


def _score(result: Result, k: int) -> str:
    if k not in result.expected_best:
        return "—"
    text = f"{result.expected_best[k]:.4f}"
    if k in result.expected_best_interval:
        low, high = result.expected_best_interval[k]
        text += f" ({low:.3f}\u00a0to\u00a0{high:.3f})"  # a line may break only before the interval
    return text


def _number(value: float | None, digits: int = 3) -> str:
    return unbounded(value, lambda number: f"{number:,.0f}" if abs(number) >= 100 else f"{number:.{digits}g}")


def _or_dash(value: float | None, form: str) -> str:
    return "—" if value is None else format(value, form)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
