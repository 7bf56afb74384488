"""The answer in one sentence a task: what each scheme pays, as a share of what the baseline pays.

A share is told as a number where its interval, at the level of all comparisons (`JudgedShare`), leaves out 1. Where
it does not, the scheme *cannot be told from* the baseline, whatever the estimate.
"""

from typing import NamedTuple

from study.answers.results import JudgedShare, Quantity, Result
from study.answers.study import Answers
from study.cost.quantities import unbounded
from study.reports.terminal import to_settle


class Word(NamedTuple):
    """A piece of a sentence; kind says what it is: '', 'scheme', 'number' or 'task'."""

    text: str
    kind: str = ""


Words = list[Word]
NAMED = 3  # savers whose share stands in the sentence; the table has all


def sentence(answers: Answers) -> Words:
    """Say in one sentence or two what a task's trials tell."""
    task = Word(answers.task, "task")
    results = answers.results
    if not results:
        return [Word("On "), task, Word(", no trial was validated: nothing may be selected, so nothing is compared.")]
    if all(flagged(result, "diverged") for result in results):
        return [Word("On "), task, Word(", every trial of every scheme diverged: there is nothing to compare.")]
    base = next((result for result in results if result.scheme == answers.baseline), None)
    others = [result for result in results if result is not base]
    if base is None:
        missing = Word(answers.baseline, "scheme")
        return [
            Word("On "),
            task,
            Word(", the baseline "),
            missing,
            Word(" has no trial that ended: nothing is compared."),
        ]
    if answers.target is None:
        return [Word("On "), task, *_at_budget(answers, base, others)]
    if not others:
        return [Word("On "), task, Word(", "), *_alone(answers, base)]
    return [Word("On "), task, Word(", "), *_to_target(answers, base, others)]


def flagged(result: Result, what: str) -> bool:
    """Tell if a suspicion weakens a quantity.

    Args:
        result: of one arm.
        what: the quantity, as flags name it.
    """
    return any(flag.weakens == what for flag in result.flags)


def told(quantity: Quantity) -> str:
    """A share and its interval, as the sentence has it.

    >>> told(Quantity(0.4821, 0.311, 0.77)), told(Quantity(2.0, 1.5, float("inf"), ">"))
    ('0.48 [0.31, 0.77]', 'at least 2.00 [1.50, ∞]')
    """
    sign = {"=": "", "<": "at most ", ">": "at least "}[quantity.bound]
    text = sign + _short(quantity.estimate)
    return text if quantity.low is None else f"{text} [{_short(quantity.low)}, {_short(quantity.high)}]"


def _alone(answers: Answers, base: Result) -> Words:
    scheme = Word(base.scheme, "scheme")
    rest = Word("; there is no other scheme to compare it with.")
    if not base.hits:
        return [scheme, Word(f" never reached the target of {_level(answers)} in {_trials(base.n)}"), rest]
    if base.expected_cost.estimate is None:
        return [scheme, Word(" is alone, and its cost is not defined: see the notes.")]
    spent = Word(_amount(base.expected_cost), "number")
    return [scheme, Word(f" reaches the target of {_level(answers)} after "), spent, Word(f" {answers.unit}"), rest]


def _to_target(answers: Answers, base: Result, others: list[Result]) -> Words:
    shares = {result.scheme: result.share_to_target for result in others}
    reach = f"reaches the target of {_level(answers)} for "
    never = [result.scheme for result in others if not result.hits and result.share_to_target.verdict != "costs"]
    compared = {scheme: share for scheme, share in shares.items() if scheme not in never}
    words = _verdicts(compared, base.scheme, reach, f" of the {answers.unit} of ")
    if base.censored:
        missed = " missed it in some of its searches" if base.hits else f" itself never reached it in {_trials(base.n)}"
        words += [Word("; the baseline "), Word(base.scheme, "scheme"), Word(missed)]
    unclear = [r.scheme for r in others if r.share_to_target.verdict == "unknown" and r.hits]
    if unclear and base.hits:
        words += [Word("; "), *_listed(unclear), Word(" cannot be compared (see the notes)")]
    if never:
        words += [Word("; "), *_listed(never), Word(" never reached it")]
    more = to_settle(compared)
    words += [Word(f"; {more}")] if more else []
    return [*words, Word(".")]


