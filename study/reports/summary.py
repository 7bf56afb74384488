"""The table of a study: one row an arm, as text, Markdown, JSON or CSV."""

import io
import json
import math
from html import escape
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from study.answers.results import finite
from study.answers.trials import trials_of
from study.plan.tasks import class_notes, label
from study.records import failures
from study.records.ended import best_of, ended
from study.records.material import Material, level_of
from study.reports.importance import text_tables
from study.reports.sections import sections
from study.reports.terminal import WIDEST, TextTable, markdown
from trainables.refusal import unknown

PROGRAMS = ("json", "csv")
FORMATS = ("text", "markdown", *PROGRAMS)
COLUMNS = {
    "arm": "arm",
    "task": "task",
    "trials": "trials",
    "diverged": "diverged",
    "failed": "failed",
    "running": "running",
    "best_valid": "best valid",
    "test_of_best": "its test",
    "median_valid": "median valid",
    "best_lr": "its lr",
    "passes": "passes",
    "seconds": "seconds",
}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row an arm, the best of a task first, from one row a (trial, seed, record).

    The choice of a trial is made on validation data (its best record), its worth is told on test data; what is still
    running or failed is never chosen. "Its lr" is the rate that the chosen trial was given; where its rule finds its
    own, the median of those that it used (`study.records.rates`). `passes` and `seconds` count every trial of the arm:
    misses and lost ones are part of the cost.
    """
    if table.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    rows = [row for task, of_task in table.groupby("task") for row in _rows(str(task), of_task)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(task: str, table: pd.DataFrame) -> list[dict[str, Any]]:
    """The arms of one task, the best first."""
    level = level_of(table, task)
    trials = trials_of(table, level)
    rows = [_row(str(arm), rows, level.mode) for arm, rows in trials.groupby("arm", sort=False)]
    sign = 1 if level.mode == "min" else -1
    return sorted(rows, key=lambda row: (math.isnan(row["best_valid"]), sign * row["best_valid"]))


def _row(arm: str, rows: Any, mode: str) -> dict[str, Any]:
    over, status = ended(rows), rows["status"]
    best = best_of(rows, mode)
    if best.empty:  # every trial was lost: they are worth chance
        best = over.head(1)
    one = best.iloc[0] if len(best) else pd.Series(dtype=float)
    return {
        "arm": arm,
        "task": rows["task"].iloc[0],
        "trials": len(rows),
        **{name: int((status == name).sum()) for name in ("diverged", "failed", "running")},
        "best_valid": one.get("score", math.nan),
        "test_of_best": one.get("test_score"),
        "median_valid": over["score"].median(),
        "best_lr": one.get("lr"),
        "passes": rows["passes"].sum(),
        "seconds": rows["seconds"].sum(),
    }


def render(frame: pd.DataFrame, form: str) -> str:
    """The summary as text for people, Markdown, JSON or CSV.

    Args:
        frame: as `summary` gives it.
        form: text, markdown, json or csv.

    Raises:
        Refusal: for any other form.
    """
    if form == "text":
        return "\n".join([_text(_shown(frame)), *class_notes(frame["task"])])
    if form == "markdown":
        shown, remarks = _shown(frame), class_notes(frame["task"])
        return markdown([TextTable("", [COLUMNS[name] for name in shown.columns], _cells(shown), remarks)]).rstrip("\n")
    if form == "json":
        return as_json(frame, indent=2)
    if form == "csv":
        return frame.to_csv(index=False).rstrip("\n")
    raise unknown("format", form, FORMATS)


def as_json(frame: pd.DataFrame, indent: int | None = None) -> str:
    """The rows as a JSON list, every digit of every number; what JSON has not, NaN and infinity, is null.

    Args:
        frame: of numbers and texts.
        indent: of the lines; None: all on one.

    >>> as_json(pd.DataFrame({"lr": [1.23456789012345e-11, math.nan, math.inf]}))
    '[{"lr": 1.23456789012345e-11}, {"lr": null}, {"lr": null}]'
    """
    return json.dumps(finite(frame.to_dict("records")), indent=indent)


def whole(material: Material, form: str) -> str:
    """The summary, why trials failed, and what the study file asks for besides; programs get the summary alone.

    Args:
        material: the record, and its study file.
        form: as for `render`; json and csv are for programs.

    Raises:
        Refusal: for any other form.
    """
    text, tables = render(summary(material.record), form), sections(material.record, material.file)
    tables = tables if form in PROGRAMS else [*tables, *text_tables(material)]
    failed = failures.failure_lines(material.record)
    if form == "markdown":
        listed = (
            ["\n".join([failed[0], "", *(f"* {escape(line, quote=False)}" for line in failed[1:])])] if failed else []
        )
        return "\n\n".join([text, *listed, *(markdown([table]) for table in tables)])
    if form == "text":
        listed = ["\n  ".join(failed)] if failed else []
        return "\n\n".join([text, *listed, *(_told(table) for table in tables)])
    return text


def _told(table: TextTable) -> str:
    body = _aligned(table.columns, [True, *(False for _ in table.columns[1:])], table.rows)
    return "\n".join([table.title, body, *table.remarks])


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    return [[_cell(value) for value in row] for row in frame.itertuples(index=False)]


def _cell(value: Any) -> str:
    """Four digits for numbers, whole numbers whole, a dash for what is missing.

    >>> [_cell(value) for value in (0.123456, 1234567.0, 12, "sgd", None)]
    ['0.1235', '1,234,567', '12', 'sgd', '—']
    """
    if value is None or value != value:  # NaN
        return "—"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def _shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that people read: no empty ones of failed and running trials, tasks of one's own by their class."""
    empty = [name for name in ("failed", "running") if not frame[name].to_numpy().any()]
    return frame.drop(columns=empty).assign(task=frame["task"].map(label))


def _text(frame: pd.DataFrame) -> str:
    return _aligned([COLUMNS[n] for n in frame.columns], [n in ("arm", "task") for n in frame.columns], _cells(frame))


def _aligned(columns: list[str], words: list[bool], rows: list[list[str]]) -> str:
    """A table of text; columns of words to the left, of numbers to the right."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name, left in zip(columns, words, strict=True):
        shown.add_column(name, justify="left" if left else "right")
    for cells in rows:
        shown.add_row(*cells)
    text = io.StringIO()
    Console(file=text, width=WIDEST).print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
