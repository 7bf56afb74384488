"""The cost of the target to each scheme: expected, with its interval, the cheapest first."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from study.answers.results import Result
from study.figures.style import INK, MUTED, Look, Panel, canvas, logarithmic, margin, short

NEAREST = 1e-12  # a cost of nothing has no place on a logarithmic axis


def panel(here: list[Result], look: Mapping[str, Look], baseline: str | None) -> Panel | None:
    """One task's costs up to the target.

    Args:
        here: the results of one task.
        look: of every scheme.
        baseline: the scheme whose cost is a line across all; None: there is none.

    Returns:
        The figure; None where no scheme has a cost.
    """
    here = ordered(here)
    if not here:
        return None
    names = margin(result.scheme for result in here)
    axes = canvas(0.75 + 0.34 * len(here), left=names + 0.12, right=0.3)
    draw(axes, here, look, baseline)
    return Panel(here[0].task, axes.figure, data(here))


def ordered(here: list[Result]) -> list[Result]:
    """Those with a cost, the cheapest first, those that never reached the target last."""
    known = [result for result in here if result.expected_cost.estimate is not None]
    return sorted(known, key=lambda result: (result.censored, result.expected_cost.estimate))


def draw(axes: Any, here: list[Result], look: Mapping[str, Look], baseline: str | None) -> None:
    """One row a scheme; an arrow where the interval has no end, a hollow point where the cost is a lower bound.

    Args:
        axes: to draw on.
        here: results of one task with a cost, from top to bottom.
        look: of every scheme.
        baseline: the scheme whose cost is a line across all; None: there is none.
    """
    costs = [result.expected_cost for result in here]
    ends = [end for cost in costs for end in (cost.estimate, cost.high) if end is not None and math.isfinite(end)]
    edge = 1.6 * max(ends)
    for place, result in enumerate(here):
        _row(axes, place, result, look[result.scheme], edge)
        if result.scheme == baseline and result.expected_cost.estimate:
            axes.axvline(result.expected_cost.estimate, color=MUTED, linewidth=0.9, dashes=(2, 2))
    logarithmic(axes.xaxis)
    names = [short(result.scheme) for result in here]
    axes.set_yticks(range(len(here)), names)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(len(here) - 0.4, -0.75)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"{costs[0].unit or 'cost'} up to the first hit (logarithmic)")


def _row(axes: Any, place: int, result: Result, look: Look, edge: float) -> None:
    cost = result.expected_cost
    value = max(cost.estimate or 0.0, NEAREST)
    low = value if cost.low is None else max(cost.low, NEAREST)
    open_end = cost.high is not None and math.isinf(cost.high)
    high = edge if open_end else value if cost.high is None else cost.high
    axes.plot([low, high], [place, place], color=look.colour, linewidth=2.2, solid_capstyle="butt")
    if open_end:
        axes.plot(edge, place, marker=">", color=look.colour, markersize=5)
    face = "#ffffff" if result.censored else look.colour
    axes.plot(value, place, look.marker, color=look.colour, markersize=6.5, markerfacecolor=face)
    text = f"{'≥ ' if result.censored else ''}{value:,.4g}" if value < 1000 else f"{value:,.0f}"
    text = f"≥ {text}" if result.censored and value >= 1000 else text
    axes.annotate(text, (value, place), (0, 5.5), textcoords="offset points", ha="center", fontsize=8, color=INK)


def data(here: list[Result]) -> pd.DataFrame:
    """The numbers that the figure draws, one row a scheme."""
    rows = []
    for result in here:
        cost = result.expected_cost
        rows.append((result.task, result.scheme, cost.unit, cost.estimate, cost.low, cost.high, result.censored))
    columns = ["task", "scheme", "unit", "expected_cost", "low", "high", "lower_bound"]
    return pd.DataFrame(rows, columns=columns)
