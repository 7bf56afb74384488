"""Answers over the tasks that have a target: a scheme's share of the baseline's cost, and its performance profile."""

from collections.abc import Mapping, Sequence

import numpy as np

from study import cost
from study.answers.arms import Trials
from study.answers.choice import Tuned
from study.answers.measured import Options, stream
from study.answers.results import Result, ShareOverTasks
from study.answers.spent import level_of_all
from study.cost import Cost, Draws, NotDefined, Outcomes

Tasks = Mapping[str, Mapping[str, Tuned]]  # task → scheme → its trials, and what they spent

ALIKE = "it tried the same configurations on several tasks: their shares are drawn together for share_over_tasks"


def tell_over_tasks(results: list[Result], tuned: Tasks, options: Options) -> None:
    """Fill in what every scheme's results say over all tasks that have a target.

    Args:
        results: of all tasks; each scheme's are told the same.
        tuned: the trials and costs behind them.
        options: the baseline, the unit of costs, the seed and number of draws.
    """
    tasks = list(dict.fromkeys(result.task for result in results if result.target is not None))
    _tell_profile(results, tasks)
    if len(tasks) < 2 or not options.baseline:
        return
    missing = _missing(options.baseline, tuned, tasks)
    schemes = list(dict.fromkeys(result.scheme for result in results))
    draws = {} if missing else {scheme: _draws(scheme, tuned, tasks, options) for scheme in schemes}
    told = {
        scheme: ShareOverTasks(unit=options.unit or "", tasks=tasks, against=options.baseline, missing=missing)
        for scheme in schemes
    }
    compared = sum(all(scheme in tuned[task] for task in tasks) for scheme in schemes) - 1
    for scheme in () if missing else schemes:
        _fill(told[scheme], scheme, tuned, draws, compared)
    for result in results:
        result.share_over_tasks = told[result.scheme]
        arms = [tuned[task][result.scheme].trials for task in tasks if result.scheme in tuned[task]]
        result.notes += [ALIKE] if not missing and alike(arms) else []


def _missing(baseline: str, tuned: Tasks, tasks: Sequence[str]) -> str:
    """Say on which task the baseline has no cost to share; empty where it has one on all."""
    for task in tasks:
        base = tuned[task].get(baseline)
        if base is None:
            return f"the baseline {baseline} did not run on {task}"
        if isinstance(base.spent.cost, NotDefined):
            return f"the cost of {baseline} is not defined on {task}"
        if base.spent.censored:
            times = "in some of its searches " if base.trials.hit.any() else ""
            return f"the baseline {baseline} never reached the target {times}on {task}"
    return ""


def _fill(told: ShareOverTasks, scheme: str, tuned: Tasks, draws: Mapping[str, list[Draws]], compared: int) -> None:
    """Fill in the share of one scheme, or why there is none."""
    shares = []
    for task in told.tasks:
        one, base = tuned[task].get(scheme), tuned[task][told.against].spent.cost
        spent = NotDefined("it did not run") if one is None else one.spent.cost
        share = cost.share_to_target(base, spent) if isinstance(spent, Cost) and isinstance(base, Cost) else spent
        if not isinstance(share, cost.Share):
            told.missing = f"{scheme} has no share on {task}: {share.because}" if isinstance(share, NotDefined) else ""
            return
        shares.append(share)
    found = cost.share_over_tasks(shares)
    if isinstance(found, NotDefined):
        told.missing = found.because
        return
    told.estimate, told.bound = found
    if scheme == told.against:
        told.low = told.high = 1.0
    elif len(draws[scheme]) == len(draws[told.against]) == len(told.tasks):
        pair = draws[told.against], draws[scheme]
        told.low, told.high = cost.share_over_tasks_interval(*pair, found.value)
        told.judge(cost.share_over_tasks_interval(*pair, found.value, level_of_all(compared)))


def _draws(scheme: str, tuned: Tasks, tasks: Sequence[str], options: Options) -> list[Draws]:
    """Draws of a scheme's cost, task by task; together where it tried the same configurations on several."""
    here = [tuned[task][scheme] for task in tasks if scheme in tuned[task]]
    arms = [one.trials for one in here]
    if not alike(arms):
        return [one.spent.draws for one in here if one.spent.draws is not None]
    outcomes = [
        Outcomes(arm.key, arm.charged, arm.hit, float(arm.full.max()) if arm.dearest is None else arm.dearest)
        for arm in arms
    ]
    return cost.joint_cost_draws(outcomes, stream(options.seed, arms[0], "cost over tasks"), options.draws)


def alike(arms: Sequence[Trials]) -> bool:
    """Tell if a scheme tried the same configurations on several tasks: as its study says, or as its rates show.

    Args:
        arms: the scheme's trials, one entry a task.
    """
    if any(arm.depends for arm in arms):
        return False  # whole searches are drawn, not trials
    if sum(arm.same_points for arm in arms) > 1:
        return True
    return any(_same_rates(arm, other) for place, arm in enumerate(arms) for other in arms[:place])


def _same_rates(arm: Trials, other: Trials) -> bool:
    """Tell if trials of equal names have equal rates on two tasks, and not all one rate."""
    if arm.lr is None or other.lr is None:
        return False
    _, ours, theirs = np.intersect1d(arm.key, other.key, return_indices=True)
    rates = arm.lr[ours]
    return bool(np.unique(rates).size > 1 and np.array_equal(rates, other.lr[theirs]))


def _tell_profile(results: list[Result], tasks: Sequence[str]) -> None:
    """Performance profile scores, the expected cost to the target being the time."""
    schemes = list(dict.fromkeys(result.scheme for result in results))
    aimless = sorted({result.task for result in results} - set(tasks))
    times = np.full((len(schemes), len(tasks)), np.inf)
    told = set()
    ran = {scheme: {result.task for result in results if result.scheme == scheme} for scheme in schemes}
    for result in results:
        if result.target is not None and result.expected_cost.estimate is not None:
            told.add(result.scheme)
            if not result.censored:
                times[schemes.index(result.scheme), tasks.index(result.task)] = result.expected_cost.estimate
    scores = cost.profile_scores(times) if told else np.array([])
    for result in results:
        if result.scheme in told:
            result.profile_score = float(scores[schemes.index(result.scheme)])
            if aimless:
                result.notes.append(f"profile_score leaves out {', '.join(aimless)}, for want of a target")
            absent = [task for task in tasks if task not in ran[result.scheme]]
            if absent:
                result.notes.append(f"profile_score counts as missed where it did not run: {', '.join(absent)}")
        elif len({result.task for result in results}) > 1:
            result.notes.append(f"profile_score is {NotDefined('no expected cost is')}")
