"""From a record to answers, task by task: what every scheme cost, in every unit, and what that is worth."""

from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits

from study.answers import defaults, over_time
from study.answers import trials as of_trials
from study.answers.arms import TRIALS, arms
from study.answers.asked import ReportOptions
from study.answers.choice import Choice, Tuned, choices
from study.answers.configurations import Configurations, configurations
from study.answers.grids import Grid, grids
from study.answers.importance import Importance, importances
from study.answers.measured import Measured, Options
from study.answers.over_tasks import tell_over_tasks
from study.answers.results import Flag, JudgedShare, Quantity, Result
from study.answers.spent import Spent, share
from study.answers.summary import check_levels, measured
from study.answers.transfer import Transfer, transfers
from study.cost import NotDefined
from study.records import own
from study.records.curves import curves
from study.records.ended import best_of, ended, has_scores
from study.records.material import Level, Material, level_of, schemes_of
from study.records.prices import GRADIENTS
from study.records.question import Question
from study.records.trials import of_curves
from trainables.refusal import unknown

UNITS = ["passes", "steps", "seconds", "flops", TRIALS]  # and gradients, where an arm's price was measured
UNTOLD = Spent(NotDefined("a trial does not tell what it used"))
FEW = 5  # hits: fewer make an interval wide, and its ends depend on single trials


@dataclass(frozen=True)
class Paid:
    """The cost up to the target in one unit, and that cost as a share of the baseline's."""

    cost: Quantity = field(default_factory=Quantity)
    share: JudgedShare = field(default_factory=JudgedShare)


@dataclass(frozen=True)
class Answers:
    """Everything that a page says of one task."""

    task: str
    metric: str
    mode: str
    target: float | None
    baseline: str
    unit: str
    results: list[Result]  # one a scheme; none where no trial was validated
    paid: dict[str, dict[str, Paid]]  # scheme → unit → what it paid
    regret: dict[str, float | NotDefined]  # scheme → what its default loses
    price: dict[str, tuple[float, float, float]]  # scheme → seconds a step, × the baseline's
    trials: pd.DataFrame  # one row a trial
    best: pd.DataFrame  # the best trial of every scheme
    rates: pd.DataFrame  # the rates that those used
    lines: pd.DataFrame  # what their configurations recorded over time
    curves: pd.DataFrame = field(default_factory=pd.DataFrame)  # the scores of every trial, record by record
    grids: list[Grid] = field(default_factory=list)  # of the arms whose trials are a grid over rate and decay
    configurations: list[Configurations] = field(default_factory=list)  # of arms that search several hyper-parameters
    importances: list[Importance] = field(default_factory=list)  # of arms that search several hyper-parameters
    transfers: list[Transfer] = field(default_factory=list)  # of schemes with the same configurations on several tasks
    tuned: dict[str, dict[str, Tuned]] = field(default_factory=dict)  # unit → scheme → its trials and their cost
    choices: list[Choice] = field(default_factory=list)  # the schemes to use; none where no target was reached
    others: dict[str, "Answers"] = field(default_factory=dict)  # unit → the same, costs up to the target told in that

    @property
    def in_units(self) -> dict[str, "Answers"]:
        """These answers in every unit that their record tells, in the unit that was asked for first."""
        return {self.unit: self, **self.others}

    def in_unit(self, unit: str) -> "Answers":
        """The same answers with costs up to the target, shares of them and the schemes to use in another unit."""
        told = []
        for result in self.results:
            own = Paid(result.expected_cost, result.share_to_target)  # for want of a target, in no unit
            one = self.paid[result.scheme].get(unit, Paid()) if self.paid else own
            told.append(replace(result, expected_cost=one.cost, share_to_target=one.share, notes=[*result.notes]))
        chosen = choices(self.tuned.get(unit, {}), unit)
        return replace(self, unit=unit if self.paid else self.unit, results=told, choices=chosen, others={})


