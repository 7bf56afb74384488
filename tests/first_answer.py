"""The four bullets of the project's first answer, from the tables of the rivals alone.

`uv run python tests/results.py` writes them into README.md, beside the results' own README.
"""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import Any

import pandas as pd
import replays

from study.answers.results import EvenFactor, Quantity, Result
from study.answers.study import Answers
from study.figures import transfer
from study.plan.tasks import label
from study.reports import knowledge
from study.reports.over_tasks import told_over_tasks
from study.reports.sentences import listed, sentence_text, told

BEST = 1  # schemes that are named beside the baseline, and of those that save; the others are counted


def bullets(near: Sequence[Answers], far: Sequence[Answers]) -> str:
    """Four bullets: costs of the target, worth of knowing the rate, losses of choices made elsewhere, shares under TPE.

    Args:
        near: the answers to the tasks of the rivals, at their near targets.
        far: at their far ones.
    """
    said = {
        "What the target costs": _costs(near, far),
        "What knowing the rate is worth": _known(near),
        "What a choice on the other tasks loses": _elsewhere(near),
        "A cleverer search": _searched(),
    }
    texts = (f"* **{lead}**: {'; '.join(parts) or 'not known yet'}." for lead, parts in said.items())
    return "\n".join(fill(text, 120, subsequent_indent="  ", break_on_hyphens=False) for text in texts)


def _costs(near: Sequence[Answers], far: Sequence[Answers]) -> list[str]:
    """The schemes that save on the way to the near target, and what becomes of them on the way to the far one."""
    said = {label(answers.task): _saved(_savers(answers)) + _dearer(answers) for answers in near}
    shares = told_over_tasks([result for one in near for result in one.results])
    compared = {name: share for name, share in shares.items() if share.estimate is not None and name != share.against}
    over = {name: share for name, share in compared.items() if share.verdict == "saves"}
    words = f"over all {_saved(over)} (of {len(compared)})"
    first, *others = [*_alike(said), *([words] if compared else [])]
    return [f"of {near[0].baseline}'s {near[0].unit} {first}", *others, *_further(near, far)]


def _further(near: Sequence[Answers], far: Sequence[Answers]) -> list[str]:
    """Of the schemes that save on the way to a near target: those that still do to the far one, and those that pay."""
    still, dear = list[str](), list[str]()
    for answers, beyond in zip(near, far, strict=True):
        cheap, place = _savers(answers), label(answers.task)
        there = {one.scheme: one.share_to_target for one in beyond.results if one.scheme in cheap}
        cheapest = sorted(there.items(), key=lambda one: one[1].estimate or 0.0)
        saves = _first(f"{name} {told(share)}" for name, share in cheapest if share.verdict == "saves")
        costs = [name for name, share in there.items() if share.verdict == "costs"]
        still += [f"{_list(saves)} on {place}"] if saves else []
        dear += [f"{_list(costs)} on {place}"] if costs else []
    words = f"to the far targets {_list(still) if still else 'none of these'}"
    return [words, *([f"more for {_list(dear)}"] if dear else [])]


def _alike(said: Mapping[str, str]) -> list[str]:
    """Say of each task what there is to say, once of those of which it is the same.

    >>> _alike({"digits": "nothing is shown", "mnist": "a saves", "fashion": "nothing is shown"})
    ['on digits and fashion nothing is shown', 'on mnist a saves']
    """
    tasks = {words: [task for task in said if said[task] == words] for words in said.values()}
    return [f"on {_list(of)} {words}" for words, of in tasks.items()]


def _savers(answers: Answers) -> dict[str, Quantity]:
    return {one.scheme: one.share_to_target for one in _cheaper(answers)}


def _cheaper(answers: Answers) -> list[Result]:
    found = [one for one in answers.results if one.share_to_target.verdict == "saves"]
    return sorted(found, key=lambda one: one.share_to_target.estimate or 0.0)


def _saved(shares: Mapping[str, Quantity]) -> str:
    """The schemes that save, with their shares."""
    if not shares:
        return "nothing"
    return _list(_first(f"{scheme} {told(share)}" for scheme, share in shares.items()))


def _first(parts: Iterable[str]) -> list[str]:
    """The first, and how many others there are.

    >>> _first(["a 0.1", "b 0.2", "c 0.3"]), _first(["a 0.1"])
    (['a 0.1', '2 others'], ['a 0.1'])
    """
    every = list(parts)
    more = len(every) - BEST
    return [*every[:BEST], *([f"{more} other{'s' if more > 1 else ''}"] if more > 0 else [])]


def _dearer(answers: Answers) -> str:
    """The number of schemes that cost more, in words; empty where none does."""
    number = sum(one.share_to_target.verdict == "costs" for one in answers.results)
    return f" ({number} cost{'s' if number == 1 else ''} more)" if number else ""


