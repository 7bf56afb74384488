"""Ranked numbers with their intervals: a row a scheme, an arrow where nothing bounds it, hollow where it is a bound."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from study.answers.results import Quantity
from study.figures.style import Look
from study.figures.vega import CHOSEN, Spec, by_scheme, ticks, where

ROOM = 1.5  # beyond the last finite end, for arrows


def table(ranked: Mapping[str, Quantity], value: str) -> pd.DataFrame:
    """One row a scheme: its number, its interval, and the ends of its bar as they are drawn.

    Args:
        ranked: the quantities by scheme, in their order, above 0.
        value: the name of the number's column.
    """
    every = [end for one in ranked.values() for end in (one.estimate, one.low, one.high) if end and math.isfinite(end)]
    first, last = min(every) / ROOM, max(every) * ROOM
    rows = [
        {
            "scheme": scheme,
            value: one.estimate,
            "low": one.low,
            "high": one.high,
            "bound": one.bound,
            "left": first if one.low == 0 else one.low,
            "right": last if one.high is not None and math.isinf(one.high) else one.high,
            "open": one.high is not None and math.isinf(one.high),
        }
        for scheme, one in ranked.items()
    ]
    return pd.DataFrame(rows)


def drawn(data: pd.DataFrame, value: str, title: str, rule: float | None, look: Mapping[str, Look]) -> Spec:
    """The chart of such a table on a logarithmic axis.

    Args:
        data: as `table` gives it; a column `label` is written above the numbers.
        value: the name of the number's column.
        title: of the axis.
        rule: marked across all rows; None: nothing is.
        look: of every scheme.
    """
    schemes = list(data["scheme"])
    ends = [float(end) for name in ("left", value, "right") for end in data[name].dropna()]
    axis = {"values": ticks(min(ends), max(ends), few=1000), "format": ",~g", "labelOverlap": True}
    x = {"type": "quantitative", "scale": {"type": "log", "nice": False}, "axis": axis, "title": title}
    colour = by_scheme(look, schemes)
    here = {"y": names(schemes), "opacity": CHOSEN}
    bar = {"x": {"field": "left", **x}, "x2": {"field": "right"}, "color": colour["color"], **here}
    upward, downward = ({"x": {"field": end, **x}, "color": colour["color"], **here} for end in ("right", "left"))
    at = {"x": {"field": value, **x}, **here}
    point: dict[str, Any] = {"type": "point", "filled": True, "size": 75}
    hollow = {**point, "stroke": "var(--ink)", "fill": "var(--paper)"}
    dashed = {"type": "rule", "color": "var(--muted)", "strokeDash": [4, 3]}
    layers: list[Spec] = [
        *([{"mark": dashed, "encoding": {"x": {"datum": rule}}}] if rule else []),
        {"mark": {"type": "rule", "strokeWidth": 2.5}, "encoding": bar},
        *(
            {**where(test), "mark": {"type": "point", "shape": f"triangle-{end}", "filled": True}, "encoding": arrow}
            for end, test, arrow in (("right", "datum.open", upward), ("left", "datum.low === 0", downward))
        ),
        {**where("datum.bound === '='"), "mark": point, "encoding": {**at, **colour}},
        {**where("datum.bound !== '='"), "mark": hollow, "encoding": {**at, "shape": colour["shape"]}},
    ]
    if "label" in data:
        words = {"type": "text", "dy": -9, "fontSize": 10, "color": "var(--ink)"}
        layers.append({"mark": words, "encoding": {**at, "text": {"field": "label"}}})
    return {"height": {"step": 26 if "label" in data else 16}, "layer": layers}


def still(width: int) -> Spec:
    """The room that a file has, in pixels: names are wider in some fonts than they are counted."""
    return {"width": width, "padding": {"left": 30, "right": 10, "top": 5, "bottom": 5}}


def names(schemes: list[str]) -> Spec:
    """The axis of schemes.

    schemes: in their order.
    """
    axis = {"labelColor": "var(--ink)", "grid": False, "domain": False, "ticks": False, "labelLimit": 150, "offset": 6}
    return {"field": "scheme", "type": "nominal", "sort": schemes, "title": None, "axis": axis}
