"""Two arms of one task: what a scheme saves against the baseline."""

import numpy as np

from study import cost
from study.answers.measured import FEWEST_TYPICAL, Measured
from study.answers.spent import saving
from study.cost import NotDefined


def compare(scheme: Measured, base: Measured | None) -> None:
    """Fill in both savings against the baseline's arm of the same task."""
    result = scheme.result
    if base is None:
        why = "no baseline was given" if scheme.options.baseline is None else "the baseline did not run on this task"
        scheme.note("saving_to_target and saving_at_budget are", NotDefined(why))
        return
    result.saving_to_target.unit = scheme.options.unit or ""
    result.saving_at_budget.unit = scheme.options.unit or ""
    _to_target(scheme, base)
    dependent = next((one.trials.depends for one in (base, scheme) if one.trials.depends), "")
    if dependent:
        scheme.note("saving_at_budget is", NotDefined(dependent))
    else:
        _at_budget(scheme, base)
        _improvement(scheme, base)


def _to_target(scheme: Measured, base: Measured) -> None:
    found = saving(base.spent, scheme.spent, scheme.options.unit or "")
    if isinstance(found, NotDefined):
        scheme.note("saving_to_target is", found)
    else:
        scheme.result.saving_to_target = found


def _at_budget(scheme: Measured, base: Measured) -> None:
    ours, theirs = (cost.Arm(one.trials.score, one.trials.full) for one in (base, scheme))
    n, options, quantity = base.trials.score.size, scheme.options, scheme.result.saving_at_budget
    budget = options.budget or max(1, min(16, n // cost.TRIALS_A_CHOICE))
    found = cost.saving_at_budget(ours, theirs, budget, options.tolerance)
    if isinstance(found, NotDefined):
        scheme.note("saving_at_budget is", found)
        return
    quantity.estimate, quantity.bound = found
    scheme.result.budget = budget
    scheme.result.notes.append(
        f"saving_at_budget is for the baseline's best of {budget}, tolerance {options.tolerance:g}"
    )
    scheme.result.log_efficiency = _log_efficiency(scheme, base, budget)
    if scheme is base:
        quantity.low = quantity.high = 1.0
        return
    ends = cost.saving_at_budget_interval(
        ours, theirs, budget, scheme.stream("budget"), options.tolerance, scheme.floor, options.draws
    )
    if isinstance(ends, NotDefined):
        scheme.note("the interval of saving_at_budget is", ends)
    else:
        quantity.low, quantity.high = ends


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