def _list(parts: Iterable[str]) -> str:
    return sentence_text(listed(list(parts)))


def _known(every: Sequence[Answers]) -> list[str]:
    """The fate of the scheme that saves most where the baseline's rate is known within a factor."""
    found: dict[str, list[str]] = {}
    for answers in every:
        for one in _cheaper(answers)[:BEST]:
            fate, times, factor = _even(one.break_even).partition("×")
            fates = found.setdefault(f"{one.scheme} {fate.strip()}", [])
            fates.append(f"{times}{factor} on {label(answers.task)}".strip())
    made = [f"{fate} {_list(factors)}" for fate, factors in found.items()]
    words = f"beside {every[0].baseline}, its rate known within a factor: "
    return [words + made[0], *made[1:]] if made else []


def _even(even: EvenFactor) -> str:
    """Say up to where the cheaper of two schemes stays the cheaper one.

    >>> _even(EvenFactor("sgd", 0.2, narrowest=2.4)), _even(EvenFactor("sgd", 0.2, 12.2, 3.0, 61.0))
    ('costs less down to ×2.4', 'costs as much at ×12 [3, 61]')
    >>> _even(EvenFactor("sgd", 0.2, 2.2, 1.0, 7.0))
    'is not told apart within ×7'
    """
    text = knowledge.even_text(even)
    if even.low is None:
        return text.replace("told apart", "costs less")
    return f"costs as much at {text}" if text.startswith(("×", "[")) else f"is {text}"


def _elsewhere(every: Sequence[Answers]) -> list[str]:
    """Of the baseline, and of those that lose least: the mean over all tasks; of several metrics the most of each.

    Of several metrics those lose least whose ranks, metric by metric, have the least sum.
    """
    table, base = transfer.table(every), every[0].baseline
    k = int(table["k"].max()) if len(table) else 0
    of: dict[Any, list[Any]] = {}
    for row in table.sort_values("metric", kind="stable").itertuples():
        of.setdefault(row.scheme, []).append(row)
    if base not in of:
        return []
    alike = [scheme for scheme in dict.fromkeys(table["scheme"]) if len(of[scheme]) == len(of[base])]
    others = [scheme for scheme in alike if scheme != base]
    means = {one.scheme: (one.mean[k], *one.mean_interval[k]) for one in every[0].transfers if k in one.mean_interval}
    if base in means:  # one metric for all
        named = [base, *sorted(means.keys() & set(others), key=lambda scheme: means[scheme][0])[:BEST]]
        told = [f"{scheme} {_short(means[scheme][0])}{_ends(*means[scheme][1:])}" for scheme in named]
        return [f"{table['metric'].iloc[0]}, the mean over all tasks, of {k} configurations: {told[0]}", *told[1:]]
    metrics = list(dict.fromkeys(row.metric for row in of[base]))
    most = {
        scheme: [max((row for row in of[scheme] if row.metric == each), key=lambda row: row.loss) for each in metrics]
        for scheme in [base, *others]
    }
    losses: Any = pd.DataFrame({scheme: [row.loss for row in rows] for scheme, rows in most.items() if scheme != base})
    least = losses.T.assign(place=losses.rank(axis=1).sum()).sort_values(["place", 0]).index[:BEST]
    made = [
        f"{scheme} {_list(f'{_short(row.loss)}{_ends(row.low, row.high)} on {row.quantity}' for row in rows)}"
        for scheme in [base, *least]
        for rows in [most[scheme]]
    ]
    return [f"at most, in {_list(metrics)}, of {k} configurations: {made[0]}", *made[1:]]


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or pd.isna(low) else f" [{_short(low)}, {_short(high)}]"


def _short(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # no nought below 0


def _searched() -> list[str]:
    """The schemes whose whole interval is below the baseline's cost, task by task: their shares over all settings."""
    said = {}
    for task, there in pd.read_csv(replays.REPLAYED).groupby("task", sort=False):
        below = there[there["high"] < 1].sort_values("share")
        shares = [_over_settings(scheme, of_scheme) for scheme, of_scheme in below.groupby("scheme", sort=False)]
        said[str(task)] = _list(_first(shares)) or "none"
    first, *others = _alike(said)
    return [f"by TPE, with a stopper or none, shares below 1 at 95 % each: {first}", *others]


def _over_settings(scheme: Any, rows: pd.DataFrame) -> str:
    """A scheme's lowest and highest share, and the settings under which it is not shown to save."""
    missed = [setting for setting in replays.SETTINGS if setting not in set(rows["setting"])]
    text = f"{scheme} ({rows['share'].min():.2f} to {rows['share'].max():.2f}"
    return f"{text}; not under {_list(missed)})" if missed else f"{text})"
