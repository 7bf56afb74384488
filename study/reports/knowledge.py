"""The worth of knowing the rate, for people: one table a task, and one sentence a scheme told from the baseline."""

import math

from study.answers.knowledge import FACTORS
from study.answers.results import EvenFactor, JudgedShare, KnownCost, Quantity, Result
from study.cost.quantities import unbounded
from study.plan.tasks import label
from study.reports.sentences import Word, Words, told
from study.reports.terminal import TextTable, quantity_text

TITLE = "What knowing the rate is worth"
LEAD = (
    "Take a rate that once worked, and search around it: what tuning costs, in {unit}, whoever knows the rate within a "
    "factor of φ, and searches 2 log10 φ decades. A scheme without a rate to search costs the same whatever is known."
)


def tables(results: list[Result]) -> list[TextTable]:
    """One table a task of which something is known, with its sentences below.

    Args:
        results: of one or more tasks.
    """
    made = []
    for task in dict.fromkeys(result.task for result in results):
        here = [result for result in results if result.task == task]
        known = [result for result in here if result.known_within]
        if not known:
            continue
        unit = known[0].expected_cost.unit
        columns = ["scheme", "from nothing", *(f"within ×{factor}" for factor in FACTORS), "breaks even within"]
        said = ["".join(word.text for word in words) for words in sentences(here)]
        title = f"{label(task)}: {unit} to target, for whoever knows the rate within a factor"
        made.append(TextTable(title, columns, [_row(result) for result in known], said))
    return made


def _row(result: Result) -> list[str]:
    within = [quantity_text(result.known_within.get(factor, KnownCost())) for factor in FACTORS]
    return [result.scheme, quantity_text(result.expected_cost), *within, even_text(result.break_even)]


def sentences(here: list[Result]) -> list[Words]:
    """Say what knowing the rate changes, one sentence a scheme that is told from the baseline where nothing is known.

    Args:
        here: the results of one task.
    """
    by_name = {result.scheme: result for result in here}
    found = [(result, by_name[result.break_even.against]) for result in here if result.break_even.ratio is not None]
    return [sentence(*pair) for pair in found if pair[0].share_to_target.verdict in ("saves", "costs")]


def sentence(result: Result, base: Result) -> Words:
    """Say how well the rate must be known for the dearer of two schemes to cost no more than the other.

    Args:
        result: of a scheme told from the baseline where nothing is known.
        base: of the baseline.
    """
    share, even = result.share_to_target, result.break_even
    saves = share.verdict == "saves"
    dear, cheap = (Word(one.scheme, "scheme") for one in ((base, result) if saves else (result, base)))
    times = Word(told(_inverse(share) if saves else share), "number")
    start = [
        Word("On "),
        Word(label(result.task), "task"),
        Word(", tuned from nothing, "),
        dear,
        Word(" costs "),
        times,
        Word(" times "),
        cheap,
        Word("; "),
    ]
    who = f"who knows {_known(result, base)} within a factor of "
    if even.low is None:
        return [*start, Word(f"{who}{_factor(even.narrowest)} pays more for it too.")]
    if _closed(even):
        factor = Word(even_text(even).removeprefix("×"), "number")
        return [*start, Word(who), factor, Word(" does as well with "), dear, Word(".")]
    words = even_text(even).replace("×", "a factor of ")
    return [*start, Word(f"they are {words}.")]


def even_text(even: EvenFactor) -> str:
    """The factor at which two schemes break even with its interval; in words where the interval has an open end.

    >>> even_text(EvenFactor("sgd", 4.0, 12.2, 3.0, 61.0)), even_text(EvenFactor("sgd", 4.0, 12.2, 1.0, 61.0))
    ('×12 [3, 61]', 'not told apart within ×61')
    >>> even_text(EvenFactor("sgd", 1.2, None, 3.0, math.inf)), even_text(EvenFactor("sgd", 1.2, None, 1.0, math.inf))
    ('told apart within ×3 only', 'not told apart')
    >>> even_text(EvenFactor("sgd", 9.0, narrowest=2.5)), even_text(EvenFactor())
    ('told apart down to ×2.5', '—')
    """
    if even.ratio is None:
        return "—"
    if even.low is None:
        return f"told apart down to ×{_factor(even.narrowest)}"
    if _closed(even):
        ends = f"[{_factor(even.low)}, {_factor(even.high)}]"
        return ends if even.factor is None else f"×{_factor(even.factor)} {ends}"
    if even.low > 1:
        return f"told apart within ×{_factor(even.low)} only"
    return "not told apart" if even.high == math.inf else f"not told apart within ×{_factor(even.high)}"


def _closed(even: EvenFactor) -> bool:
    """Tell if the interval of the factor has two ends."""
    return even.low is not None and even.low > 1 and even.high != math.inf


def _inverse(share: JudgedShare) -> Quantity:
    """A share the other way round."""
    low, high = (math.inf if end == 0 else 1 / end for end in (share.high or math.inf, share.low or 0.0))
    return Quantity(1 / (share.estimate or math.nan), low, high)


def _known(*results: Result) -> str:
    """The words for what is known: the rate, or another field by its name."""
    fields = [result.known_field for result in results if result.known_field]
    named = [result for result in results if not f".{result.known_field or 'lr'}".endswith(".lr")]
    others = [f"{result.known_field} of {result.scheme}" for result in named]
    rates = ["the rate"] if len(others) < len(fields) else []
    return " and ".join([*rates, *others])


def _factor(value: float | None) -> str:
    """Two digits, or whole from ten on.

    >>> _factor(2.34), _factor(31.7), _factor(1234.0)
    ('2.3', '32', '1,234')
    """
    return unbounded(value, lambda factor: f"{factor:.2g}" if factor < 10 else f"{factor:,.0f}")
