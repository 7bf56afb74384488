"""Score against ηλ, coloured by η: where only the product matters, all colours lie on one curve."""

import numpy as np
import pandas as pd

from study.answers.grids import Grid
from study.figures.style import plainly
from study.figures.vega import CHOSEN, SHAPES, Chart, Spec, decades, in_panels, spec_of

CAPTION = (
    "One point a training, coloured by η, hollow where its cell had not settled; lines join the means of equal η. "
    "Where only the product matters, all lie on one curve."
)
STOPS = "#3f8fd6", "#9a6fd0", "#d4568a", "#e5683a", "#d99a1f"
"""From small to large rates; all of them can be seen on a light and on a dark page."""
WIDEST = 12  # rates with a name of their own in the key


def chart(grids: list[Grid]) -> Chart | None:
    """Scores against ηλ, a panel an arm: a point a training, hollow where its cell had not settled.

    grids: of one task; None follows where there is none.
    """
    if not grids:
        return None
    data = pd.concat([grid.cells.assign(scheme=grid.arm, quantity=grid.arm) for grid in grids], ignore_index=True)
    data = data.assign(η=data["rate"].map(plainly))
    sentence = "Validation score against learning rate × weight decay, a colour a rate, a panel an arm."
    colours = _by_rate(sorted(set(data["rate"])))
    spec = spec_of(in_panels(data, lambda rows: _panel(rows, colours), columns=2, each=430), sentence)
    return Chart("collapse", "Score against ηλ", CAPTION, sentence, spec, spec, data)


def _panel(rows: pd.DataFrame, colours: Spec) -> Spec:
    x = {"field": "product", "type": "quantitative", "title": "learning rate × weight decay ηλ"}
    x |= decades(rows["product"], padding=8)
    y = {"field": "score", "type": "quantitative", "title": "validation score", "scale": {"zero": False}}
    mean = {"aggregate": [{"op": "mean", "field": "score", "as": "score"}], "groupby": ["η", "product", "scheme"]}
    line = {"mark": {"type": "line", "strokeWidth": 0.9, "opacity": 0.7}, "transform": [mean]}
    face = {"condition": {"test": "!datum.settled", "value": "transparent"}, **colours["color"]}
    point = {"mark": {"type": "point", "size": 30, "strokeWidth": 1.2}}
    return {
        "width": 330,
        "height": 230,
        "layer": [
            {**line, "encoding": {"x": x, "y": y, "color": colours["color"]}},
            {**point, "encoding": {"x": x, "y": y, **colours, "fill": face, "opacity": CHOSEN}},
        ],
    }


def _by_rate(rates: list[float]) -> Spec:
    """Colour and shape by the rate, named in a key."""
    names, shapes = [plainly(rate) for rate in rates], list(SHAPES.values())
    key = {"title": "η", "values": names[:: max(1, len(names) // WIDEST)][::-1]}
    ranges = {"color": mixed(len(rates)), "shape": [shapes[place % len(shapes)] for place in range(len(rates))]}
    return {
        channel: {"field": "η", "type": "nominal", "scale": {"domain": names, "range": range_}, "legend": key}
        for channel, range_ in ranges.items()
    }


def mixed(count: int) -> list[str]:
    """So many colours between those of `STOPS`, evenly.

    >>> mixed(3)
    ['#3f8fd6', '#d4568a', '#d99a1f']
    """
    stops = np.array([[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in STOPS])
    places, ends = np.linspace(0, 1, count), np.linspace(0, 1, len(STOPS))
    channels = np.column_stack([np.interp(places, ends, stops[:, channel]) for channel in range(3)])
    return ["#" + bytes(colour).hex() for colour in channels.round().astype(np.uint8)]
