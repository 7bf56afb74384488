"""The answer in one sentence a task: what each scheme pays, as a share of what the baseline pays.

A share is told as a number where its interval, at the level of all comparisons (`JudgedShare`), leaves out 1. Where
it does not, the scheme *cannot be told from* the baseline, whatever the estimate.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from study.answers.results import JudgedShare, Quantity, Result
from study.cost.quantities import unbounded
from study.plan.tasks import label
from study.reports.terminal import times_text

if TYPE_CHECKING:  # with torch, for the tasks: other people's tables need none
    from study.answers.study import Answers


class Word(NamedTuple):
    """A piece of a sentence; kind says what it is: '', 'scheme', 'number' or 'task'."""

    text: str
    kind: str = ""


Words = list[Word]
NAMED = 3  # schemes that a sentence names; the table has all


def sentence(answers: "Answers") -> Words:
    """Say in one sentence or two what a task's trials tell."""
    task = Word(label(answers.task), "task")
    results = answers.results
    if not results:
        return [Word("On "), task, Word(", no trial was validated: nothing may be selected, so nothing is compared.")]
    if all(flagged(result, "diverged") and not result.hits for result in results):
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


def sentence_text(words: Words) -> str:
    """The words of a sentence, joined."""
    return "".join(word.text for word in words)


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


def _alone(answers: "Answers", base: Result) -> Words:
    scheme = Word(base.scheme, "scheme")
    rest = Word("; there is no other scheme to compare it with.")
    if not base.hits:
        return [scheme, Word(f" never reached the target of {_level(answers)} in {trials_text(base.n)}"), rest]
    if base.expected_cost.estimate is None:
        return [scheme, Word(" is alone, and its cost is not defined: see the notes.")]
    spent = Word(_amount(base.expected_cost), "number")
    return [scheme, Word(f" reaches the target of {_level(answers)} after "), spent, Word(f" {answers.unit}"), rest]


def _to_target(answers: "Answers", base: Result, others: list[Result]) -> Words:
    shares = {result.scheme: result.share_to_target for result in others}
    reach = f"reaches the target of {_level(answers)} for "
    never = [result.scheme for result in others if not result.hits and result.share_to_target.verdict != "costs"]
    compared = {scheme: share for scheme, share in shares.items() if scheme not in never}
    saved = any(share.verdict == "saves" for share in compared.values())
    goal = "it" if saved else f"the target of {_level(answers)}"
    words = verdicts(compared, base.scheme, reach, f" of the {answers.unit} of ", never, f"never reached {goal}")
    if base.censored or not base.hits:
        goal = "it" if never else goal
        missed = f"missed {goal} in some of its searches"
        missed = missed if base.hits else f"itself never reached {goal} in {trials_text(base.n)}"
        words += [Word("; the baseline "), Word(base.scheme, "scheme"), Word(f" {missed}")]
    words += _not_compared(compared)
    settled = any(share.verdict in ("saves", "costs") for share in compared.values())
    more = "" if settled else settling(compared, "the baseline")
    return [*words, Word(f"; {more}" if more else ""), Word(".")]


def _at_budget(answers: "Answers", base: Result, others: list[Result]) -> Words:
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
    said = verdicts(shares, base.scheme, pays, f" of the {answers.unit} of ", [])
    return [start, *said, *_not_compared(shares), Word(".")]