@threadpool_limits.wrap(limits=1, user_api="blas")  # products this small cost more to share out than to compute
def answers_of(material: Material, asked: ReportOptions) -> list[Answers]:
    """The answers to every task of a record: what each scheme cost, and what it saves.

    Args:
        material: the record, and what is known beside it.
        asked: against whom, to which target, in which unit.

    Returns:
        One entry a task, in order of appearance; none where no trial has ended.

    Raises:
        Refusal: where a target is given for a task, or a baseline, that the record does not have.
    """
    record = material.record
    tasks = [] if record.empty else list(dict.fromkeys(ended(record)["task"]))
    if not tasks:
        return []
    for task in asked.target:
        if task and task not in tasks:
            raise unknown("task in --target", task, tasks)
    order = schemes_of(material)
    baseline = _baseline(material, asked, order)
    made = []
    for task in tasks:
        here: Any = record[record["task"] == task]
        ran = set(own.schemes(ended(here)))
        first = baseline or next(scheme for scheme in order if scheme in ran)
        made.append(_of_task(material, here, task, first, [scheme for scheme in order if scheme in ran], asked))
    if len(made) > 1:
        made = _with_transfers(made, material)
    _tell_over_tasks(made, asked)
    _tell_in_units(made, asked)
    return made


def _tell_over_tasks(made: list[Answers], asked: ReportOptions) -> None:
    """Fill in what is said of all tasks; no share where they do not have one baseline."""
    bases = {one.baseline for one in made if one.target is not None}
    options = Options(
        baseline=bases.pop() if len(bases) == 1 else None, unit=asked.unit, seed=asked.seed, draws=asked.draws
    )
    tuned = {one.task: one.tuned.get(asked.unit, {}) for one in made}
    tell_over_tasks([result for one in made for result in one.results], tuned, options)


def _tell_in_units(made: list[Answers], asked: ReportOptions) -> None:
    """Fill in the same answers in every other unit, from the same draws; nothing where no task has a target."""
    for unit in dict.fromkeys(unit for one in made for unit in one.tuned):
        if unit != asked.unit and any(one.paid for one in made):
            there = [one.in_unit(unit) for one in made]
            _tell_over_tasks(there, replace(asked, unit=unit))
            for one, other in zip(made, there, strict=True):
                one.others[unit] = other


def _with_transfers(made: list[Answers], material: Material) -> list[Answers]:
    """The answers, each with what its schemes lose where they are tuned on the other tasks."""
    trials, modes = [one.trials for one in made], [one.mode for one in made]
    alike = len({(one.metric, one.mode) for one in made}) == 1
    found = transfers(trials, modes, material, alike=alike)
    return [replace(one, transfers=there) for one, there in zip(made, found, strict=True)]


def _baseline(material: Material, asked: ReportOptions, order: list[str]) -> str:
    """The scheme that was asked for, else the study file's; an arm may stand for its scheme."""
    record = material.record
    arms_of = dict(zip(record["arm"], own.schemes(record), strict=True))
    if asked.baseline and asked.baseline not in {*order, *arms_of}:
        raise unknown("baseline", asked.baseline, order)
    name = asked.baseline or material.baseline
    return arms_of.get(name, name)


def _of_task(
    material: Material, here: pd.DataFrame, task: str, baseline: str, order: list[str], asked: ReportOptions
) -> Answers:
    level = level_of(here, task)
    options = _options(level, task, baseline if baseline in order else None, asked)
    question, target = options.question, options.question.of("target", task)
    table = own.of_record(here, asked.unit, material.searched, material.same_points, material.prices)
    told = curves(table, question)
    every = of_curves(told, question)
    rows: Any = ended(of_trials.shown(every))
    best = best_of(rows, level.mode)
    if has_scores(rows):
        check_levels(table, question)
    found = measured(arms(every, question), options) if has_scores(rows) else []
    results = sorted((one.result for one in found), key=lambda result: order.index(result.scheme))
    for result in results:
        _flag(result, rows[rows["scheme"] == result.scheme], material)
    tuned, drawn = _tuned(found, asked.unit), configurations(here, rows, material)
    return Answers(
        task=task,
        metric=level.metric,
        mode=level.mode,
        target=target,
        baseline=baseline,
        unit=asked.unit,
        results=results,
        tuned=tuned,
        paid=_paid(tuned, baseline),
        regret=_regrets(material, here, rows, results, baseline, question.sign()),
        price=of_trials.step_price(rows, baseline),
        trials=rows,
        best=best,
        rates=of_trials.rates(here, best),
        lines=over_time.bands(here, best),
        curves=of_trials.shown_curves(told),
        grids=grids(here, level.mode, level.chance),
        configurations=drawn,
        importances=importances(drawn, level.mode),
        choices=choices(tuned.get(asked.unit, {}), asked.unit),
    )


