"""Charts as Vega-Lite specifications: plain dictionaries, alive in a page and still in a file.

A *chart* is one specification with the table that it draws. Its colours are the page's, as `var(--ink)`; a file has
them as they are on white. The specification names a parameter `chosen`, the scheme that the reader points at.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from typing import Any, NamedTuple

import pandas as pd
import vl_convert

from study.answers.results import finite
from study.figures.style import BAD, COLOURS, INK, LINE, MARKERS, MUTED, STYLES, Look

Spec = dict[str, Any]

CROSS = "M-.6-1L0-.4.6-1 1-.6.4 0 1 .6.6 1 0 .4-.6 1-1 .6-.4 0-1-.6Z"
SHAPES = dict(
    zip(MARKERS, ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", CROSS], strict=True)
)
THEME = {INK: "ink", MUTED: "muted", LINE: "line", BAD: "bad", "#ffffff": "paper"} | {
    colour: f"c{place}" for place, colour in enumerate(COLOURS)
}
"""A file's colours, and the page's that stand for them."""
SEEN = "chosen === null || datum.scheme === chosen"
CHOSEN: Spec = {"condition": {"test": SEEN, "value": 0.9}, "value": 0.12}
"""The opacity of a mark: full where its scheme, or none, is chosen."""
PLACES = "left", "right", "open", "label", "named", "end", "place", "across", "down", "shade", "hatched"
"""Columns that say where marks stand, and nothing else."""
AXIS = {
    "domainColor": "var(--muted)",
    "gridColor": "var(--line)",
    "labelColor": "var(--muted)",
    "labelFontSize": 11,
    "tickColor": "var(--muted)",
    "titleColor": "var(--muted)",
    "titleFontSize": 11,
    "titleFontWeight": "normal",
}
CONFIG = {
    "axis": AXIS,
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "header": {"labelColor": "var(--ink)", "labelFontSize": 11, "title": None},
    "legend": {"labelColor": "var(--ink)", "titleColor": "var(--ink)", "labelFontSize": 11, "titleFontSize": 11},
}


class Chart(NamedTuple):
    """One chart of one task, and the numbers that it draws."""

    name: str  # of its files, without an ending
    title: str
    caption: str
    sentence: str  # said to people who do not see it
    spec: Spec  # without data, as wide as its place
    still: Spec  # the same for a file; with data of its own where that draws less
    data: pd.DataFrame
    columns: dict[str, list[Any]] | None = None  # the table as a page has it, where that is not `data` (`embedded`)


def numbers(chart: Chart) -> pd.DataFrame:
    """The table of a chart without the places of its marks."""
    return chart.data.drop(columns=list(PLACES), errors="ignore")


def by_scheme(look: Mapping[str, Look], schemes: list[str]) -> Spec:
    """Colour and shape by the scheme, without a legend: names are HTML, or stand beside their marks.

    Args:
        look: of every scheme.
        schemes: those of the chart.
    """
    colours = [f"var(--c{COLOURS.index(look[scheme].colour)})" for scheme in schemes]
    shapes = [SHAPES[look[scheme].marker] for scheme in schemes]
    channels = {"color": colours, "shape": shapes}
    return {
        name: {"field": "scheme", "type": "nominal", "scale": {"domain": schemes, "range": range_}, "legend": None}
        for name, range_ in channels.items()
    }


def lines_by_scheme(look: Mapping[str, Look], schemes: list[str], legend: bool) -> Spec:
    """Colour and dashes by the scheme.

    Args:
        look: of every scheme.
        schemes: those of the chart.
        legend: true names them beside the chart, for a file; a page names them in HTML.
    """
    colours = [f"var(--c{COLOURS.index(look[scheme].colour)})" for scheme in schemes]
    dashes = [[1, 0] if look[scheme].line == STYLES[0] else list(look[scheme].line[1]) for scheme in schemes]
    named = {"title": None, "symbolType": "stroke", "symbolStrokeWidth": 2} if legend else None
    return {
        name: {"field": "scheme", "type": "nominal", "scale": {"domain": schemes, "range": range_}, "legend": named}
        for name, range_ in (("color", colours), ("strokeDash", dashes))
    }


def decades(values: Iterable[float], padding: int = 0) -> Spec:
    """The scale and axis of a channel whose positive values are drawn logarithmically.

    Args:
        values: those that are drawn; what is not positive has no place.
        padding: pixels beyond them on both sides.
    """
    known = [float(value) for value in values if value > 0]
    places = ticks(min(known), max(known))
    scale = {"type": "log", "nice": False, **({"padding": padding} if padding else {})}
    return {"scale": scale, "axis": {"values": places, "format": ",~g", "labelOverlap": True}}


def in_panels(data: pd.DataFrame, drawn: Callable[[pd.DataFrame], Spec], columns: int, each: int) -> Spec:
    """A small chart a quantity of a table, side by side.

    Args:
        data: with a column `quantity`, their titles.
        drawn: the chart of one quantity's rows.
        columns: how many stand in a row of a file; a page has as many as there is room for.
        each: pixels that one needs.
    """
    panels: list[Spec] = []
    for quantity, rows in data.groupby("quantity", sort=False):
        title = {"text": quantity, "anchor": "start", "fontSize": 12, "fontWeight": 600, "color": "var(--ink)"}
        mine = [{"filter": f"datum.quantity === {json.dumps(quantity)}"}]
        panels.append({"title": title, "transform": mine, **drawn(rows)})
    return {"concat": panels, "columns": columns, "usermeta": {"each": each}}


def spec_of(inside: Spec, sentence: str) -> Spec:
    """A whole specification: with its look, its text, and three parameters, the scheme chosen, that (or the trial)
    pointed at, and the two rates between which the reader asks for trials.

    Args:
        inside: what is drawn.
        sentence: the text.
    """
    asked = {"params": [{"name": name, "value": None} for name in ("chosen", "pointed", "rates")]}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": sentence,
        "config": CONFIG,
        **asked,
        **inside,
    }


def where(test: str) -> Spec:
    """The part of a layer by which it draws only rows of which an expression is true."""
    return {"transform": [{"filter": test}]}


def ticks(low: float, high: float, few: float = 300) -> list[float]:
    """Ticks of a logarithmic axis: the powers of ten, and where these are few, others between them.

    Args:
        low: where the axis begins, above 0.
        high: where it ends.
        few: the ratio of the ends below which there are ticks between powers of ten.

    >>> ticks(0.15, 30), ticks(1e-5, 10)
    ([0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0], [1e-05, 0.0001, 0.001, 0.01, 0.1, 1.0, 10.0])
    >>> ticks(0.021, 0.049), ticks(0.021, 0.022), ticks(0.03, 0.03)
    ([0.03, 0.04], [0.021, 0.022], [0.03])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for between in (((1,),) if high / low >= few else ()) + ((1, 2, 5), range(1, 10)):
        places = [float(f"{part}e{decade}") for decade in decades for part in between]
        inside = [place for place in places if low * (1 - 1e-9) <= place <= high * (1 + 1e-9)]
        if len(inside) > 1:
            return inside
    short = (dict.fromkeys(float(f"{end:.{digits}g}") for end in (low, high)) for digits in range(2, 18))
    inside = ([end for end in ends if low <= end <= high] for ends in short)
    return next(ends for ends in inside if len(ends) == 1 + (low < high))


