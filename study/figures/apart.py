"""The distance of arms as functions, against time: solid measured, dashed what one family would give."""

from typing import Any

import pandas as pd

from study.figures.style import looks
from study.figures.vega import Chart, lines_by_scheme, spec_of

CAPTION = "Solid: the distance of labels over the seeds. Dashed: what it would be were both arms one."


def chart(distances: pd.DataFrame) -> Chart | None:
    """Every arm against the first one; None where there are not two.

    distances: columns first, second, record, distance, expected, chance (`study.answers.networks.distances`).
    """
    if distances.empty:
        return None
    first = str(distances["first"].iloc[0])
    told: Any = distances[distances["first"] == first]
    data = told.rename(columns={"second": "scheme"}).reset_index(drop=True)
    schemes = list(dict.fromkeys(data["scheme"]))
    colour = {"color": lines_by_scheme(looks(schemes), schemes, legend=True)["color"]}
    x = {
        "field": "record",
        "type": "quantitative",
        "title": "record",
        "scale": {"nice": False, "padding": 10},
        "axis": {"grid": False, "tickCount": 6},
    }
    y = {"type": "quantitative", "title": f"distance of labels from {first}", "scale": {"zero": True}}
    measured = {"x": x, "y": {**y, "field": "distance"}, **colour}
    expected = {"x": x, "y": {**y, "field": "expected"}, **colour}
    dashed = {"type": "line", "strokeWidth": 1, "strokeDash": [4, 3], "opacity": 0.8}
    solid = {"type": "line", "strokeWidth": 1.8, "point": {"size": 28, "filled": True}}
    sentence = f"The distance of every arm's labels from those of {first}, against time."
    layers = [{"mark": dashed, "encoding": expected}, {"mark": solid, "encoding": measured}]
    spec = spec_of({"width": 360, "height": 240, "layer": layers}, sentence)
    return Chart("labels", f"labels against {first}", CAPTION, sentence, spec, spec, data)
