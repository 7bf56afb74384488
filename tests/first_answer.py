"""The four bullets of the project's first answer, from the tables of the rivals alone.

`uv run python tests/results.py` writes them into README.md, beside the results' own README.
"""

from collections.abc import Iterable, Mapping, Sequence
from textwrap import fill
from typing import Any

import pandas as pd
import replays

from study.answers.results import Quantity, Result
from study.answers.study import Answers
from study.figures import transfer
from study.plan.tasks import label
from study.reports import knowledge
from study.reports.over_tasks import told_over_tasks
from study.reports.sentences import listed, sentence_text, told

BEST = 1  # schemes that are named beside the baseline where all are ranked


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
    return "\n".join(fill(text, 119, subsequent_indent="  ", break_on_hyphens=False) for text in texts)


def _costs(near: Sequence[Answers], far: Sequence[Answers]) -> list[str]:
    """The schemes that save on the way to the near target, and what they cost to the far one."""
    of = f" of the {near[0].unit} of {near[0].baseline}"
    parts = []
    for answers, beyond in zip(near, far, strict=True):
        cheap, further = _savers(answers), {one.scheme: one.share_to_target for one in beyond.results}
        there = _list(told(further[scheme]) for scheme in cheap)
        parts.append(f"on {label(answers.task)} {_saved(cheap, of)}{there and f', to the far target {there}'}")
    shares = told_over_tasks([result for one in near for result in one.results])
    over = {name: share for name, share in shares.items() if share.verdict == "saves"}
    return [*parts, f"over all {_saved(over)}"] if shares else parts


def _savers(answers: Answers) -> dict[str, Quantity]:
    return {one.scheme: one.share_to_target for one in _cheaper(answers)}


def _cheaper(answers: Answers) -> list[Result]:
    found = [one for one in answers.results if one.share_to_target.verdict == "saves"]
    return sorted(found, key=lambda one: one.share_to_target.estimate or 0.0)


def _saved(shares: Mapping[str, Quantity], of: str = "") -> str:
    """The schemes that save, with their shares."""
    if not shares:
        return "nothing is shown to save"
    (first, share), *others = shares.items()
    return _list([f"{first} takes {told(share)}", *(f"{name} {told(one)}" for name, one in others)]) + of


def _list(parts: Iterable[str]) -> str:
    return sentence_text(listed(list(parts)))


def _known(every: Sequence[Answers]) -> list[str]:
    """The factor within which the baseline's rate must be known to cost no more than what saves where nothing is."""
    made = []
    for answers in every:
        even = [f"{one.scheme} ({knowledge.even_text(one.break_even)})" for one in _cheaper(answers)]
        words = f"on {label(answers.task)} {answers.baseline}, its rate known within a factor, breaks even with "
        made += [f"{words}{_list(even)}"] if even else []
    return made


def _elsewhere(every: Sequence[Answers]) -> list[str]:
    """Of the baseline, and of those that lose least."""
    table, base = transfer.table(every), every[0].baseline
    named = [base, *[scheme for scheme in dict.fromkeys(table["scheme"]) if scheme != base][:BEST]]
    made = []
    for scheme in named:
        rows = table[table["scheme"] == scheme]
        losses = [f"{_short(row.loss)}{_ends(row.low, row.high)} on {row.quantity}" for row in rows.itertuples()]
        made.append(f"{scheme} {_list(losses)}")
    first = f"{table['metric'].iloc[0]}, of {table['k'].max()} configurations: " if len(table) else ""
    return [first + made[0], *made[1:]] if len(table) else []


def _ends(low: float | None, high: float | None) -> str:
    return "" if low is None or pd.isna(low) else f" [{_short(low)}, {_short(high)}]"


def _short(value: float) -> str:
    return f"{round(value, 3) + 0.0:.3f}"  # no nought below 0


def _searched() -> list[str]:
    """The schemes whose whole interval is below the baseline's cost, task by task: their shares over all settings."""
    rows, made = pd.read_csv(replays.REPLAYED), []
    for task, there in rows.groupby("task", sort=False):
        below = there[there["high"] < 1].sort_values("share")
        shares = [_over_settings(scheme, of_scheme) for scheme, of_scheme in below.groupby("scheme", sort=False)]
        made.append(f"on {task} {_list(shares) or 'nothing'}")
    return [f"by TPE, alone or with a stopper, what saves is {made[0]}", *made[1:]]


def _over_settings(scheme: Any, rows: pd.DataFrame) -> str:
    """A scheme's lowest and highest share, and the settings under which it is not shown to save."""
    missed = [setting for setting in replays.SETTINGS if setting not in set(rows["setting"])]
    text = f"{scheme} ({rows['share'].min():.2f} to {rows['share'].max():.2f}"
    return f"{text}; not under {_list(missed)})" if missed else f"{text})"
