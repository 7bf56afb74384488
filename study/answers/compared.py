"""Two arms of one task: what a scheme costs as a share of the baseline."""

import numpy as np

from study import cost
from study.answers.arms import Trials
from study.answers.measured import FEWEST_TYPICAL, Measured
from study.answers.spent import assumed, level_of_all, share
from study.cost import Draws, NotDefined


def compare(scheme: Measured, base: Measured | None, compared: int = 1) -> None:
    """Fill in both shares of the baseline's cost on the same task.

    Args:
        scheme: the arm whose result is filled in.
        base: the baseline's arm; None where it did not run on this task.
        compared: m, how many schemes are compared with it there.
    """
    result = scheme.result
    if base is None:
        why = "no baseline was given" if scheme.options.baseline is None else "the baseline did not run on this task"
        scheme.note("share_to_target and share_at_budget are", NotDefined(why))
        return
    result.share_to_target.unit = scheme.options.unit or ""
    result.share_at_budget.unit = scheme.options.unit or ""
    _to_target(scheme, base, compared)
    dependent = next((one.trials.depends for one in (base, scheme) if one.trials.depends), "")
    if dependent:
        scheme.note("share_at_budget is", NotDefined(dependent))
    else:
        _at_budget(scheme, base, compared)
        _improvement(scheme, base)


def _to_target(scheme: Measured, base: Measured, compared: int) -> None:
    found = share(base.spent, scheme.spent, scheme.options.unit or "", compared)
    if isinstance(found, NotDefined):
        scheme.note("share_to_target is", found)
    else:
        scheme.result.share_to_target = found


def _at_budget(scheme: Measured, base: Measured, compared: int) -> None:
    n, options, quantity = base.trials.score.size, scheme.options, scheme.result.share_at_budget
    budget = options.budget or max(1, min(16, n // cost.TRIALS_A_CHOICE))
    found = cost.share_at_budget(_sample(base.trials), _sample(scheme.trials), budget, options.tolerance)
    if isinstance(found, NotDefined):
        scheme.note("share_at_budget is", found)
        return
    quantity.estimate, quantity.bound = found
    scheme.result.budget = budget
    scheme.result.notes.append(
        f"share_at_budget is for the baseline's best of {budget}, tolerance {options.tolerance:g}"
    )
    scheme.result.log_efficiency = _log_efficiency(scheme, base, budget)
    if scheme is base:
        quantity.low = quantity.high = 1.0
        return
    drawn = _drawn_at_budget(scheme, base, budget)
    if isinstance(drawn, NotDefined):
        scheme.note("the interval of share_at_budget is", drawn)
    else:
        quantity.low, quantity.high = cost.ends(*drawn, found.value)
        quantity.judge(cost.ends(*drawn, found.value, level_of_all(compared)))
        _assume(scheme, base)


def _drawn_at_budget(scheme: Measured, base: Measured, budget: int) -> Draws | NotDefined:
    why = next((one.trials.spaced for one in (base, scheme) if one.trials.spaced is not None), None)
    if why is not None:
        return why
    ours, theirs = (_sample(one.trials) for one in (base, scheme))
    options, generator = scheme.options, scheme.stream("budget")
    return cost.share_at_budget_draws(ours, theirs, budget, generator, options.tolerance, scheme.floor, options.draws)


def _sample(trials: Trials) -> cost.Sample:
    return cost.Sample(trials.score, trials.full, trials.dearest)


def _assume(scheme: Measured, base: Measured) -> None:
    """Say what the interval takes for granted of the costs of both; where a target was given, that is said already."""
    if scheme.spent.assumed:
        return
    arms = (base.trials, scheme.trials)
    known = [one.dearest for one in arms if one.dearest is not None]
    seen, most = max(float(one.full.max()) for one in arms), max(known) if len(known) == len(arms) else None
    told = assumed("trial", seen, most, scheme.options.unit or "", "share_at_budget")
    scheme.result.notes += [told] if told else []


def _improvement(scheme: Measured, base: Measured) -> None:
    ours, theirs = scheme.trials.score, base.trials.score
    if np.isnan(ours).any() or np.isnan(theirs).any():
        return
    quantity = scheme.result.improvement
    quantity.estimate = cost.probability_of_improvement([ours], [theirs])
    if scheme is not base and min(ours.size, theirs.size) >= FEWEST_TYPICAL:
        drawn = cost.improvement_draws(ours, theirs, scheme.stream("improvement"), scheme.options.draws)
        quantity.low, quantity.high = cost.ends(*drawn, quantity.estimate)


def _log_efficiency(scheme: Measured, base: Measured, budget: int) -> float:
    curves = []
    for one in (base, scheme):
        score = np.sort(one.trials.score)
        most = min(score.size, 4 * budget)  # the clip at ±1 hides what lies beyond
        curves.append([float(cost.best_weights(score.size, k) @ score) for k in range(1, most + 1)])
    return cost.log_efficiency(curves[0][:budget], np.maximum.accumulate(curves[1]))
