"""The table of a study: one row an arm, as text, Markdown, JSON or CSV."""

import io
import json
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from study.records.material import Material
from study.reports.sections import sections
from study.reports.terminal import Sheet, markdown
from trainables.components import find
from trainables.refusal import unknown
from trainables.tasks import Task

FORMATS = ("text", "markdown", "json", "csv")
COLUMNS = {
    "arm": "arm",
    "task": "task",
    "trials": "trials",
    "diverged": "diverged",
    "best_valid": "best valid",
    "test_of_best": "its test",
    "median_valid": "median valid",
    "best_lr": "its lr",
    "passes": "passes",
    "seconds": "seconds",
}


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """One row an arm, the best first, from one row a (trial, record).

    The choice of a trial is made on validation data (its best record), its worth is told on test data.
    `passes` and `seconds` count every trial of the arm: misses and diverged ones are part of the cost.
    """
    if table.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    rows = [_row(str(arm), of_arm) for arm, of_arm in table.groupby("arm", sort=False)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.sort_values(["task", "best_valid"], ascending=[True, _mode(table) == "min"], ignore_index=True)


def _row(arm: str, table: pd.DataFrame) -> dict[str, Any]:
    mode = _mode(table)
    trials = table.groupby("run_id", sort=False)
    last = trials.last()
    scores = trials["valid_score"].agg(mode).where(last["diverged"] == 0, last["valid_score"])
    judged = scores.fillna(0.0)  # without validation data nothing may be selected: the first trial stands for all
    best: dict[str, Any] = last.loc[judged.idxmax() if mode == "max" else judged.idxmin()].to_dict()
    return {
        "arm": arm,
        "task": best["task"],
        "trials": len(last),
        "diverged": int(last["diverged"].to_numpy().sum()),
        "best_valid": scores.agg(mode),
        "test_of_best": best.get("test_score"),
        "median_valid": scores.median(),
        "best_lr": best.get("scheme.lr"),
        "passes": last["passes"].sum(),
        "seconds": last["seconds"].sum(),
    }


def _mode(table: pd.DataFrame) -> str:
    """The sense of the scores; a record that was saved before it was a column has the task to say it."""
    return table["mode"].iloc[0] if "mode" in table else find(Task, table["task"].iloc[0]).mode


def render(frame: pd.DataFrame, form: str) -> str:
    """The summary as text for people, Markdown, JSON or CSV."""
    if form == "text":
        return _text(frame)
    if form == "markdown":
        return _markdown(frame)
    if form == "json":
        return json.dumps(frame.astype(object).where(frame.notna(), None).to_dict("records"), indent=2)
    if form == "csv":
        return frame.to_csv(index=False).rstrip("\n")
    raise unknown("format", form, FORMATS)


def whole(material: Material, form: str) -> str:
    """The summary, and below it what the study file asks for besides; programs get the summary alone."""
    text, sheets = render(summary(material.record), form), sections(material.record, material.file)
    if form == "markdown":
        return "\n\n".join([text, *(markdown([sheet]) for sheet in sheets)])
    if form == "text":
        return "\n\n".join([text, *(_told(sheet) for sheet in sheets)])
    return text


def _told(sheet: Sheet) -> str:
    body = _aligned(sheet.columns, [True, *(False for _ in sheet.columns[1:])], sheet.rows)
    return "\n".join([sheet.title, body, *sheet.remarks])


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
    Console(file=text, width=140).print(shown)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())


def _markdown(frame: pd.DataFrame) -> str:
    head = [COLUMNS[name] for name in frame.columns]
    lines = [head, ["---"] * len(head), *_cells(frame)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
