"""The charts of a page that can be asked: their tables, their sentences, and how the page and its files have them."""

import base64
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

import pandas as pd

from study.answers.study import Answers
from study.figures import (
    best,
    importances,
    known,
    learning,
    over_time,
    parallel,
    profile,
    scores,
    shares,
    stills,
    target,
    transfer,
    vega,
)
from study.figures.style import Look
from study.figures.vega import Chart
from study.plan.tasks import label
from study.records.material import Material, plain
from study.reports.sentences import sentence, sentence_text
from study.reports.tables import by_cost
from study.reports.units import each_unit

STILL = (
    "share",
    "cost_to_target",
    "expected_best",
)  # drawn where no script runs, too: ten times as long as what it needs
LARGEST = 60_000  # characters of such an image


@dataclass(frozen=True)
class Shown:
    """One chart of a task, alive and still, with its data; it is drawn when it is first asked for."""

    chart: Chart
    name: str  # of its files, without an ending
    run: str  # where one trial is in MLflow
    others: dict[str, Chart] = field(default_factory=dict)  # the same in other units of cost
    unit: str = ""  # in which it tells costs, where there are others

    @property
    def wide(self) -> bool:
        """True where it has many small panels."""
        return "concat" in self.chart.spec

    @property
    def first(self) -> bool:
        """True where it belongs to the answer."""
        return self.chart.name == "share"

    @property
    def alone(self) -> bool:
        """False where the page's table of all trials holds its numbers."""
        return self.chart.name not in ("score_against_rate", "parallel")

    @property
    def json(self) -> dict[str, str]:
        """The chart for the page's script, by the unit."""
        return {unit: vega.embedded(one, self.run) for unit, one in {self.unit: self.chart, **self.others}.items()}

    @cached_property
    def svg(self) -> str:
        """The chart for a file."""
        return vega.still(self.chart)

    @cached_property
    def csv(self) -> str:
        """The numbers that it draws, as CSV."""
        return vega.numbers(self.chart).to_csv(index=False)

    @property
    def image(self) -> str:
        """The still chart as the address of an image, for readers without a script; empty where that has none."""
        if self.chart.name not in STILL or len(self.svg) > LARGEST:
            return ""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


def draw(every: list[Shown]) -> None:
    """Draw all of them for their files at once, which takes less long than one after another.

    every: those of a page.
    """
    for shown, svg in zip(every, stills.stills([shown.chart for shown in every]), strict=True):
        vars(shown)["svg"] = svg  # where the property keeps it


def of_task(
    answers: Answers, trials: pd.DataFrame, material: Material, look: dict[str, Look], units: list[str]
) -> list[Shown]:
    """The charts of one task; those that nothing defines are left out.

    Args:
        answers: of the task.
        trials: its trials, as `with_configurations` gives them: the page has them as they are here.
        material: the record, for the addresses of runs.
        look: of every scheme.
        units: of the page.
    """
    made: list[Chart | None] = [known.chart(answers.results, look, answers.baseline)]
    made.append(best.chart(answers.results, look, answers.baseline, answers.mode))
    if answers.results:  # else nothing was validated
        made.append(scores.chart(trials, look, answers.target, answers.mode, _trials(answers)))
        made.append(learning.chart(answers.curves, trials, look, answers.target, answers.mode, label(answers.task)))
        cheapest = [result.scheme for result in by_cost(answers.results)]
        made.append(parallel.chart(answers.configurations, trials, look, answers.mode, cheapest))
        made.append(importances.chart(answers.importances, look, cheapest, label(answers.task)))
    made += [
        over_time.rate_chart(
            answers.rates, look, f"The rate that each scheme's best trial used on {label(answers.task)}."
        ),
        over_time.chart(answers.lines, look, _recorded(answers)),
    ]
    place = quote(answers.task, safe="")
    shown = [Shown(chart, f"{chart.name}-{place}", material.run) for chart in made if chart]
    return [*_in_units(answers, look, units, material.run), *shown]


def of_all_tasks(every: list[Answers], look: dict[str, Look], units: list[str]) -> list[Shown]:
    """The performance profile, in all units, and what a choice made elsewhere loses; none where fewer than two tasks
    have a target, or configurations in common.

    Args:
        every: the answers of all tasks.
        look: of every scheme.
        units: of the page.
    """
    results = {unit: [one for answers in every for one in answers.in_units[unit].results] for unit in units}
    profiles = {unit: profile.chart(found, look) for unit, found in results.items()}
    moved = transfer.chart(every, look)
    return [*_together(profiles, "all", ""), *([Shown(moved, f"{moved.name}-all", "")] if moved else [])]


def _in_units(answers: Answers, look: dict[str, Look], units: list[str], run: str) -> list[Shown]:
    """The charts that follow from the unit of cost."""
    told, place = each_unit(answers, units), quote(answers.task, safe="")
    ranked = {
        unit: shares.chart(one.results, one.baseline, look, sentence_text(sentence(one))) for unit, one in told.items()
    }
    costs = {unit: target.chart(one.results, look, one.baseline) for unit, one in told.items()}
    return [*_together(ranked, place, run), *_together(costs, place, run)]


def _together(drawn: dict[str, Chart | None], place: str, run: str) -> list[Shown]:
    """One chart in several units as one; none where nothing defines it."""
    others = {unit: chart for unit, chart in drawn.items() if chart}
    if not others:
        return []
    unit = next(iter(others))
    first = others.pop(unit)
    return [Shown(first, f"{first.name}-{place}", run, others, unit)]


def with_configurations(answers: Answers, material: Material) -> pd.DataFrame:
    """The trials of a task, each with its searched hyper-parameters and seed in words; `best` where its scheme's best.

    Args:
        answers: of the task.
        material: the record, and what its arms search.
    """
    here: Any = material.record[material.record["task"] == answers.task]
    made: dict[str, str] = {}
    for arm, rows in here.drop_duplicates("run_id").groupby("arm", sort=False):
        keys = sorted(key for key in material.searched.get(str(arm), ()) if key in rows)
        columns = [rows[key] for key in (*keys, *(["seed"] if "seed" in rows else []))]
        for run, *values in zip(rows["run_id"], *columns, strict=True):
            told = zip((column.name for column in columns), values, strict=True)
            made[str(run)] = ", ".join(f"{key} = {_value(value)}" for key, value in told)
    told = answers.trials.assign(configuration=[made.get(str(run), "") for run in answers.trials["run_id"]])
    return told.assign(best=told.index.isin(answers.best.index)).reset_index(drop=True)


def _value(value: object) -> str:
    number = plain(value)
    if isinstance(number, float):
        return "null" if number != number else f"{number:.6g}"
    return str(number)


def _trials(answers: Answers) -> str:
    """The chart of scores in words."""
    rows: Any = answers.trials[answers.trials["lr"].notna()]
    lost = int(rows["status"].isin(["diverged", "failed"]).sum())
    hits = sum(result.hits or 0 for result in answers.results)
    reached = "" if answers.target is None else f"; {hits:,} trials in all reached {answers.target:.4g}"
    return f"{len(rows):,} trials of {label(answers.task)} by their learning rate, {lost:,} of them lost{reached}."


def _recorded(answers: Answers) -> str:
    """The charts over time in words."""
    names = ", ".join(dict.fromkeys(answers.lines["quantity"]))
    return f"What the best configuration of every scheme recorded on {label(answers.task)} over time: {names}."
