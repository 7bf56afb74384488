"""Tables about the networks of a study: distances of labels, averages of weights, falls of the rate."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from study.reports.terminal import TextTable


def network_tables(distance: pd.DataFrame, average: pd.DataFrame) -> list[TextTable]:
    """Two tables of words: how far arms are apart as functions, and what averages of their weights score.

    Args:
        distance: as `study.answers.networks.distances` gives it.
        average: as `study.answers.networks.averages` gives it, of all arms.
    """
    made: list[TextTable] = []
    moments = sorted(set(distance["record"]))
    pairs: Any = distance.groupby(["first", "second"], sort=False)
    rows = [[f"{first}, {second}", *_at(of_pair, moments)] for (first, second), of_pair in pairs]
    title = "Distance of predicted labels, and what it would be of one family (* where chance is below 0.01)"
    made.append(TextTable(title, ["arms", *(f"record {moment}" for moment in moments)], rows, []))
    groups: Any = average.groupby(["arm", "weights"], sort=False)["score"]
    scores = [
        [arm, what, f"{mean:.4f}", f"{low:.4f} to {high:.4f}"] for (arm, what), mean, low, high in _spread(groups)
    ]
    made.append(TextTable("Averages of weights, on validation", ["arm", "weights", "mean", "range"], scores, []))
    return made


def fall_table(drops: pd.DataFrame) -> TextTable:
    """The effect of falls of the rate on effective rates, the median of the seeds, beside theory."""
    groups: Any = drops.groupby(["arm", "tensor"], sort=False)
    columns = ["arm", "tensor", "at once", "theory", "in the end", "theory", "settled"]
    rows = [
        [arm, tensor, *(f"{value:.3f}" for value in _beside(rows)), "yes" if rows["settled"].all() else "no"]
        for (arm, tensor), rows in groups
    ]
    return TextTable("Effective rate after a fall of the rate, over the one before", columns, rows, [])


def _beside(rows: Any) -> list[float]:
    factor = float(rows["factor"].median())
    return [float(rows["at_once"].median()), 1 / factor, float(rows["in_the_end"].median()), factor**-0.5]


def _spread(groups: Any) -> Iterable[tuple[Any, float, float, float]]:
    for name, scores in groups:
        yield name, float(scores.mean()), float(scores.min()), float(scores.max())


def _at(of_pair: Any, moments: Iterable[int]) -> list[str]:
    """The distances of a pair, one a moment; arms that keep other records have none there."""
    told = {one.record: _told(one) for one in of_pair.itertuples()}
    return [told.get(moment, "") for moment in moments]


def _told(one: Any) -> str:
    return f"{one.distance:.3f} ({one.expected:.3f}){'*' if one.chance < 0.01 else ''}"