def embedded(chart: Chart, run: str) -> str:
    """The chart as JSON for the page's script: its specification, its table by columns, six digits a number.

    A column `row` stands for those rows of the page's table of all trials; where an entry is a list, there is a row a
    number in it, and a number in its place is the entry whose list is the same. No tag can be in it.

    Args:
        chart: the chart.
        run: where one trial is in MLflow; {} stands for its run's id, empty: nobody knows.
    """
    table: dict[Any, list[Any]] = chart.data.to_dict("list")
    columns = chart.columns or {name: [rounded(value) for value in values] for name, values in table.items()}
    text = json.dumps({"spec": chart.spec, "columns": columns, "run": run}, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def rounded(value: Any, digits: int = 6) -> Any:
    """A number as a chart needs it; None where it has no place.

    Args:
        value: a number, or a text, which stays.
        digits: of a number below a million.

    >>> rounded(1948200.25), rounded(0.1 + 0.2), rounded(math.inf), rounded("sgd"), rounded(0.86543, 4)
    (1948200, 0.3, None, 'sgd', 0.8654)
    """
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return round(value) if abs(value) >= 1e6 else int(short) if short.is_integer() else short


def still(chart: Chart) -> str:
    """The chart as the text of an SVG file, on white; the same chart, the same bytes."""
    return vl_convert.vegalite_to_svg(on_white(chart))


def picture(chart: Chart) -> bytes:
    """The chart as a PNG file, on white; the same chart, the same bytes."""
    return vl_convert.vegalite_to_png(on_white(chart), ppi=200)


def on_white(chart: Chart) -> str:
    """The still specification with its table and the colours of a file."""
    values = chart.still["data"]["values"] if "data" in chart.still else chart.data.to_dict("records")
    silent = {**CONFIG, "aria": False}  # else every mark says what it is, at length
    text = json.dumps(chart.still | {"config": silent, "data": {"values": finite(values)}})
    for colour, name in THEME.items():
        text = text.replace(f"var(--{name})", colour)
    return text.replace('"transparent"', '"white"')


@cache
def bundle() -> str:
    """The script of vega, vega-lite and vega-embed: nothing of it is loaded from anywhere.

    To make it takes seconds, so that it is kept beside prepared data, under its version.
    """
    from trainables.data.datasets import cache_folder  # which imports torch; a chart for a file needs none

    kept = cache_folder() / f"vega-{version('vl-convert-python')}.js"
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    made = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    with suppress(OSError):  # a home that nobody can write to
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(f".{os.getpid()}")
        fresh.write_text(made, encoding="utf-8")
        fresh.replace(kept)
    return made
