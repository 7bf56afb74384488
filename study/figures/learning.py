"""Learning curves of the trials: score over cost, all grey, the best of every scheme in its colour."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from study.figures.style import Look
from study.figures.vega import SEEN, Chart, Spec, lines_by_scheme, rounded, spec_of, where
from study.records.ended import LOST

CAPTION = (
    "Validation score after every record, against what the trial had cost by then. Grey: all trials; in colour: the "
    "best of each scheme, or every one of the scheme that is chosen. Crosses: where a trial diverged or failed. "
    "Dashed: the target. Point at a curve to see whose it is."
)
POINTS = 12_000  # of all curves: more make a page heavy
FEWEST, RECORDS = 12, 40  # trials a scheme and records a trial, where there are more points
WIDE = 10.0  # times the range of the better nine tenths: scores beyond stand at the edge
DIGITS = {"score_then": 4, "seconds_then": 4}  # the others are counts, and few lists of them differ
KEYS = ["scheme", "repetition", "trial"]
FIELD, UNIT = "@field", "@unit"
"""As a `field` and a `title` of a page's specification: the column of the cost that its reader has chosen; its name."""
INSIDE = "(rates === null || (datum.lr >= rates[0] && datum.lr <= rates[1]))"
"""True of a trial whose rate lies within those that the reader has dragged across."""
THIN = {"type": "line", "aria": False, "strokeWidth": 0.8}
SHARE = 8  # of all curves in a file: one in so many, beside the best


def chart(
    curves: pd.DataFrame, trials: pd.DataFrame, look: Mapping[str, Look], target: float | None, mode: str, place: str
) -> Chart | None:
    """The curves of one task's trials; None where none was validated.

    Args:
        curves: one row a record of a trial (`study.answers.trials.shown_curves`).
        trials: one row a trial that ended (`study.answers.trials.shown`), with `best`, true of its scheme's best.
        look: of every scheme.
        target: drawn as a line; None: there is none.
        mode: max or min: the sense of scores.
        place: the task's name.
    """
    every = table(curves, trials)
    if every.empty:
        return None
    data = thinned(every, mode) if len(every) > POINTS else every
    ends = bounds(data["score_then"], data["lost"], mode, target)
    told: Any = data.drop_duplicates("row")
    names = set(told["scheme"])
    schemes = [scheme for scheme in look if scheme in names]
    lost = int(told["lost"].sum())
    sentence = f"Learning curves of {place}: {len(told):,} of {len(trials):,} trials, {lost:,} of them lost."
    said = CAPTION + _left_out(data, every, len(trials)) + beyond(data["score_then"], ends)
    inside = _drawn(schemes, look, target, ends)
    alive = spec_of({**inside, "width": "container", "height": 340}, sentence)
    unit = next((str(name) for name in data if str(name).endswith("_then") and name != "score_then"), "epoch")
    still = _for_file(spec_of({**inside, "width": 420, "height": 300}, sentence), data, unit)
    return Chart("learning_curves", "Learning curves", said, sentence, alive, still, data, columns(data))


def table(curves: pd.DataFrame, trials: pd.DataFrame) -> pd.DataFrame:
    """The points of all curves, one row a point; what has no score has none.

    Args:
        curves: as for `chart`.
        trials: as for `chart`; `row` is a trial's place among them.

    Returns:
        Columns row, scheme, repetition, trial, score, status, lost, lr, best, end (its last epoch), epoch, score_then
        and costs.
    """
    told: Any = trials.reset_index(drop=True).rename_axis("row").reset_index()
    told = told.assign(lost=told["status"].isin(list(LOST)))[["row", *KEYS, "score", "status", "lost", "lr", "best"]]
    known: Any = curves[np.isfinite(curves["score_then"].astype(float))]
    data: Any = told.merge(known, on=KEYS).sort_values(["row", "epoch"], kind="stable")
    data.insert(len(told.columns), "end", data.groupby("row")["epoch"].transform("max"))
    return data.reset_index(drop=True)


