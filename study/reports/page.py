"""One page: everything that is on it."""

from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from study.answers.results import Result
from study.answers.study import Answers
from study.figures import looks
from study.figures.style import COLOURS, STYLES
from study.plan.tasks import class_notes, label
from study.records import failures
from study.records.material import Material, schemes_of
from study.reports import (
    charts,
    grid_charts,
    grids,
    importance,
    knowledge,
    knowledge_sheet,
    prices,
    tables,
    terminal,
    transfer,
    units,
)
from study.reports.cells import Sheet
from study.reports.sections import published_sheets
from study.reports.sentences import Words, trials_text
from study.reports.units import InUnit
from trainables.price import Price

MARKS = {
    "o": "M9.5 5a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
    "s": "M10 2h6v6h-6z",
    "^": "M13 1l4 7.5h-8z",
    "D": "M13 .8l4.2 4.2-4.2 4.2-4.2-4.2z",
    "v": "M13 9l4-7.5h-8z",
    "P": "M11.7 1.5h2.6v2.2h2.2v2.6h-2.2v2.2h-2.6v-2.2h-2.2v-2.6h2.2z",
    "X": "M9.5 3l2-2 1.5 1.6L14.500 1l2 2L15 5l1.500 2-2 2L13 7.400 11.500 9l-2-2L11 5z",
}


@dataclass(frozen=True)
class TaskPart:
    """The part of a page about one task."""

    task: str
    mode: str  # of its scores, max or min
    baseline: str
    in_units: dict[str, InUnit]  # its sentence and what to do, by the unit: that of the page first
    known: list[Words]  # what knowing the rate changes, one sentence a scheme
    schemes: list[str]
    charts: list[charts.Shown]
    sheets: list[Sheet]
    remarks: list[str]
    trials: str  # as CSV
    prices: dict[str, list[Price]]  # scheme → what a step was measured to cost

    @property
    def label(self) -> str:
        """The task's name; of one's own, that of its class."""
        return label(self.task)

    @property
    def sentence(self) -> Words:
        """The task's answer, in the unit that was asked for."""
        return next(iter(self.in_units.values())).sentence

    @property
    def advice(self) -> Words:
        """The scheme to use, in that unit; empty where nothing follows."""
        return next(iter(self.in_units.values())).advice


@dataclass(frozen=True)
class Page:
    """The contents of a study's page."""

    name: str
    run: str  # where one trial is in MLflow; {} stands for its run's id
    question: str
    units: list[str]  # in which costs are told, that which was asked for first
    in_units: dict[str, InUnit]  # by the unit, the sentence over all tasks, empty where there is one
    progress: str  # how far a study is that is not complete
    counts: str
    failed: list[str]  # how many trainings failed, then a line an error
    waiting: list[str]  # schemes without a trial that ended
    parts: list[TaskPart]
    sheets: list[Sheet]  # over all tasks, and so are these
    charts: list[charts.Shown]
    swatches: dict[str, dict[str, Any]]
    reading: list[str]
    answers: list[Answers]

    @property
    def sentence(self) -> Words:
        """The sentence over all tasks in the unit that was asked for; empty where there is one task."""
        return next((one.sentence for one in self.in_units.values()), [])


def page(material: Material, every: list[Answers]) -> Page:
    """The contents of a study's page; it says so where there is nothing to say.

    Args:
        material: the record, and what is known beside it.
        every: the answers of all tasks.
    """
    order = schemes_of(material)
    look, in_units = looks(order), units.units_of(every)
    told = {scheme for answers in every for scheme in answers.trials["scheme"]}
    swatches = {
        scheme: {
            "colour": COLOURS.index(one.colour),
            "dashes": "" if one.line == STYLES[0] else " ".join(str(length) for length in one.line[1]),
            "marker": MARKS[one.marker],
        }
        for scheme, one in look.items()
    }
    return Page(
        name=material.name,
        run=material.run,
        question=material.question,
        units=in_units,
        in_units=units.of_all_tasks(every, in_units),
        progress=_progress(material, every),
        counts=_counts(every),
        failed=failures.failure_lines(material.record),
        waiting=[scheme for scheme in order if scheme not in told],
        parts=[_part(answers, material, look, in_units) for answers in every],
        sheets=[*units.sheets_of_all_tasks(every, in_units), *transfer.side_by_side(every)],
        charts=charts.of_all_tasks(every, look, in_units),
        swatches=swatches,
        reading=_reading(material, every),
        answers=every,
    )


