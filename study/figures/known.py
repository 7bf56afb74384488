"""The cost of tuning against how well the rate is known, one curve a scheme, a band where its interval has ends."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from study.answers.results import KnownCost, Result
from study.figures.style import LineEnd, Look, Panel, canvas, logarithmic, margin, name_ends


def panel(here: list[Result], look: Mapping[str, Look]) -> Panel | None:
    """One task's curves.

    Args:
        here: the results of one task.
        look: of every scheme.

    Returns:
        The figure; None where no rate that could be known better is searched, or nothing is known of it.
    """
    curves = {result.scheme: _points(result) for result in here}
    curves = {scheme: points for scheme, points in curves.items() if points}
    if not any(result.known_field for result in here if result.scheme in curves):
        return None
    axes, ends = canvas(3.3, left=0.98, right=margin(curves) + 0.25), []
    for scheme, points in curves.items():
        colour, style, marker = look[scheme]
        factors, costs = [point.factor for point in points], [point.estimate for point in points]
        every = max(1, len(points) // 8)
        axes.plot(
            factors, costs, linestyle=style, color=colour, marker=marker, markevery=every, markersize=3.8, linewidth=1.6
        )
        banded = [point for point in points if point.low and point.high is not None and math.isfinite(point.high)]
        low, high = [point.low for point in banded], [point.high for point in banded]
        axes.fill_between([point.factor for point in banded], low, high, color=colour, alpha=0.1, linewidth=0)
        ends.append(LineEnd(factors[-1], costs[-1] or 0.0, scheme))
    logarithmic(axes.xaxis)
    logarithmic(axes.yaxis)
    unit = here[0].expected_cost.unit or "cost"
    axes.set(xlabel="the rate is known within a factor of (logarithmic)", ylabel=f"{unit} up to the first hit")
    name_ends(axes, ends, look)
    return Panel(here[0].task, axes.figure, data(here))


def _points(result: Result) -> list[KnownCost]:
    """The points of a curve that has a place on logarithmic axes."""
    return [point for point in result.known_cost if point.estimate]


def data(here: list[Result]) -> pd.DataFrame:
    """The numbers that the figure draws, one row a (scheme, window)."""
    rows: list[tuple[Any, ...]] = []
    for result in here:
        for point in _points(result):
            known = result.known_field, point.decades, point.factor
            rows.append((result.task, result.scheme, *known, point.unit, point.estimate, point.low, point.high))
    columns = ["task", "scheme", "field", "decades", "factor", "unit", "expected_cost", "low", "high"]
    return pd.DataFrame(rows, columns=columns)