def _options(level: Level, task: str, baseline: str | None, asked: ReportOptions) -> Options:
    """Settle for a task how scores are read, against whom, and in which unit."""
    target = asked.target.get(task, asked.target.get("", level.target))
    mode = "min" if level.mode == "min" else "max"
    question = Question(mode=mode, target=target, chance=level.chance, score_at="best")
    notes = level.notes if target == level.target else ()
    return Options(question, baseline, asked.budget, 0.0, asked.unit, asked.seed, asked.draws, notes=notes)


def _tuned(found: list[Measured], unit: str) -> dict[str, dict[str, Tuned]]:
    """Unit → scheme → its trials and their cost, of those with a target; the unit that was asked for first."""
    raced = {one.trials.scheme: one for one in found if one.paid}
    measured_too = [GRADIENTS] if any(GRADIENTS in one.trials.beside for one in found) else []
    return {
        each: {scheme: Tuned(one.trials.in_unit(each), one.paid.get(each, UNTOLD)) for scheme, one in raced.items()}
        for each in dict.fromkeys([unit, *UNITS, *measured_too])
    }


def _paid(tuned: dict[str, dict[str, Tuned]], baseline: str) -> dict[str, dict[str, Paid]]:
    """Scheme → unit → its cost, and that as a share of the baseline's."""
    made: dict[str, dict[str, Paid]] = {}
    for unit, found in tuned.items():
        base = found.get(baseline)
        for scheme, one in found.items():
            missing = NotDefined("the baseline did not run")
            paid = share(base.spent, one.spent, unit, len(found) - 1) if base else missing
            told = JudgedShare(unit=unit) if isinstance(paid, NotDefined) else paid
            made.setdefault(scheme, {})[unit] = Paid(one.spent.cost_quantity, told)
    return made


def _regrets(
    material: Material, here: pd.DataFrame, rows: pd.DataFrame, results: list[Result], baseline: str, sign: float
) -> dict[str, float | NotDefined]:
    """Against the baseline's expected best of all its trials."""
    base = next((result for result in results if result.scheme == baseline), None)
    tuned = base.expected_best.get(max(base.expected_best)) if base and base.expected_best else None
    arms_of = rows.drop_duplicates("scheme").set_index("scheme")["arm"]
    found: dict[str, float | NotDefined] = {}
    first = here.drop_duplicates(["arm", "repetition", "k", "seed_number"])
    for result in results:
        arm = str(arms_of[result.scheme])
        found[result.scheme] = defaults.regret(first, rows, arm, material.searched.get(arm), tuned, sign)
    return found


def _flag(result: Result, rows: Any, material: Material) -> None:
    """What weakens an arm's numbers, beside what its statistics have found already."""
    planned = sum(material.planned.get(arm, 0) for arm in set(rows["arm"]))
    failed = int((rows["status"] == "failed").sum())
    doubts = [
        ("n", planned > len(rows), f"{len(rows)} of {planned} trials have ended: the search is not finished"),
        ("n", failed > 0, f"{failed} failed three times and {'counts' if failed == 1 else 'count'} at chance"),
        ("hits", bool(result.hits) and (result.hits or 0) < FEW, "few hits: the interval is wide"),
        ("expected_cost", result.censored and not result.hits, "never reached: a lower bound"),
        ("expected_cost", result.censored and bool(result.hits), "missed by some searches: a lower bound"),
        ("diverged", bool((rows["status"] == "diverged").all()), "every trial diverged"),
    ]
    result.flags += [Flag(what, words) for what, true, words in doubts if true]
