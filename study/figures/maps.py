"""Maps: a cell a pair of values, with a shade and a number, hatched where it does not stand yet.

Shades are of one hue, so that more always looks like more, and the same on a light and on a dark page.
"""

import numpy as np
from numpy.typing import NDArray

from study.figures.vega import Spec

Floats = NDArray[np.float64]

SHADES = "#eff5fb", "#cfe2f1", "#9cc5e4", "#6aa6d3", "#3d8ac2", "#0b4a82"
ON_LIGHT, ON_DARK = "#10202f", "#fdfdfd"
DARK = 5  # from this shade on, words are white: on all others dark ones differ more
STEP = 48  # pixels from one column to the next
HATCH = "#8a949e"
HATCHES = ((0.0, 0.5), (0.5, 0.0)), ((0.5, 1.0), (1.0, 0.5))
"""Lines across two corners of a cell, from (x, y) to (x, y), as shares of it: its number stays legible."""


def shades(depths: Floats) -> list[int]:
    """The shade of each cell, 0 the lightest.

    depths: (n,) from 0 to 1.

    >>> shades(np.array([0.0, 0.5, 1.0]))
    [0, 3, 5]
    """
    return np.minimum((len(SHADES) * depths).astype(int), len(SHADES) - 1).tolist()


def drawn(columns: list[str], rows: list[str], titles: tuple[str, str], joined: str = "") -> Spec:
    """The map of a table with columns `across`, `down`, `label`, `shade` and `hatched`.

    Args:
        columns: the values along x, from left to right.
        rows: the values along y, from top to bottom.
        titles: of both axes.
        joined: the column whose equal values are joined by a line; empty: nothing is joined.
    """
    axis = {"domain": False, "ticks": False, "grid": False, "labelAngle": 0, "labelFontSize": 11}
    x, y = (
        {"field": field, "type": "nominal", "sort": order, "title": title, "axis": axis}
        for field, order, title in (("across", columns, titles[0]), ("down", rows, titles[1]))
    )
    shade = {
        "field": "shade",
        "type": "ordinal",
        "scale": {"domain": list(range(len(SHADES))), "range": list(SHADES)},
        "legend": None,
    }
    on = {"condition": {"test": f"datum.shade >= {DARK}", "value": ON_DARK}}
    text = {"x": x, "y": y, "text": {"field": "label", "type": "nominal"}}
    line = {"type": "line", "color": "#66717d", "strokeWidth": 0.8, "opacity": 0.7}
    layers: list[Spec] = [
        {"mark": {"type": "rect"}, "encoding": {"x": x, "y": y, "color": shade}},
        *(_hatch(x, y, ends, {**on, "value": HATCH}) for ends in HATCHES),
        *([{"mark": line, "encoding": {"x": x, "y": y, "detail": {"field": joined}}}] if joined else []),
        {"mark": {"type": "text", "fontSize": 10, "strokeWidth": 3.5}, "encoding": {**text, "stroke": shade}},
        {"mark": {"type": "text", "fontSize": 10}, "encoding": {**text, "color": {**on, "value": ON_LIGHT}}},
    ]
    return {"width": {"step": STEP}, "height": {"step": 27}, "layer": layers}


def _hatch(x: Spec, y: Spec, ends: tuple[tuple[float, float], tuple[float, float]], colour: Spec) -> Spec:
    """A line across a corner of every cell that is hatched."""
    (left, top), (right, bottom) = ends
    at = {"x": {**x, "bandPosition": left}, "x2": {"field": "across", "bandPosition": right}}
    at |= {"y": {**y, "bandPosition": top}, "y2": {"field": "down", "bandPosition": bottom}}
    mark = {"type": "rule", "strokeWidth": 0.9, "opacity": 0.85}
    return {"transform": [{"filter": "datum.hatched"}], "mark": mark, "encoding": {**at, "color": colour}}
