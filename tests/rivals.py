"""Tables of the large answer that no page has: other horizons, the papers' claims, agreement with the first answer."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import pandas as pd

from study import cost
from study.answers.asked import ReportOptions
from study.answers.results import JudgedShare, Result
from study.answers.spent import share
from study.answers.study import Answers, answers_of
from study.cost import NotDefined
from study.cost.quantities import unbounded
from study.cost.shares import share_draws
from study.records import material, own
from study.records.material import Material
from study.reports.terminal import TextTable

RESULTS = Path(__file__).parents[1] / "study" / "results"
UNIT = "passes"
Targets: TypeAlias = tuple[tuple[str, float], ...]  # by task, '' for all
FAR: Targets = (
    ("mnist_logreg", 0.92075),
    ("fashion_mlp", 0.8804),
    ("cifar10_preresnet_small", 0.37175),
    ("mnist_lenet5", 0.96995),
    ("shakespeare_transformer", 3.75781),
)
"""Of the tasks that were run; the median of 20 seeds of the tuned baseline, see study/studies/rivals.yaml."""
AT_HALF: Targets = (("mnist_logreg", 0.92), ("fashion_mlp", 0.8647))
AT_DOUBLE: Targets = (("mnist_logreg", 0.9207), ("fashion_mlp", 0.8885))
"""The same at half of the horizon and at twice it; see the studies of these names."""
FREE = "prodigy", "d-adaptation", "dog", "mechanic"  # those that search nothing


class Claim(NamedTuple):
    """One thing that a paper says of its scheme, as a comparison of two arms."""

    words: str
    source: str
    scheme: str
    other: str


CLAIMS = [
    Claim("Curvature rescaling needs less tuning than the rate of its base", "arXiv 2210.14520", "curvature", "sgd"),
    Claim("CProp needs less tuning than its base", "arXiv 1912.11493", "cprop", "sgd"),
    Claim("CProp on Adam needs less tuning than Adam", "arXiv 1912.11493", "cprop-adam", "adam-cosine"),
    Claim("CProp's gain is more than that of its mean rate", "its control", "cprop", "cprop-control"),
    Claim("Hypergradients make the first rate matter less", "arXiv 1703.04782", "sgd-hd", "sgd"),
    Claim("Two levels of hypergradients beat one", "arXiv 2008.07277", "global-layer", "sgd-hd"),
    Claim("Schedule-free AdamW beats AdamW with a schedule", "arXiv 2405.15682", "schedule-free", "adamw-wsd"),
    Claim("Prodigy beats Adam, tuned", "arXiv 2306.06101", "prodigy", "adam-cosine"),
    Claim("D-Adaptation beats Adam, tuned", "arXiv 2301.07733", "d-adaptation", "adam-cosine"),
    Claim("DoG beats SGD, tuned", "arXiv 2302.12022", "dog", "sgd"),
    Claim("Mechanic beats what it tunes", "arXiv 2306.00144", "mechanic", "momentum-cosine"),
    Claim("MoMo-Adam needs less tuning than Adam", "arXiv 2305.07583", "momo-adam", "adam-cosine"),
    Claim("SPS needs less tuning than SGD", "arXiv 2002.10542", "sps", "sgd"),
    Claim("Muon on hidden matrices beats AdamW on all", "Jordan et al. 2024", "muon-adamw", "adamw-wsd"),
    Claim("SOAP beats Adam", "arXiv 2409.11321", "soap", "adam-cosine"),
    Claim("Lion beats Adam", "arXiv 2302.06675", "lion", "adam-cosine"),
]
"""Told before any block was run; what a paper says of speed or quality is asked of the tuning cost here."""
SETTINGS = [
    Claim("β searched beside the first rate saves", "diagnoses.yaml", "hd-searched", "hd-paper"),
    Claim("the same, multiplicative, saves", "diagnoses.yaml", "hd-multiplicative", "hd-paper"),
    Claim("the same, on Adam's direction, saves", "diagnoses.yaml", "hd-adam", "hd-paper"),
    Claim("a curvature averaged over a hundred steps saves", "diagnoses.yaml", "curvature-averaged", "curvature-paper"),
    Claim("annealing to nothing, not to a half, saves", "diagnoses.yaml", "curvature-annealed", "curvature-paper"),
    Claim("RMSProp's direction saves", "diagnoses.yaml", "curvature-rmsprop", "curvature-paper"),
]
"""The settings that were named before they were run, against those of the papers."""


@cache
def shipped(record: str) -> material.Material:
    """A record in study/results, by its file or folder there."""
    return material.of_file(RESULTS / record)


@cache
def answers(record: str, targets: Targets = ()) -> list[Answers]:
    """The answers of a shipped record, the same for all who ask.

    Args:
        record: its file or folder in study/results.
        targets: in place of the tasks' own: of all of them, or none.

    Raises:
        ValueError: where a task is left out, whose own target would be taken for the other.
    """
    told = shipped(record)
    left = set(told.record["task"]) - dict(targets).keys()
    if targets and "" not in dict(targets) and left:
        raise ValueError(f"{record} has {', '.join(sorted(left))}, for which no such target is given")
    return answers_of(told, ReportOptions(target=dict(targets)))


def pair(at: Answers, one: str, other: str, compared: int) -> JudgedShare | None:
    """The cost of tuning `one` as a share of that of `other`; None where no side can say.

    Args:
        at: the answers to a task with a target.
        one: a scheme.
        other: a scheme.
        compared: how many such pairs are looked at together.
    """
    tuned = at.tuned.get(UNIT, {})
    if not {one, other} <= tuned.keys():
        return None
    found = share(tuned[other].spent, tuned[one].spent, UNIT, compared)
    return None if isinstance(found, NotDefined) or found.estimate is None else found


def told_apart(at: Answers, schemes: Iterable[str]) -> dict[tuple[str, str], str]:
    """The pairs of schemes of which one is shown to cost less: the cheaper one, by pair.

    Args:
        at: the answers to a task with a target.
        schemes: of which every two that ran are compared, each at 1 − .05/m, m the pairs.
    """
    pairs = list(combinations(sorted({*schemes} & at.tuned.get(UNIT, {}).keys()), 2))
    found = {(one, other): pair(at, one, other, len(pairs)) for one, other in pairs}
    shown = {names: each.verdict for names, each in found.items() if each and each.verdict in ("saves", "costs")}
    return {(one, other): one if seen == "saves" else other for (one, other), seen in shown.items()}


def horizons(at: Mapping[str, Answers], schemes: Sequence[str]) -> TextTable:
    """The same schemes on one task, trained shorter and longer: shares of the baseline's cost, a column a horizon.

    The remarks count the pairs whose order is shown at two horizons or more, and name those where it turns round.

    Args:
        at: the answers by the horizon's name, each with the target of its own.
        schemes: a row each; some may not have run at all of them.
    """
    told = [(answers.baseline, {one.scheme: one for one in answers.results}) for answers in at.values()]
    rows = [
        [name, *(share_text(results[name], name == baseline) if name in results else "—" for baseline, results in told)]
        for name in schemes
    ]
    cheaper = [told_apart(answers, schemes) for answers in at.values()]
    both = [(one, other, names) for one, other in combinations(cheaper, 2) for names in one.keys() & other.keys()]
    flipped = sorted({" and ".join(names) for one, other, names in both if one[names] != other[names]})
    words = f"the order of {len({names for *_, names in both})} pairs is shown at two horizons or more"
    turned = f"it turns round for {', '.join(flipped)}" if flipped else "it turns round for none"
    (task,) = {answers.task for answers in at.values()}
    return TextTable("", [f"on {task}", *at], rows, [f"On {task} {words}; {turned}."])


def over_horizons() -> list[TextTable]:
    """A table a task that ran at several horizons, each with the far target of its own."""
    half, full = answers("rivals-half.parquet", AT_HALF), answers("rivals", FAR)
    at = {"half": half, "full": full, "double": answers("rivals-double", AT_DOUBLE)}
    by_task = {horizon: {one.task: one for one in every} for horizon, every in at.items()}
    schemes = [one.scheme for one in half[0].results]
    ran = [{horizon: told[task] for horizon, told in by_task.items() if task in told} for task in by_task["full"]]
    return [horizons(there, schemes) for there in ran if len(there) > 1]


def share_text(result: Result, baseline: bool) -> str:
    """A scheme's share of the baseline's cost with its interval, and its hits of how many trials.

    Args:
        result: of the scheme.
        baseline: True of the baseline's own, which has no share.
    """
    told = result.share_to_target
    text = "baseline" if baseline else "—" if told.estimate is None else _share(told)
    return f"{text}; {result.hits} of {result.n}"


def claims(every: Iterable[Answers], asked: Sequence[Claim] = CLAIMS) -> TextTable:
    """The claims, and what is seen of them here, a row a claim.

    A claim holds where its scheme is shown to cost less on one task at least and more on none, does not where it is the
    other way round, depends on the task where both are shown, and cannot be told else; every interval at 1 − .05/m, m
    the tasks of the claim.

    Args:
        every: the answers of all tasks.
        asked: the claims.
    """
    raced = [one for one in every if one.target is not None]
    rows = []
    for claim in asked:
        there = [one for one in raced if {claim.scheme, claim.other} <= one.tuned.get(UNIT, {}).keys()]
        found = {one.task: pair(one, claim.scheme, claim.other, len(there)) for one in there}
        told = {task: each for task, each in found.items() if each}
        figures = "; ".join(f"{task} {_share(each)}" for task, each in told.items())
        if told:
            rows.append([claim.words, claim.source, verdict([each.verdict for each in told.values()]), figures])
    return TextTable("", ["claim", "source", "here", "cost against the other's"], rows, [])


def verdict(seen: Sequence[str]) -> str:
    """The words for what is seen of a claim, task by task.

    >>> verdict(["unclear"]), verdict(["saves", "unclear"]), verdict(["costs"]), verdict(["saves", "costs"])
    ('cannot be told', 'holds on 1 of 2 tasks', 'does not hold on 1 of 1 tasks', 'depends on the task')
    """
    saves, costs = (sum(one == what for one in seen) for what in ("saves", "costs"))
    if saves and costs:
        return "depends on the task"
    words = "holds" if saves else "does not hold" if costs else ""
    return f"{words} on {saves or costs} of {len(seen)} tasks" if words else "cannot be told"


def first_trials(every: Sequence[Answers]) -> TextTable:
    """The trials of schemes that search nothing: how many reach the target, with Clopper and Pearson's interval.

    every: the answers of all tasks.
    """
    rows = {name: [name, *["—"] * len(every)] for name in FREE}
    for place, at in enumerate(every):
        for result in at.results:
            if result.scheme in rows and result.hits is not None:
                low, high = cost.hit_probability_interval(result.n, result.hits)
                rows[result.scheme][place + 1] = f"{result.hits} of {result.n} [{low:.2f}, {high:.2f}]"
    return TextTable("", ["nothing to tune", *(at.task for at in every)], list(rows.values()), [])


def agreement(old: Answers, new: Answers) -> dict[str, JudgedShare]:
    """The ratio of a scheme's two shares of the baseline's cost, of two studies that ran apart, by scheme.

    Args:
        old: the answers of one to a task.
        new: those of the other to the same target, from the same record times.

    Returns:
        The ratios; none of a scheme of which both shares are bounds on one side.
    """
    made = {}
    for name in old.tuned[UNIT].keys() & new.tuned[UNIT].keys() - {old.baseline}:
        shares: Any = [pair(at, name, old.baseline, 1) for at in (old, new)]
        spent: Any = [[at.tuned[UNIT][one].spent.draws for one in (old.baseline, name)] for at in (old, new)]
        bound = bound_of_ratio(shares[1].bound, shares[0].bound)
        if bound is not None:
            ratio = shares[1].estimate / shares[0].estimate
            ends = cost.ends(*share_draws(*(share_draws(*draws) for draws in spent)), ratio)
            made[name] = JudgedShare(ratio, *ends, bound=bound)
    return made


def bound_of_ratio(above: str, below: str) -> str | None:
    """The bound that a ratio is of two numbers that may be bounds; None where nothing is known of it.

    Args:
        above: of the numerator, `=` where it is the number itself, `>` where it is at least that, `<` at most.
        below: of the denominator.

    >>> bound_of_ratio("=", "="), bound_of_ratio("=", ">"), bound_of_ratio(">", "<"), bound_of_ratio(">", ">")
    ('=', '<', '>', None)
    """
    sides = {above, {">": "<", "<": ">", "=": "="}[below]} - {"="}
    return None if len(sides) > 1 else next(iter(sides), "=")


def agreements(old: str, new: str) -> TextTable:
    """The ratios of two studies' shares, a row a scheme and a column a task that both asked, at one target.

    Args:
        old: the file or folder of the one in study/results.
        new: of the other.
    """
    told = [shipped(record) for record in (old, new)]
    steps = [{task: set(rows["steps"]) for task, rows in one.record.groupby("task")} for one in told]
    common = {task: steps[0][task] & steps[1][task] for task in steps[0].keys() & steps[1].keys()}
    names = {*own.schemes(told[0].record)}  # all else of the second study is nobody's here
    both = [one.record[own.schemes(one.record).isin(names)] for one in told]
    asked = [replace(one, record=at_times(rows, common)) for one, rows in zip(told, both, strict=True)]
    every = [{task: _alone(one, rows) for task, rows in one.record.groupby("task", sort=False)} for one in asked]
    found = {task: agreement(*(of_study[task] for of_study in every)) for task in every[0].keys() & every[1].keys()}
    schemes = [one.scheme for one in next(iter(every[0].values())).results]
    tasks = [task for task in every[0] if task in found]
    rows = [[name, *(_share(found[task][name]) if name in found[task] else "—" for task in tasks)] for name in schemes]
    ratios = [one for of_task in found.values() for one in of_task.values()]
    agree = sum(one.low <= 1 <= one.high for one in ratios)
    words = f"{agree} of {len(ratios)} intervals hold 1"
    return TextTable(
        "", ["second study over the first", *tasks], [row for row in rows if set(row[1:]) != {"—"}], [words]
    )


def _alone(material: Material, rows: pd.DataFrame) -> Answers:
    """The answers to one task, without what is asked of several together."""
    (answers,) = answers_of(replace(material, record=rows), ReportOptions())
    return answers


def at_times(record: pd.DataFrame, steps: Mapping[str, set[float]]) -> pd.DataFrame:
    """The records of a table at these steps of each task, and the last of every trial.

    Args:
        record: a row a record of a trial.
        steps: task → the steps after which both studies recorded; rows of other tasks are left out.
    """
    common = pd.Series([row.steps in steps.get(row.task, ()) for row in record.itertuples()], record.index, dtype=bool)
    last = ~record.duplicated(["arm", "repetition", "k", "seed_number"], keep="last") & record["task"].isin([*steps])
    return record[last | common].reset_index(drop=True)


def _share(told: JudgedShare) -> str:
    return interval_text(told.estimate, told.low, told.high, told.bound)


def interval_text(estimate: Any, low: float | None, high: float | None, bound: str) -> str:
    """A share with its interval, to three digits.

    Args:
        estimate: the share.
        low: of its interval.
        high: likewise; None or infinite where it has no end.
        bound: of the share, `=` where it is the share itself.

    >>> interval_text(0.5, 0.25, None, ">")
    '≥ 0.5 [0.25 – ∞]'
    """
    sign = {"=": "", "<": "≤ ", ">": "≥ "}[bound]
    return f"{sign}{estimate:.3g} [{unbounded(low, '.3g')} – {unbounded(high, '.3g')}]"
