"""The expected best of k trials against k, with a band where its interval covers."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from study.answers.results import Result
from study.figures.style import MUTED, LineEnd, Look, Panel, canvas, margin, name_ends, plainly


def panel(here: list[Result], look: Mapping[str, Look]) -> Panel | None:
    """One task's curves.

    Args:
        here: the results of one task.
        look: of every scheme.

    Returns:
        The figure; None where no scheme has a curve.
    """
    here = [result for result in here if result.expected_best]
    if not here:
        return None
    axes = canvas(3.3, right=margin(result.scheme for result in here) + 0.25)
    draw(axes, here, look)
    return Panel(here[0].task, axes.figure, data(here))


def draw(axes: Any, here: list[Result], look: Mapping[str, Look]) -> None:
    """Every curve onto the axes, the target as a line where there is one.

    Args:
        axes: to draw on.
        here: results of one task, each with an expected best.
        look: of every scheme.
    """
    ends = []
    for result in here:
        colour, style, marker = look[result.scheme]
        ks = sorted(result.expected_best)
        best = [result.expected_best[k] for k in ks]
        axes.plot(ks, best, linestyle=style, color=colour, marker=marker, markersize=3.8, linewidth=1.6)
        banded = sorted(result.expected_best_interval)
        if banded:
            low, high = zip(*(result.expected_best_interval[k] for k in banded), strict=True)
            axes.fill_between(banded, low, high, color=colour, alpha=0.14, linewidth=0)
        ends.append(LineEnd(ks[-1], best[-1], result.scheme))
    if here[0].target is not None:
        axes.axhline(here[0].target, color=MUTED, linewidth=0.9, dashes=(2, 2))
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(plainly)
    axes.set(xlabel="trials k", ylabel="expected best score of k")
    name_ends(axes, ends, look)


def data(here: list[Result]) -> pd.DataFrame:
    """The numbers that the figure draws, one row a (scheme, k)."""
    rows = []
    for result in here:
        for k, best in sorted(result.expected_best.items()):
            low, high = result.expected_best_interval.get(k, (None, None))
            test = result.expected_test.get(k)
            rows.append((result.task, result.scheme, k, best, low, high, test))
    columns = ["task", "scheme", "k", "expected_best", "low", "high", "expected_test"]
    return pd.DataFrame(rows, columns=columns)