def _part(answers: Answers, material: Material, look: Any, in_units: list[str]) -> TaskPart:
    trials = charts.with_configurations(answers, material)
    return TaskPart(
        task=answers.task,
        mode=answers.mode,
        baseline=answers.baseline,
        in_units=units.of_task(answers, in_units),
        known=knowledge.sentences(answers.results),
        schemes=[result.scheme for result in answers.results],
        charts=[*charts.of_task(answers, trials, material, look, in_units), *grid_charts.of_task(answers, material)],
        sheets=_sheets(answers, material, in_units),
        remarks=[
            *prices.remarks(answers),
            *(_in_words(text) for text in terminal.remarks(answers.results, suspicions=False)),
        ],
        prices=prices.of_schemes(answers, material),
        trials=trials.drop(columns="best").to_csv(index=False, lineterminator="\n"),
    )


def _sheets(answers: Answers, material: Material, in_units: list[str]) -> list[Sheet]:
    return [
        *units.sheets_of_task(answers, material, in_units),
        *tables.sheets(answers, material),
        *prices.sheets(prices.of_schemes(answers, material)),
        *knowledge_sheet.sheets(answers, material),
        *published_sheets(material, answers.task),
        *importance.sheets(answers.importances),
        *transfer.sheets(answers),
        *grids.sheets(answers.grids),
    ]


def _in_words(text: str) -> str:
    """A note with the names of quantities as words.

    >>> _in_words("share_at_budget is not defined")
    'share at budget is not defined'
    """
    for quantity in fields(Result):
        text = text.replace(quantity.name, quantity.name.replace("_", " "))
    return text


def _progress(material: Material, every: list[Answers]) -> str:
    """The trials that have ended of those that are planned; empty where all have, or nobody knows the plan."""
    ended, planned = sum(len(answers.trials) for answers in every), sum(material.planned.values())
    return f"{ended:,} of {planned:,} trials" if ended < planned else ""


def _counts(every: list[Answers]) -> str:
    if not every:
        return "0 trials."
    rows: list[Any] = [answers.trials for answers in every]
    trials, trainings = sum(map(len, rows)), sum(int(row["seeds"].sum()) for row in rows)
    diverged = sum(int((row["status"] == "diverged").sum()) for row in rows)
    seeds = f" ({trainings:,} trainings)" if trainings > trials else ""
    passes, seconds = (sum(float(row[name].sum()) for row in rows) for name in ("passes", "seconds"))
    return (
        f"{trials_text(trials)}{seeds} that ended, {diverged:,} of them diverged; {passes:,.0f} passes and "
        f"{seconds:,.0f} seconds in steps altogether, all of it counted."
    )


def _reading(material: Material, every: list[Answers]) -> list[str]:
    """What the numbers mean; only what this page has."""
    texts = [
        "Tuning cost counts every trial of a search up to the first that reaches the target, misses and diverged "
        "trials included. Its expectation is over random orders of the trials in hand; an estimate from few trials is "
        "low.",
        "Every interval is a 95 % interval of its own number: Clopper and Pearson's for hits and for trials drawn "
        "independently, what a column's head says for grids, for all others that of Learned-Miller and Thomas (arXiv "
        "1905.06208), in which one unseen trial may be as bad, or as "
        "good, as any. In simulations each held the truth at least 93 times in 100; where none does, none is printed. "
        "The intervals are not corrected for how many schemes are compared: of twenty schemes that save nothing, the "
        "interval of one may leave out 1. The words ask for more, an interval at 1 − .05/m for m schemes compared: "
        "where that holds 1, a scheme cannot be told from the baseline, whatever its estimate.",
        "A trial is chosen on validation data; what it is worth is told on test data.",
    ]
    if every and any(answers.target is None for answers in every):
        texts.append(
            "Where a task has no target, schemes are compared at a budget: what it costs each of them to reach the "
            "baseline's expected best of K trials. A target is a score fixed before tuning, from other seeds."
        )
    texts += class_notes(one.task for one in every)
    texts += _splits(material.record)
    if material.run:
        texts.append(
            "Numbers lead to the runs behind them, in MLflow's pages: a store without a server has them at "
            "http://127.0.0.1:5000 while `lr-study ui` runs."
        )
    texts.append("The data of every figure is inside this file, so that it stays with the page wherever that goes.")
    return texts


def _splits(record: pd.DataFrame) -> list[str]:
    """Shares of the parameters that arms move by the first rule of a split."""
    if "hidden_share" not in record:
        return []
    told: Any = record.dropna(subset=["hidden_share"]).drop_duplicates(["task", "arm"])
    return [
        f"Arm {row.arm} moves hidden matrices by a rule of their own: {row.hidden_share:.0%} of all numbers in the "
        f"parameters of {label(str(row.task))}."
        for row in told.itertuples()
    ]
