"""Score against learning rate: every trial a point, what was lost a cross."""

from typing import Any

import pandas as pd

from study.figures.learning import beyond, bounds
from study.figures.style import Look
from study.figures.vega import CHOSEN, SEEN, Chart, Spec, by_scheme, spec_of, ticks
from study.records.ended import LOST

CAPTION = (
    "One point a trial, at the best score it had; crosses diverged or failed and stand at what they count as; hollow "
    "points were stopped early. Dashed: the target. A scheme that finds its own rate stands at the median of those "
    "that the trial used. Point at a trial to see it; drag across rates to ask what lies between two: the list of "
    "trials and their other charts follow."
)
BETWEEN = {"name": "between", "select": {"type": "interval", "encodings": ["x"]}}
COLUMNS = ["scheme", "lr", "score", "test_score", "status", "passes", "repetition", "trial", "seeds"]
BESIDE = ["run_id", "configuration"]
GONE = " || ".join(f"datum.status === '{status}'" for status in LOST)


def chart(trials: pd.DataFrame, look: dict[str, Look], target: float | None, mode: str, sentence: str) -> Chart | None:
    """The trials of one task that have a learning rate; None where there are none.

    Args:
        trials: one row a trial (`study.answers.trials`), with its configuration in words.
        look: of every scheme.
        target: drawn as a line; None: there is none.
        mode: max or min: the sense of scores.
        sentence: what the chart shows, in words.
    """
    here = trials["lr"].notna() & trials["score"].notna()
    known: Any = trials[here]
    if known.empty:
        return None
    data = known.reindex(columns=[*COLUMNS, *BESIDE]).reset_index(drop=True)
    told = set(data["scheme"])
    schemes = [scheme for scheme in look if scheme in told]
    ends = bounds(data["score"], data["status"].isin(list(LOST)), mode, target)
    inside = _drawn(schemes, look, target, ends, ticks(data["lr"].min(), data["lr"].max(), few=2))
    facet = {"facet": {"field": "scheme", "type": "nominal", "sort": schemes, "title": None}, "columns": 3}
    panels = spec_of({**facet, "spec": inside | {"width": 200, "height": 130}}, sentence)
    alive = spec_of(_brushed(inside) | {"width": "container", "height": 340}, sentence)
    rows = {"row": [place for place, one in enumerate(here) if one]}
    said = CAPTION + beyond(data["score"], ends)
    return Chart("score_against_rate", "Score against learning rate", said, sentence, alive, panels, data, rows)


def _drawn(
    schemes: list[str], look: dict[str, Look], target: float | None, ends: tuple[float, float], rates: list[float]
) -> Spec:
    x = {
        "field": "lr",
        "type": "quantitative",
        "scale": {"type": "log", "nice": False, "padding": 12},
        "title": "learning rate (logarithmic)",
        "axis": {"format": "~g", "values": rates, "labelOverlap": True},
    }
    scale = {"domain": list(ends), "clamp": True, "zero": False}
    y = {"field": "score", "type": "quantitative", "scale": scale, "title": "score"}
    colour, opacity = by_scheme(look, schemes), {"opacity": CHOSEN}
    hollow = {"test": "datum.status === 'stopped'", "value": "transparent"}
    points = {
        "transform": [{"filter": f"!({GONE})"}],
        "mark": {"type": "point", "size": 42, "strokeWidth": 1.3},
        "encoding": {"x": x, "y": y, **colour, **opacity, "fill": {"condition": hollow, **colour["color"]}},
    }
    crosses = {
        "transform": [{"filter": GONE}],
        "mark": {"type": "point", "size": 42, "strokeWidth": 1.5, "color": "var(--bad)", "shape": "M-1-1L1 1M1-1L-1 1"},
        "encoding": {"x": x, "y": y, **opacity},
    }
    rule = {"type": "rule", "color": "var(--muted)", "strokeDash": [4, 3]}
    dashed = {"mark": rule, "encoding": {"y": {"datum": target}}}
    return {"layer": [*([dashed] if target is not None else []), points, crosses]}


def _brushed(inside: Spec) -> Spec:
    """The same, with a range of rates that is dragged across; trials beyond it fade."""
    opacity = {**CHOSEN, "condition": {**CHOSEN["condition"], "test": {"and": [SEEN, {"param": "between"}]}}}
    *dashed, points, crosses = inside["layer"]
    faded = [{**one, "encoding": {**one["encoding"], "opacity": opacity}} for one in (points, crosses)]
    return {**inside, "layer": [*dashed, {**faded[0], "params": [BETWEEN]}, faded[1]]}