def verdicts(
    shares: Mapping[str, JudgedShare],
    baseline: str,
    verb: str,
    of: str,
    never: list[str],
    missed: str = "never reached it",
) -> Words:
    """Those that save, the most first; those that cost more; those not told from the baseline; those that never hit.

    At most three are named, from the first on; the others are counted.

    Args:
        shares: of every scheme compared, by its name.
        baseline: whose cost is 1.
        verb: what stands between a scheme that saves and its share.
        of: what stands between that share and the baseline.
        never: schemes that never hit.
        missed: what is said of them.
    """
    ranked = sorted(shares, key=lambda scheme: _order(shares[scheme]))
    saves, costs, unclear = (
        [scheme for scheme in ranked if shares[scheme].verdict == verdict] for verdict in ("saves", "costs", "unclear")
    )
    clauses: list[Words] = (
        [] if saves else [[Word("no scheme is shown to save tuning over "), Word(baseline, "scheme")]]
    )
    for place, scheme in enumerate(saves[:NAMED]):
        said = [Word(scheme, "scheme"), Word(" for " if place else f" {verb}"), _number(shares[scheme])]
        clauses.append(said if place else [*said, Word(of), Word(baseline, "scheme")])
    clauses += _counted(saves[NAMED:], "saves too", "save too")
    left = NAMED - len(saves[:NAMED])
    clauses += [[Word(scheme, "scheme"), Word(" costs more, "), _number(shares[scheme])] for scheme in costs[:left]]
    clauses += _counted(costs[left:], "costs more", "cost more")
    left -= len(costs[:left])
    for group, said in ((unclear, "cannot be told from the baseline"), (never, missed)):
        named = group if len(group) <= left else []
        clauses += [[*listed(named), Word(f" {said}")]] if named else _counted(group, said, said)
        left -= len(named)
    return _joined(clauses)


def _not_compared(shares: Mapping[str, JudgedShare]) -> Words:
    """A clause on the schemes of which nothing is known; empty where there is none."""
    unknown = [scheme for scheme, share in shares.items() if share.verdict == "unknown"]
    return [*not_compared(unknown), Word(" (see the notes)")] if unknown else []


def not_compared(schemes: Sequence[str]) -> Words:
    """Say that these cannot be compared: three are named at most, the others counted; empty where there are none.

    >>> sentence_text(not_compared(["sgd", "adam", "lion", "dog", "cprop"]))
    '; sgd, adam, lion and two more cannot be compared'
    """
    named, more = schemes[:NAMED], len(schemes[NAMED:])
    words = listed(list(named), f"{counted(more)} more" if more else "")
    return [Word("; "), *words, Word(" cannot be compared")] if schemes else []


def _number(share: JudgedShare) -> Word:
    return Word(told(share), "number")


def _counted(schemes: list[str], one: str, several: str) -> list[Words]:
    """A clause that counts the schemes of which a verb is true; none where there are none."""
    many = len(schemes) != 1
    return [[Word(f"{counted(len(schemes))} {f'others {several}' if many else f'other {one}'}")]] if schemes else []


def _joined(clauses: list[Words]) -> Words:
    words: Words = []
    for place, clause in enumerate(clauses):
        words += [Word("; "), *clause] if place else clause
    return words


def listed(names: list[str], more: str = "", kind: str = "scheme") -> Words:
    """Names in a row, the last behind an "and".

    Args:
        names: the names.
        more: what stands behind them, in words; empty: nothing does.
        kind: of the names: scheme or task.
    """
    pieces = [Word(name, kind) for name in names] + ([Word(more)] if more else [])
    words: Words = []
    for place, piece in enumerate(pieces):
        between = "" if place == 0 else " and " if place == len(pieces) - 1 else ", "
        words += [Word(between), piece] if between else [piece]
    return words


def counted(number: int) -> str:
    """A small number as a word.

    >>> counted(8), counted(13)
    ('eight', '13')
    """
    words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
    return words[number] if number < len(words) else str(number)


def settling(shares: dict[str, JudgedShare], whom: str = "it") -> str:
    """A clause on the trials that would tell schemes from another; empty where nobody can say.

    Args:
        shares: of the schemes that are not told from it, by name.
        whom: the other, in words.

    >>> unclear = [JudgedShare(0.6, verdict="unclear", times=times) for times in (2.44, 30.0)]
    >>> settling({"adam": unclear[0], "nag": unclear[1]})
    'about 2.4 times as many trials would tell adam from it, more than ten times as many would tell all'
    """
    ranked = sorted((share.times, scheme) for scheme, share in shares.items() if share.times is not None)
    if not ranked:
        return ""
    (least, first), (most, _) = ranked[0], ranked[-1]
    clause = f"{times_text(least)} trials would tell {first} from {whom}"
    return clause if len(shares) == 1 or len(ranked) < len(shares) else f"{clause}, {times_text(most)} would tell all"


def trials_text(n: int) -> str:
    """So many trials, in words.

    >>> trials_text(1), trials_text(1920)
    ('1 trial', '1,920 trials')
    """
    return "1 trial" if n == 1 else f"{n:,} trials"


def _level(answers: "Answers") -> str:
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
