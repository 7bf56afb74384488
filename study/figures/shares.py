"""The cost of the target as a share of the baseline's, with its interval: the cheapest first, 1 marked."""

import math

import pandas as pd

from study.answers.results import Result
from study.figures.style import Look
from study.figures.vega import CHOSEN, Chart, Spec, by_scheme, spec_of, ticks

CAPTION = (
    "Point: the expected cost up to the first hit over the baseline's. Bar: its 95 % interval; an arrow where nothing "
    "bounds it, a hollow point where the share is only a bound. Left of 1 it saves tuning."
)
ROOM = 1.5  # beyond the last finite end, for arrows


def chart(results: list[Result], baseline: str, look: dict[str, Look], sentence: str) -> Chart | None:
    """One task's shares; None where no scheme has one.

    Args:
        results: of the task.
        baseline: the scheme whose share is 1.
        look: of every scheme.
        sentence: what the chart shows, in words.
    """
    known = [one for one in results if (one.share_to_target.estimate or 0) > 0]
    if not known or all(one.scheme == baseline for one in known):
        return None
    data = _table(sorted(known, key=lambda one: (one.share_to_target.bound != "=", one.share_to_target.estimate)))
    spec = spec_of(_drawn(data, f"{baseline}'s {known[0].share_to_target.unit}", look), sentence)
    title = f"Tuning cost on {known[0].task}"
    return Chart("share", title, CAPTION, sentence, spec | {"width": "container"}, spec | {"width": 520}, data)


def _table(ranked: list[Result]) -> pd.DataFrame:
    """One row a scheme: the share, and the ends of its bar as they are drawn."""
    shares = [one.share_to_target for one in ranked]
    ends = [end for one in shares for end in (one.estimate, one.low, one.high) if end and math.isfinite(end)]
    first, last = min(ends) / ROOM, max(ends) * ROOM
    rows = [
        {
            "scheme": one.scheme,
            "share": share.estimate,
            "low": share.low,
            "high": share.high,
            "bound": share.bound,
            "verdict": share.verdict,
            "left": first if share.low == 0 else share.low,
            "right": last if share.high is not None and math.isinf(share.high) else share.high,
            "open": share.high is not None and math.isinf(share.high),
        }
        for one, share in zip(ranked, shares, strict=True)
    ]
    return pd.DataFrame(rows)


def _drawn(data: pd.DataFrame, whole: str, look: dict[str, Look]) -> Spec:
    schemes = list(data["scheme"])
    scale = {"type": "log", "nice": False}
    ends = [float(end) for name in ("left", "share", "right") for end in data[name].dropna()]
    x = {
        "type": "quantitative",
        "scale": scale,
        "axis": {"values": ticks(min(ends), max(ends), few=1000), "format": "~g"},
        "title": f"share of {whole}",
    }
    y = {
        "field": "scheme",
        "type": "nominal",
        "sort": schemes,
        "title": None,
        "axis": {
            "labelColor": "var(--ink)",
            "grid": False,
            "domain": False,
            "ticks": False,
            "labelLimit": 150,
            "offset": 6,
        },
    }
    colour, here = by_scheme(look, schemes), {"y": y, "opacity": CHOSEN}
    layers = [
        {"mark": {"type": "rule", "color": "var(--muted)", "strokeDash": [4, 3]}, "encoding": {"x": {"datum": 1}}},
        {
            "mark": {"type": "rule", "strokeWidth": 2.5},
            "encoding": {"x": {"field": "left", **x}, "x2": {"field": "right"}, "color": colour["color"], **here},
        },
        {
            "transform": [{"filter": "datum.open"}],
            "mark": {"type": "point", "shape": "triangle-right", "filled": True},
            "encoding": {"x": {"field": "right", **x}, "color": colour["color"], **here},
        },
        {
            "transform": [{"filter": "datum.bound === '='"}],
            "mark": {"type": "point", "filled": True, "size": 75},
            "encoding": {"x": {"field": "share", **x}, **colour, **here},
        },
        {
            "transform": [{"filter": "datum.bound !== '='"}],
            "mark": {"type": "point", "filled": True, "size": 75, "stroke": "var(--ink)", "fill": "var(--paper)"},
            "encoding": {"x": {"field": "share", **x}, "shape": colour["shape"], **here},
        },
    ]
    return {"height": {"step": 22}, "layer": layers}
