"""The charts of a page that can be asked: their tables, their sentences, and how the page and its files have them."""

import base64
from typing import Any, NamedTuple
from urllib.parse import quote

import pandas as pd

from study.answers.study import Answers
from study.figures import over_time, scores, shares, vega
from study.figures.style import Look
from study.figures.vega import Chart
from study.records.material import Material, plain

LARGEST = 100_000  # characters of an image within a page, where a script draws the same from a tenth of that


class Shown(NamedTuple):
    """One chart, alive and still, with its data."""

    name: str  # of its files, without an ending
    title: str
    caption: str
    sentence: str
    json: str  # for the page's script
    svg: str
    csv: str
    wide: bool  # it has many small panels
    first: bool  # it belongs to the answer

    @property
    def image(self) -> str:
        """The still chart as the address of an image, for readers without a script; empty where it is large."""
        if len(self.svg) > LARGEST:
            return ""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


def of_task(answers: Answers, material: Material, look: dict[str, Look], sentence: str) -> list[Shown]:
    """The charts of one task; those that nothing defines are left out.

    Args:
        answers: of the task.
        material: the record, for configurations and the addresses of runs.
        look: of every scheme.
        sentence: the task's answer.
    """
    made = [shares.chart(answers.results, answers.baseline, look, sentence)]
    if answers.results:  # else nothing was validated
        told = configurations(material, answers.task)
        made.append(scores.chart(answers.trials, told, look, answers.target, _trials(answers)))
    made += [
        over_time.rate_chart(answers.rates, look, f"The rate that each scheme's best trial used on {answers.task}."),
        over_time.chart(answers.lines, look, _recorded(answers)),
    ]
    return [_shown(chart, answers.task, material.run) for chart in made if chart]


def configurations(material: Material, task: str) -> dict[str, str]:
    """Each training's searched hyper-parameters and seed in words, by its run's id.

    Args:
        material: the record, and what its arms search.
        task: whose trainings.
    """
    here: Any = material.record[material.record["task"] == task]
    made = {}
    for arm, rows in here.drop_duplicates("run_id").groupby("arm", sort=False):
        keys = sorted(key for key in material.searched.get(str(arm), ()) if key in rows)
        columns = [rows[key] for key in (*keys, *(["seed"] if "seed" in rows else []))]
        for run, *values in zip(rows["run_id"], *columns, strict=True):
            told = zip((column.name for column in columns), values, strict=True)
            made[str(run)] = ", ".join(f"{key} = {_value(value)}" for key, value in told)
    return made


def _value(value: object) -> str:
    number = plain(value)
    return f"{number:.6g}" if isinstance(number, float) else str(number)


def _trials(answers: Answers) -> str:
    """The chart of scores in words."""
    rows: Any = answers.trials[answers.trials["lr"].notna()]
    lost = int(rows["status"].isin(["diverged", "failed"]).sum())
    hits = sum(result.hits or 0 for result in answers.results)
    reached = "" if answers.target is None else f"; {hits:,} trials in all reached {answers.target:.4g}"
    return f"{len(rows):,} trials of {answers.task} by their learning rate, {lost:,} of them lost{reached}."


def _recorded(answers: Answers) -> str:
    """The charts over time in words."""
    names = ", ".join(dict.fromkeys(answers.lines["quantity"]))
    return f"What the best configuration of every scheme recorded on {answers.task} over time: {names}."


def _shown(chart: Chart, task: str, run: str) -> Shown:
    name = quote(f"{chart.name}-{task}", safe="")
    data: pd.DataFrame = chart.data
    csv = data.to_csv(index=False)
    forms = vega.embedded(chart, run), vega.still(chart), csv
    return Shown(
        name,
        chart.title,
        chart.caption,
        chart.sentence,
        *forms,
        wide="concat" in chart.spec,
        first=chart.name == "share",
    )
