"""The three forms in which a page is written: HTML, Markdown, JSON."""

import base64
import hashlib
import json
from dataclasses import asdict
from importlib import resources
from typing import Any
from urllib.parse import quote

import jinja2

from study.answers.results import finite
from study.cost import NotDefined
from study.figures import vega
from study.reports import terminal, units
from study.reports.cells import Cell, Sheet
from study.reports.page import Page, TaskPart
from study.reports.sentences import sentence_text
from study.reports.units import InUnit


def html(made: Page) -> str:
    """The page as one HTML file: style, charts, their script and data inside; nothing to load, no other script runs."""
    folder = resources.files("study") / "reports"
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["as_data"] = _as_data
    template = environment.from_string((folder / "page.html.jinja").read_text(encoding="utf-8"))
    names = "page.css", "trials.js", "tables.js", "page.js"
    css, *ours = ((folder / name).read_text(encoding="utf-8") for name in names)
    script = "\n".join([vega.bundle(), *ours]) if any(part.charts for part in made.parts) else ""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if script else "'none'"
    return template.render(page=made, css=css, script=script, allowed=allowed, unit_names=units.NAMES) + "\n"


def markdown(made: Page) -> str:
    """The sentences, the tables and the notes, as Markdown."""
    lines = [f"# {_plain(made.name)}", "", *([f"{made.progress} have ended.", ""] if made.progress else [])]
    lines += [f"**{_plain(sentence_text(made.sentence))}**\n"] if made.sentence else []
    sentences = [sentence_text(part.sentence) for part in made.parts] or ["No trial has ended yet."]
    lines += [f"**{_plain(text)}**\n" for text in sentences]
    lines += [f"{_plain(sentence_text(told))}\n" for part in made.parts for told in part.known]
    lines += [f"* {_plain(sentence_text(part.advice))}" for part in made.parts if part.advice] + [""]
    lines += [f"Asked: {_plain(made.question)}\n"] if made.question else []
    lines += [f"{made.counts}\n"]
    lines += [f"{made.failed[0]}\n", *(f"* {_plain(line)}" for line in made.failed[1:]), ""] if made.failed else []
    for part in made.parts:
        tables = [_words(f"{part.label}: {sheet.title}", sheet) for sheet in _in_first(part.sheets, made)]
        lines += [terminal.markdown(tables), *(f"* {_plain(remark)}" for remark in part.remarks), ""]
    lines += [terminal.markdown([_words(sheet.title, sheet)]) for sheet in _in_first(made.sheets, made)]
    return "\n".join([*lines, "## How to read this", "", *(f"{_plain(text)}\n" for text in made.reading)])


def _in_first(sheets: list[Sheet], made: Page) -> list[Sheet]:
    """The tables in the unit that was asked for, and those that have none."""
    return [sheet for sheet in sheets if sheet.unit in ("", *made.units[:1])]


def _words(title: str, sheet: Sheet) -> terminal.TextTable:
    """A table of the page as one of words."""
    columns = [sheet.of, *(column.name for column in sheet.columns)]
    return terminal.TextTable(
        title, columns, [[row.scheme, *(_text(cell) for cell in row.cells)] for row in sheet.rows], []
    )


def as_json(made: Page) -> str:
    """Every number of the page, for programs."""
    tasks = []
    for part, answers in zip(made.parts, made.answers, strict=True):
        arms = []
        for result in answers.results:
            paid = answers.paid.get(result.scheme, {})
            regret = answers.regret[result.scheme]
            arms.append(
                result.as_json()
                | {"paid": {unit: {"cost": vars(one.cost), "share": vars(one.share)} for unit, one in paid.items()}}
                | {"default_regret": None if isinstance(regret, NotDefined) else regret}
                | {"step_price": answers.price.get(result.scheme)}
                | _priced(part, result.scheme)
            )
        level = {"metric": answers.metric, "mode": answers.mode, "target": answers.target, "unit": answers.unit}
        tasks.append(
            {
                "task": part.task,
                "sentence": sentence_text(part.sentence),
                "advice": sentence_text(part.advice),
                "in_units": {unit: _told(one) for unit, one in part.in_units.items()},
                "choices": [asdict(choice) for choice in answers.choices],
                "importances": [asdict(one) for one in answers.importances],
                "transfers": [asdict(transfer) for transfer in answers.transfers],
                "known": [sentence_text(words) for words in part.known],
                "baseline": part.baseline,
                **level,
                "arms": arms,
            }
        )
    said = {"study": made.name, "question": made.question, "sentence": sentence_text(made.sentence)}
    said |= {"in_units": {unit: _told(one) for unit, one in made.in_units.items()}}
    contents = said | {"failed": made.failed, "tasks": tasks}
    return json.dumps(finite(contents), indent=1, allow_nan=False) + "\n"


def _priced(part: TaskPart, scheme: str) -> dict[str, list[dict[str, Any]]]:
    """The measured prices of a step of the scheme; nothing where nobody measured."""
    return {"prices": [price._asdict() for price in part.prices[scheme]]} if scheme in part.prices else {}


def _told(one: InUnit) -> dict[str, str]:
    return {name: sentence_text(words) for name, words in vars(one).items()}


def _as_data(text: str) -> str:
    return "data:text/csv;charset=utf-8," + quote(text, safe=",:;=()")


def _text(cell: Cell) -> str:
    parts = [cell.text, f"({cell.interval})" if cell.interval else "", *(f"⚑ {flag}" for flag in cell.flags)]
    return _plain(" ".join(part for part in parts if part))


def _plain(text: str) -> str:
    """Text that Markdown leaves as it is: no tag, no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("[", "\\[")
