"""Curves of many schemes in one chart: six are named beside their ends, others grey until they are pointed at."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from study.figures.style import Look, spread
from study.figures.vega import SEEN, Spec, lines_by_scheme

MOST = 6  # lines with a colour and a name
HEIGHT = 250  # pixels
STILL = {"width": 330, "padding": {"left": 5, "right": 25, "top": 5, "bottom": 5}}  # names may be wider than counted
LETTERS = 17
MINE = "datum.named || chosen === datum.scheme || pointed === datum.scheme"
CALM = {"test": f"({SEEN}) && ({MINE})", "value": 0.95}
OPACITY = {"condition": [CALM, {"test": SEEN, "value": 0.45}], "value": 0.12}


def named(data: pd.DataFrame, first: list[str], x: str, y: str, *, logarithmic: bool) -> pd.DataFrame:
    """The table with what names need: `named`, true for so many schemes; `end` at the last point of each, and `place`,
    its height there, moved apart where two names would touch.

    Args:
        data: of all curves, one row a point, in order.
        first: schemes by how much they matter; all others are grey.
        x: the column along the axis.
        y: the column of the curve.
        logarithmic: of the axis of y.
    """
    told: Any = data.assign(named=data["scheme"].isin(first[:MOST]), end="", place=np.nan)
    last = told.groupby("scheme", sort=False)[x].idxmax()
    scale = np.log if logarithmic else np.asarray
    low, high = (float(scale(end)) for end in domain(data, y))
    for of_these in (True, False):
        ends = last[told.loc[last, "named"].to_numpy() == of_these]
        ends = ends.iloc[np.argsort(told.loc[ends, y].to_numpy(), kind="stable")]
        wanted = (scale(told.loc[ends, y].to_numpy(float)) - low) / (high - low)
        places = low + (spread(wanted, 13 / HEIGHT) if of_these else wanted) * (high - low)
        told.loc[ends, "place"] = np.exp(places) if logarithmic else places
    names = told.loc[last, "scheme"].map(lambda name: name if len(name) <= LETTERS else name[: LETTERS - 1] + "…")
    told.loc[last, "end"] = names
    return told


def domain(data: pd.DataFrame, y: str) -> list[float]:
    """The least and the greatest value of the curves and their bands; never the same number twice.

    Args:
        data: of the curves.
        y: the column of the curve.
    """
    values = pd.concat([data[name] for name in (y, "low", "high") if name in data]).to_numpy(float)
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    return [low, high] if low < high else [low * 0.9 - 1e-3 * (low == 0), high * 1.1 + 1e-3 * (high == 0)]


def drawn(data: pd.DataFrame, look: Mapping[str, Look], x: Spec, y: Spec, *, step: bool = False) -> Spec:
    """Curves, bands where the table has `low` and `high`, and names.

    Args:
        data: as `named` gives it.
        look: of every scheme.
        x: the channel along the axis.
        y: that of the curve; its domain is that of the data.
        step: true for curves that jump.
    """
    told = set(data["scheme"])
    schemes = [scheme for scheme in look if scheme in told]
    colours = lines_by_scheme(look, schemes, legend=False)
    y = {
        "type": "quantitative",
        **y,
        "scale": {**y.get("scale", {}), "domain": domain(data, y["field"]), "nice": False, "zero": False},
    }
    of = {"detail": {"field": "scheme"}, "opacity": OPACITY}
    colour = {"condition": {"test": MINE, **colours["color"]}, "value": "var(--muted)"}
    line = {"type": "line", "strokeWidth": 1.7, **({"interpolate": "step-after"} if step else {})}
    whole = {"x": x, "y": y, "color": colour, "strokeDash": colours["strokeDash"], **of}
    layers: list[Spec] = [{"mark": line, "encoding": whole}]
    if "low" in data:
        ends = {"y": {**y, "field": "low", "title": y.get("title")}, "y2": {"field": "high"}}
        faint = {"condition": {"test": f"({SEEN}) && ({MINE})", "value": 0.1}, "value": 0}
        band = {"x": x, **ends, "color": colours["color"], "detail": {"field": "scheme"}, "opacity": faint}
        layers.insert(0, {"transform": [{"filter": "isValid(datum.low)"}], "mark": "area", "encoding": band})
    words = {"type": "text", "align": "left", "dx": 14, "fontSize": 11, "color": "var(--ink)"}
    text = {"x": x, "y": {**y, "field": "place"}, "text": {"field": "end"}}
    way = {"x": x, "x2": {"value": {"expr": "width + 11"}}, "y": y, "y2": {"field": "place"}, "color": colour}
    mine = {"transform": [{"filter": f"datum.end !== '' && ({MINE})"}]}
    leader = {**mine, "mark": {"type": "rule", "opacity": 0.7}, "encoding": way}
    names = {**mine, "mark": words, "encoding": text}
    return {"height": HEIGHT, "layer": [*layers, leader, names]}
