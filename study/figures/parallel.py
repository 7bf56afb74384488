"""Parallel coordinates: a line a trial through the values of its hyper-parameters and its score, of one scheme."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from study.answers.configurations import Configurations
from study.figures.learning import INSIDE, KEYS, evenly
from study.figures.style import Look
from study.figures.vega import Chart, Spec, lines_by_scheme, rounded, spec_of, ticks, where
from study.records.ended import LOST
from study.search.importance import BEST, FEWEST_BEST
from trainables.space import Choice, Derived, Domain, LogNormal, LogUniform, OverLr, Value

CAPTION = (
    "A line a trial, through what was drawn for it to its score; in colour: the best tenth of the scheme's trials, or "
    "the best five where those are more. Axes are logarithmic where the search is; choices stand in their order. "
    "Choose a scheme to see its own, else it is the cheapest of those that search several numbers. Point at a line to "
    "see its trial."
)
MOST = 60  # lines of one scheme beside the best: more hide each other


class Axis(NamedTuple):
    """One upright axis: how it is called, the ends of its values, and those that are written beside it."""

    name: str
    low: float
    high: float
    logarithmic: bool
    marks: dict[Value, float]  # value → place from 0, below, to 1

    def place(self, value: Value) -> float:
        """The place of a value from 0, below, to 1; one beyond an end stands at it."""
        if value in self.marks:
            return self.marks[value]
        return min(max(_share(float(value), self.low, self.high, self.logarithmic), 0.0), 1.0)  # type: ignore[arg-type]


def chart(
    told: Sequence[Configurations], trials: pd.DataFrame, look: Mapping[str, Look], mode: str, cheapest: Sequence[str]
) -> Chart | None:
    """The chart of one task; None where no scheme searches two numbers or more.

    Args:
        told: what was drawn for the trials of its arms.
        trials: one row a trial that ended: `row` is a trial's place among them.
        look: of every scheme.
        mode: max or min: the sense of scores.
        cheapest: all schemes, the cheapest first; the first that has lines is drawn until another is chosen.
    """
    drawn = [one for one in told if sum(map(_numeric, one.space.values())) > 1]
    if not drawn:
        return None
    axes = {one.scheme: axes_of(one) for one in drawn}
    data = pd.concat([table(one, axes[one.scheme], trials, mode) for one in drawn], ignore_index=True)
    first = next((scheme for scheme in cheapest if scheme in axes), drawn[0].scheme)
    names = ", ".join(dict.fromkeys(axis.name for one in axes.values() for axis in one[:-1]))
    sentence = f"The trials of {', '.join(axes)} by what was drawn for them, and their score: {names}."
    inside = _drawn(axes, look, first) | {"usermeta": {"first": first}}
    alive, still = (spec_of({**inside, "width": width, "height": 260}, sentence) for width in ("container", 420))
    title = "Hyper-parameters against the score"
    return Chart("parallel", title, _caption(data, drawn), sentence, alive, still, data, columns(data))


def axes_of(one: Configurations) -> list[Axis]:
    """An axis a hyper-parameter, in the order of the search space, and one of the score.

    one: the trials of one arm, and what was drawn for them.
    """
    made = [_axis(key, domain, [values[key] for values in one.values]) for key, domain in one.space.items()]
    scores: Any = one.trials["score"].to_numpy(float)
    return [*made, _even("score", float(scores.min()), float(scores.max()))]


def table(one: Configurations, axes: Sequence[Axis], trials: pd.DataFrame, mode: str) -> pd.DataFrame:
    """The points of the lines of one scheme that are drawn, one row a (trial, axis).

    Args:
        one: its trials, and what was drawn for them.
        axes: as `axes_of` gives them.
        trials: as for `chart`.
        mode: max or min: the sense of scores.

    Returns:
        Columns row, scheme, repetition, trial, lr, good (one of the best tenth), axis, value, at and place.
    """
    rows: Any = trials.reset_index(drop=True).rename_axis("row").reset_index()[["row", *KEYS, "lr", "status"]]
    told: Any = one.trials[[*KEYS, "score"]].assign(of=range(len(one.values))).merge(rows, on=KEYS)
    told = told.assign(lost=told["status"].isin(list(LOST)))
    told = told.sort_values("score", ascending=mode == "min", kind="stable").sort_values("lost", kind="stable")
    number, place = pd.Series(len(told), index=told.index), pd.Series(range(len(told)), index=told.index)
    told["good"] = place < max(FEWEST_BEST, math.ceil(BEST * len(told)))
    told = told[told["good"] | evenly(place, number, MOST)]
    made = []
    for trial in told.itertuples():
        values = [*one.values[trial.of].values(), float(trial.score)]
        about = (trial.row, trial.scheme, trial.repetition, trial.trial, trial.lr, bool(trial.good))
        made += [
            (*about, axis.name, value, at / (len(axes) - 1), axis.place(value))
            for at, (axis, value) in enumerate(zip(axes, values, strict=True))
        ]
    return pd.DataFrame(made, columns=["row", *KEYS, "lr", "good", "axis", "value", "at", "place"])


def columns(data: pd.DataFrame) -> dict[str, list[Any]]:
    """The lines as a page has them; what else is told of a trial it has already.

    data: as `table` gives it.
    """
    groups: Any = data.groupby("row", sort=False)
    places = groups["place"].agg(list)
    return {
        "row": [int(row) for row in places.index],
        "good": groups["good"].first().astype(int).tolist(),
        "at": [[rounded(at, 4) for at in values] for values in groups["at"].agg(list)],
        "place": [[rounded(place, 4) for place in values] for values in places],
    }


def _axis(key: str, domain: Domain, values: Sequence[Value]) -> Axis:
    """The axis of one hyper-parameter: a product with the rate, or a ratio, is drawn as it was searched."""
    if isinstance(domain, Derived):
        sign = "×" if isinstance(domain, OverLr) else "/"
        return _axis(f"{key} {sign} lr", domain.inner, values)
    if isinstance(domain, Choice):
        last = max(len(domain.options) - 1, 1)
        return Axis(key, 0.0, 1.0, False, {option: place / last for place, option in enumerate(domain.options)})
    if isinstance(domain, LogUniform | LogNormal):
        numbers = [float(value) for value in values]  # type: ignore[arg-type]
        ends = (domain.low, domain.high) if isinstance(domain, LogUniform) else (min(numbers), max(numbers))
        marks = ticks(*ends) if ends[0] < ends[1] else [ends[0]]
        return Axis(key, *ends, True, {mark: _share(mark, *ends, True) for mark in marks})
    return _even(key, float(domain.low), float(domain.high))


def _even(name: str, low: float, high: float) -> Axis:
    """An axis of even steps: both ends and the middle are written beside it."""
    marks = {float(f"{low + (high - low) * share:.4g}"): share for share in (0.0, 0.5, 1.0)}
    return Axis(name, low, high, False, {mark: _share(mark, low, high, False) for mark in marks})


def _share(value: float, low: float, high: float, logarithmic: bool) -> float:
    """The place of a value between two ends, 0 to 1."""
    if low == high:
        return 0.5
    return math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)


def _numeric(domain: Domain) -> bool:
    """Tell domains of numbers from those of words and switches."""
    inner = domain.inner if isinstance(domain, Derived) else domain
    options = inner.options if isinstance(inner, Choice) else ()
    return all(isinstance(option, int | float) and not isinstance(option, bool) for option in options)


def shown(schemes: Sequence[str], first: str) -> str:
    """The scheme of which a chart is drawn, as an expression: that which is chosen, where it has one.

    Args:
        schemes: those that have one.
        first: drawn until one of them is chosen.
    """
    return f"(indexof({json.dumps(list(schemes))}, chosen) >= 0 ? chosen : {json.dumps(first)})"


def _drawn(axes: Mapping[str, Sequence[Axis]], look: Mapping[str, Look], first: str) -> Spec:
    """The lines of the scheme that is shown, the best of them, that pointed at; axes with their names and marks."""
    schemes = [scheme for scheme in look if scheme in axes]
    mine = f"datum.scheme === {shown(schemes, first)}"
    x, y = (
        {"field": field, "type": "quantitative", "axis": None, "scale": {"domain": [0, 1], "nice": False}}
        for field in ("at", "place")
    )
    through = {"x": x, "y": y, "detail": {"field": "row"}, "order": {"field": "at"}}
    faint, clear = ({"condition": {"test": INSIDE, "value": value}, "value": 0.05} for value in (0.3, 0.9))
    best = {**through, "color": lines_by_scheme(look, schemes, legend=False)["color"], "opacity": clear}
    grey, ink = ({"type": "line", "aria": False, "color": f"var(--{name})"} for name in ("muted", "ink"))
    words = {"type": "text", "aria": False, "fontSize": 10, "color": "var(--muted)", "align": "left", "dx": 4}
    head = {**words, "fontSize": 11, "color": "var(--ink)", "dx": 0, "dy": -10, "angle": -12, "y": 0}
    text = {"x": x, "text": {"field": "name"}}
    names, marks = ({"data": {"values": values}, **where(mine)} for values in _written(axes))
    layers = [
        {**where(mine), "mark": {**grey, "strokeWidth": 0.8}, "encoding": {**through, "opacity": faint}},
        {**where(f"{mine} && datum.good"), "mark": {**ink, "strokeWidth": 1.8}, "encoding": best},
        {**where(f"{mine} && datum.row === pointed"), "mark": {**ink, "strokeWidth": 2.5}, "encoding": through},
        {**names, "mark": {**grey, "type": "rule"}, "encoding": {"x": x}},
        {**names, "mark": head, "encoding": text},
        {**marks, "mark": words, "encoding": {**text, "y": y}},
    ]
    title = {"anchor": "start", "fontSize": 12, "color": "var(--ink)", "offset": 14}
    return {"title": {"text": {"expr": shown(schemes, first)}, **title}, "layer": layers}


def _written(axes: Mapping[str, Sequence[Axis]]) -> tuple[list[Spec], list[Spec]]:
    """The names of the axes, and the values beside them, with their places."""
    names: list[Spec] = []
    marks: list[Spec] = []
    for scheme, told in axes.items():
        for number, axis in enumerate(told):
            at = {"scheme": scheme, "at": number / (len(told) - 1)}
            names.append({**at, "name": axis.name})
            marks += [{**at, "place": place, "name": _text(value)} for value, place in axis.marks.items()]
    return names, marks


def _text(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _caption(data: pd.DataFrame, told: Sequence[Configurations]) -> str:
    """The caption, with what is left out."""
    lines, every = len(set(data["row"])), sum(len(one.values) for one in told)
    return CAPTION + (f" {lines:,} of {every:,} trials, evenly by rank, and the best." if lines < every else "")