def _at_budget(answers: Answers, base: Result, others: list[Result]) -> Words:
    start = Word(", which has no target yet, ")
    shares = {result.scheme: result.share_at_budget for result in others}
    k = base.budget
    if not others:
        return [start, Word(base.scheme, "scheme"), Word(" is the only scheme: there is nothing to compare it with.")]
    if all(share.verdict == "unknown" for share in shares.values()):
        why = Word("these trials do not tell what any scheme saves (the notes say why).")
        known = {scheme: share for scheme, share in shares.items() if share.estimate is not None}
        words = [start, why]
        for place, (scheme, share) in enumerate(known.items()):
            lead = f" Estimates without an interval, for the baseline's best of {k}: " if place == 0 else ", "
            words += [Word(lead), Word(scheme, "scheme"), Word(f" {told(share)}")]
        return [*words, Word(f" of the {answers.unit} of " if known else "")] + (
            [Word(base.scheme, "scheme"), Word(".")] if known else []
        )
    pays = f"pays for the baseline's best of {k} "
    return [start, *_verdicts(shares, base.scheme, pays, f" of the {answers.unit} of "), Word(".")]


def _verdicts(shares: dict[str, JudgedShare], baseline: str, verb: str, of: str) -> Words:
    """Those that save, the most first; those that cost more; those that cannot be told from the baseline."""
    of_kind: dict[str, list[str]] = {}
    for scheme, share in sorted(shares.items(), key=lambda pair: _order(pair[1])):
        of_kind.setdefault(share.verdict, []).append(scheme)
    clauses: list[Words] = []
    savers = of_kind.get("saves", [])
    for place, scheme in enumerate(savers[:NAMED]):
        number = Word(told(shares[scheme]), "number")
        said = [Word(scheme, "scheme"), Word(f" {verb}" if place == 0 else " for "), number]
        clauses.append([*said, Word(of), Word(baseline, "scheme")] if place == 0 else said)
    if len(savers) > NAMED:
        clauses.append([*_listed(savers[NAMED:]), Word(" save too" if len(savers) > NAMED + 1 else " saves too")])
    if not clauses:
        clauses.append([Word("no scheme is shown to save tuning over "), Word(baseline, "scheme")])
    for scheme in of_kind.get("costs", []):
        number = Word(told(shares[scheme]), "number")
        clauses.append([Word(scheme, "scheme"), Word(" costs more, "), number])
    if of_kind.get("unclear"):
        clauses.append([*_listed(of_kind["unclear"]), Word(" cannot be told from the baseline")])
    words: Words = []
    for place, clause in enumerate(clauses):
        words += [Word("; "), *clause] if place else clause
    return words


def _listed(schemes: list[str]) -> Words:
    words: Words = []
    for place, scheme in enumerate(schemes):
        between = "" if place == 0 else " and " if place == len(schemes) - 1 else ", "
        words += [Word(between), Word(scheme, "scheme")] if between else [Word(scheme, "scheme")]
    return words


def _trials(n: int) -> str:
    return "1 trial" if n == 1 else f"{n:,} trials"


def _level(answers: Answers) -> str:
    return f"{answers.target:.4g} {answers.metric}"


def _amount(quantity: Quantity) -> str:
    least = "at least " if quantity.bound == ">" else ""
    ends = [quantity.estimate, quantity.low, quantity.high]
    value, low, high = (unbounded(end, lambda e: f"{e:,.4g}" if e < 1000 else f"{e:,.0f}") for end in ends)
    return f"{least}{value} [{low}, {high}]"


def _order(share: JudgedShare) -> float:
    """The cheapest first; those without an estimate last."""
    return float("inf") if share.estimate is None else share.estimate


def _short(value: float | None) -> str:
    """Two decimals, or whole above ten.

    >>> _short(0.0512), _short(2.0), _short(13.4)
    ('0.051', '2.00', '13')
    """
    return unbounded(value, lambda v: f"{v:,.0f}" if v >= 10 else f"{v:.2f}" if v >= 0.1 else f"{v:.2g}")
