"""Records of every scheme over time: what its best configuration recorded, and the rate that its best trial used."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from study.figures.style import Look
from study.figures.vega import CHOSEN, Chart, Spec, decades, in_panels, lines_by_scheme, spec_of

CAPTION = (
    "By the best configuration of every scheme: the median of its seeds, and the range of all. Loss is that of the "
    "mini-batches since the record before; what a scheme tells of itself is of the last one."
)
RATES = (
    "By the best trial of every scheme, after every epoch: the base rate times the mean of its scales; a gap where it "
    "is not positive."
)
WIDE = 10.0  # largest over smallest value from which an axis is logarithmic
FAINT = {"condition": {"test": "chosen === null || datum.scheme === chosen", "value": 0.15}, "value": 0.03}
EPOCH = {"field": "epoch", "type": "quantitative", "axis": {"tickCount": 5, "grid": False}, "title": "epoch"}


def chart(lines: pd.DataFrame, look: Mapping[str, Look], sentence: str) -> Chart | None:
    """A small chart a quantity: a line of the seeds' medians, and a band from the lowest to the highest.

    Args:
        lines: of one task: columns scheme, quantity, epoch, low, median, high.
        look: of the schemes that are drawn.
        sentence: what is shown, in words.

    Returns:
        The chart; None where nothing was recorded.
    """
    told: Any = lines[lines["scheme"].isin(list(look))]
    if told.empty:
        return None
    alive, still = (
        in_panels(told, lambda rows, named=named: _panel(rows, named), columns=3, each=300)
        for named in _named(told, look)
    )
    specs = spec_of(alive, sentence), spec_of(still, sentence)
    return Chart("over_time", "What was recorded over time", CAPTION, sentence, *specs, told.reset_index(drop=True))


def rate_chart(rates: pd.DataFrame, look: Mapping[str, Look], sentence: str) -> Chart | None:
    """The rate that each scheme really used: that of its best trial, the mean over parameters.

    Args:
        rates: of one task: columns scheme, epoch, rate, record by record.
        look: of the schemes that are drawn.
        sentence: what is shown, in words.

    Returns:
        The chart; None where nothing positive was recorded.
    """
    known: Any = rates[rates["rate"].notna() & rates["scheme"].isin(list(look))]
    if not (known["rate"] > 0).any():
        return None
    y = {"field": "shown", "type": "quantitative", "title": "rate (logarithmic)", **decades(known["rate"])}
    gaps = {"calculate": "datum.rate > 0 ? datum.rate : null", "as": "shown"}
    alive, still = (
        spec_of({"width": width, "height": 260, "transform": [gaps], **_line(y, named)}, sentence)
        for width, named in zip(("container", 420), _named(known, look), strict=True)
    )
    return Chart("rates", "The rate each scheme used", RATES, sentence, alive, still, known.reset_index(drop=True))


def _named(rows: Any, look: Mapping[str, Look]) -> list[Spec]:
    """The schemes' colours and dashes: for a page, which names them in HTML, and for a file."""
    told = set(rows["scheme"])
    schemes = [scheme for scheme in look if scheme in told]
    return [lines_by_scheme(look, schemes, legend=legend) for legend in (False, True)]


def _panel(rows: Any, named: Spec) -> Spec:
    """One quantity; its axis is one of decades where its values span more than one."""
    low, high = rows["low"].min(), rows["high"].max()
    scale = decades([*rows["low"], *rows["high"]]) if 0 < low < high / WIDE else {"scale": {"zero": False}}
    y = {"type": "quantitative", "title": None, **scale}
    ends = {"y": {"field": "low", **y}, "y2": {"field": "high"}}
    band = {"x": EPOCH, **ends, "color": named["color"], "opacity": FAINT}
    return {
        "width": 210,
        "height": 130,
        "layer": [{"mark": "area", "encoding": band}, _line({"field": "median", **y}, named)],
    }


def _line(y: Spec, named: Spec) -> Spec:
    return {"mark": {"type": "line", "strokeWidth": 1.6}, "encoding": {"x": EPOCH, "y": y, **named, "opacity": CHOSEN}}
