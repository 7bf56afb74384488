"""From a table to answers: what each scheme's tuning cost on each task, against the baseline.

One `study.answers.results.Result` a (task, scheme); its `as_json()` is the object the command writes. What is not
defined is null there, and the sentence that says why stands in `notes`. No command line here: the report asks
the same.
"""

import math
from dataclasses import replace
from itertools import chain

import pandas as pd
from pandas.api.types import is_numeric_dtype

from study import cost
from study.answers.arms import TRIALS, Trials, arms
from study.answers.choice import Tuned
from study.answers.compared import compare
from study.answers.knowledge import tell_known
from study.answers.measured import Measured, Options, of_each
from study.answers.over_tasks import tell_over_tasks
from study.answers.results import Flag, Result
from study.records.question import Question
from study.records.trials import trials
from trainables.refusal import Refusal, unknown

__all__ = ["Options", "measured", "summarize"]


def summarize(table: pd.DataFrame, options: Options) -> list[Result]:
    """One result a (task, scheme) of a validated table (`study.records.table`), in order of appearance.

    Args:
        table: the table.
        options: how its scores are read, against whom, at what budget.

    Raises:
        Refusal: for a baseline or a scheme in `includes` that is not there, and for a target nobody can be on either
            side of.
    """
    check_levels(table, options.question)
    options = replace(options, unit=options.unit or _unit(table))
    found = arms(trials(table, options.question), options.question)
    found = [arm.in_unit(TRIALS) for arm in found] if options.unit == TRIALS else found
    schemes = list(dict.fromkeys(arm.scheme for arm in found))
    if options.baseline is not None and options.baseline not in schemes:
        raise unknown("baseline", options.baseline, schemes)
    for name in {*options.includes, *chain(*options.includes.values())} - {*schemes}:
        raise unknown("scheme in --includes", name, schemes)
    _tell_the_order(found, table)
    results, tuned = [], {}
    for task in dict.fromkeys(arm.task for arm in found):
        here = measured([arm for arm in found if arm.task == task], options)
        results += [one.result for one in here]
        tuned[task] = {one.trials.scheme: Tuned(one.trials, one.spent) for one in here}
    tell_over_tasks(results, tuned, options)
    return results


def measured(here: list[Trials], options: Options) -> list[Measured]:
    """The arms of one task, each with its result: what its trials say, against the baseline and against each other.

    Args:
        here: the arms.
        options: how scores are read, against whom, at what budget, in which unit.
    """
    made = of_each(lambda arm: Measured(arm, options), here)
    base = next((one for one in made if one.trials.scheme == options.baseline), None)
    of_each(lambda one: compare(one, base, len(made) - 1), made)
    tell_known(made, base)
    _flag_inclusions(made, options)
    return made


def _tell_the_order(found: list[Trials], table: pd.DataFrame) -> None:
    """Note what is taken for granted of the trials of searches that learn, where names say nothing of their order."""
    for arm in found:
        if arm.depends and arm.searches > 1 and not is_numeric_dtype(table["trial"]):
            arm.notes.append("the trials of a search are taken to have run in the order of the table's rows")


def _unit(table: pd.DataFrame) -> str:
    """What costs are counted in where nobody says: the cost column, else epochs, else trials."""
    return next((unit for name, unit in (("cost", "cost"), ("epoch", "epochs")) if name in table), "trials")


def check_levels(table: pd.DataFrame, question: Question) -> None:
    """Refuse levels for tasks that are not there, and a target nobody can be on either side of.

    Args:
        table: with a column task.
        question: whose levels are checked.

    Raises:
        Refusal: for a level that is none.
    """
    tasks = [str(task) for task in table["task"].drop_duplicates()]
    for name in ("target", "chance", "dearest"):
        levels = getattr(question, name)
        for task in levels if isinstance(levels, dict) else ():
            if task and task not in tasks:
                raise unknown(f"task in --{name}", task, tasks)
    for task in tasks:
        target, chance = question.of("target", task), question.of("chance", task)
        dearest = question.of("dearest", task)
        if dearest is not None and not 0 < dearest < math.inf:
            raise Refusal(f"no trial costs at most {dearest}: --dearest must be positive and finite")
        for name, value in (("target", target), ("chance", chance)):
            if value is not None and not math.isfinite(value):
                raise Refusal(f"nobody can be on either side of a {name} of {value}: --{name} must be finite")
        if target is not None and chance is not None and question.sign() * (target - chance) <= 0:
            better = "above" if question.mode == "max" else "below"
            raise Refusal(
                f"everybody reaches a target of {target} by chance, which is {chance}: with "
                f"--mode {question.mode} the target must be {better} it"
            )


def _flag_inclusions(here: list[Measured], options: Options) -> None:
    """Flag a scheme that loses to one it contains, at the largest k both have."""
    by_name = {one.trials.scheme: one for one in here}
    for general, specials in options.includes.items():
        for special in specials:
            if general in by_name and special in by_name:
                pair = by_name[general], by_name[special]
                shared = set(pair[0].result.expected_best) & set(pair[1].result.expected_best)
                bests = [one.sign * one.result.expected_best[max(shared)] for one in pair] if shared else [0.0, 0.0]
                if cost.violates_inclusion(bests[0], bests[1], options.tolerance):
                    loses = f"{general} contains {special} and loses to it at the best of {max(shared)}"
                    flag = Flag("expected_best", f"{loses}: a bug, or too small a budget")
                    pair[0].result.flags.append(flag)