def thinned(data: pd.DataFrame, mode: str) -> pd.DataFrame:
    """Fewer points: so many trials a scheme, evenly by the rank of their score, and so many records of each, evenly.

    Args:
        data: as `table` gives it.
        mode: max or min: the sense of scores.

    Returns:
        Some of these rows: the best and the last trial of each scheme, the first and the last record of each trial.
    """
    records: Any = data.groupby("row").cumcount()
    number: Any = data.groupby("row")["row"].transform("size")
    kept: Any = data[evenly(records, number, RECORDS)]
    one: Any = kept.drop_duplicates("row").sort_values("score", ascending=mode == "min", kind="stable")
    one = one.sort_values("lost", kind="stable")
    groups: Any = one.groupby("scheme")
    most = max(FEWEST, POINTS // (len(groups) * int(min(number.max(), RECORDS))))
    rows = one.loc[evenly(groups.cumcount(), groups["row"].transform("size"), most), "row"]
    return kept[kept["row"].isin(rows)].reset_index(drop=True)


def evenly(place: pd.Series, number: pd.Series, most: int) -> pd.Series:
    """Mark at most so many places of each group, the first and the last among them, as evenly as whole numbers can.

    Args:
        place: of each row in its group, from 0.
        number: the rows of its group.
        most: the rows that are marked in one, two or more.

    >>> evenly(pd.Series(range(7)), pd.Series([7] * 7), 4).tolist()
    [True, False, True, False, True, False, True]
    """
    step = ((number - 1) / (most - 1)).clip(lower=1)
    return (place == ((place / step).round() * step).round()).astype(bool)


def bounds(points: Any, lost: Any, mode: str, target: float | None) -> tuple[float, float]:
    """The least and the greatest score of the axis: those of all points, but for some that would hide the others.

    Args:
        points: their scores, a column.
        lost: true of those of trials that were lost.
        mode: max or min: the sense of scores.
        target: inside the axis too; None: there is none.
    """
    sign = -1.0 if mode == "min" else 1.0
    scores = sign * points.to_numpy(float)
    sound = scores[~lost.to_numpy(bool)]
    top, usual = scores.max(), np.quantile(sound if len(sound) else scores, 0.1)
    least = scores[scores >= top - WIDE * (top - usual)].min() if top > usual else scores.min()
    ends = [float(sign * least), float(sign * top), *([] if target is None else [target])]
    low, high = min(ends), max(ends)
    return (low, high) if low < high else (low - 0.01, high + 0.01)


def columns(data: pd.DataFrame) -> dict[str, list[Any]]:
    """The points as a page has them: of each trial a list a column, or the place of an earlier, equal one.

    data: as `table` gives it.
    """
    starts = np.flatnonzero(np.diff(data["row"].to_numpy(), prepend=-1))
    one: Any = data.iloc[starts]
    made: dict[str, list[Any]] = {"row": one["row"].tolist(), "best": one["best"].astype(int).tolist()}
    made["end"] = [rounded(value) for value in one["end"]]
    for name in ("epoch", *(str(name) for name in data if str(name).endswith("_then"))):
        lists, digits = np.split(data[name].to_numpy(float), starts[1:]), DIGITS.get(name, 6)
        first: dict[bytes, int] = {}
        places = [first.setdefault(values.tobytes(), place) for place, values in enumerate(lists)]
        made[name] = [
            [rounded(value, digits) for value in values.tolist()] if places[place] == place else places[place]
            for place, values in enumerate(lists)
        ]
    return made


LOST_ONES = f"indexof({json.dumps(sorted(LOST))}, datum.status) >= 0"


def _drawn(schemes: list[str], look: Mapping[str, Look], target: float | None, ends: tuple[float, float]) -> Spec:
    """The layers: target, all curves, those of the scheme that is chosen, the best, that pointed at, and crosses."""
    text = "datum.value >= 1e6 ? format(datum.value, '~s') : format(datum.value, ',~g')"
    axis = {"labelExpr": text, "labelOverlap": True, "grid": False}
    x = {"field": FIELD, "type": "quantitative", "scale": {"nice": False, "zero": True}, "axis": axis, "title": UNIT}
    scale = {"domain": list(ends), "clamp": True, "zero": False}
    y = {"field": "score_then", "type": "quantitative", "scale": scale, "title": "score"}
    at, colour = {"x": x, "y": y, "detail": {"field": "row"}}, lines_by_scheme(look, schemes, legend=False)
    fades = {"opacity": {"condition": {"test": f"({SEEN}) && {INSIDE}", "value": 0.3}, "value": 0.05}}
    own = {**at, **colour, "opacity": {"condition": {"test": INSIDE, "value": 0.9}, "value": 0.12}}
    cross = {"type": "point", "shape": "M-1-1L1 1M1-1L-1 1", "size": 36, "color": "var(--bad)", "aria": False}
    dashed = {"type": "rule", "color": "var(--muted)", "strokeDash": [4, 3]}
    top = {**THIN, "strokeWidth": 2.5, "color": "var(--ink)"}
    layers: list[Spec] = [
        {"mark": {**THIN, "color": "var(--muted)"}, "encoding": {**at, **fades}},
        {**where("datum.scheme === chosen"), "mark": {**THIN, "strokeWidth": 1.2}, "encoding": own},
        {**where(f"datum.best && ({SEEN})"), "mark": {**THIN, "strokeWidth": 2.2}, "encoding": own},
        {**where("datum.row === pointed"), "mark": top, "encoding": at},
        {**where(f"{LOST_ONES} && datum.epoch === datum.end"), "mark": cross, "encoding": {**at, **fades}},
        *([{"mark": dashed, "encoding": {"y": {"datum": target}}}] if target is not None else []),
    ]
    return {"layer": layers}


def _for_file(spec: Spec, data: pd.DataFrame, field: str) -> Spec:
    """The specification for a file: with this cost along its axis, and a few of the grey curves."""
    few: Any = data.loc[data["best"] | (data["row"] % SHARE == 0)]
    few = few[["row", "scheme", "best", "status", "lr", "end", "epoch", field, "score_then"]]
    along = {"field": field, "title": f"{field.removesuffix('_then')}; one trial in {SHARE}, and the best"}
    layers = [
        {**one, "encoding": {**one["encoding"], "x": one["encoding"]["x"] | along}} if "x" in one["encoding"] else one
        for one in spec["layer"]
    ]
    return {**spec, "layer": layers, "data": {"values": few.loc[:, ~few.columns.duplicated()].to_dict("records")}}


def _left_out(data: pd.DataFrame, every: pd.DataFrame, trials: int) -> str:
    """The caption's words about curves and points that are not drawn."""
    drawn, known = (len(set(rows["row"])) for rows in (data, every))
    words = f" {trials - known:,} trials were never scored and have none." if known < trials else ""
    if drawn < known:
        words += f" {drawn:,} of {known:,} trials, evenly by rank within each scheme, the best among them."
    return words + (f" At most {RECORDS} records of each." if len(data) < len(every) else "")


def beyond(points: Any, ends: tuple[float, float]) -> str:
    """The caption's words about scores that the axis leaves out; empty where it leaves out none.

    Args:
        points: their scores, a column.
        ends: of the axis.
    """
    number = int(((points < ends[0]) | (points > ends[1])).sum())
    return f" Scores beyond the axis stand at its edge ({number:,})." if number else ""
