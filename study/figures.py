"""Two figures of a summary: the expected best of k with its bands, and what the target costs."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from study.answers.results import Result

mpl.use("Agg")
from matplotlib.figure import Figure

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
"""Okabe and Ito's, told apart by people who do not see all colours; without yellow, lost on white."""
STYLES, MARKERS = ["-", "--", ":", "-."], ["o", "s", "^", "D", "v"]


def expected_best(results: list[Result]) -> Figure:
    """The expected best of k against k, one panel a task; a band where its interval covers."""
    tasks = _by_task(results, lambda result: bool(result.expected_best))
    figure = Figure(figsize=(6.4, 1.0 + 3.6 * max(1, len(tasks))), layout="constrained")
    for axes, (task, here) in zip(_panels(figure, len(tasks)), tasks.items(), strict=False):
        ends = []
        for place, result in enumerate(here):
            ks = sorted(result.expected_best)
            best = [result.expected_best[k] for k in ks]
            colour, style = COLOURS[place % len(COLOURS)], STYLES[place % len(STYLES)]
            axes.plot(
                ks,
                best,
                style,
                color=colour,
                marker=MARKERS[place % len(MARKERS)],
                markersize=4.5,
                linewidth=1.6,
            )
            banded = sorted(result.expected_best_interval)
            if banded:
                low, high = zip(*(result.expected_best_interval[k] for k in banded), strict=True)
                axes.fill_between(banded, low, high, color=colour, alpha=0.15, linewidth=0)
            ends.append((ks[-1], best[-1], result.scheme, colour))
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(title=task, xlabel="trials k", ylabel="expected best score of k")
        _label_ends(axes, ends)
    figure.suptitle("Expected best of k trials (bands: 95 %, where they cover)", fontsize=11)
    return figure


def cost_to_target(results: list[Result]) -> Figure:
    """Expected cost up to the target with its interval, one panel a task; an arrow where it has no end."""
    tasks = _by_task(results, lambda result: result.expected_cost.estimate is not None)
    heights = [1.1 + 0.45 * len(here) for here in tasks.values()] or [1.5]
    figure = Figure(figsize=(6.4, 0.6 + sum(heights)), layout="constrained")
    for axes, (task, here) in zip(_panels(figure, len(tasks), heights), tasks.items(), strict=False):
        known = [end for r in here for end in (r.expected_cost.estimate, r.expected_cost.high) if end]
        edge = 2.0 * max(known, default=1.0)
        for place, result in enumerate(here):
            _draw_cost(axes, place, result, edge)
        axes.set_xscale("log")
        axes.set_yticks(range(len(here)), [result.scheme for result in here])
        axes.set_ylim(len(here) - 0.4, -0.6)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
        axes.set(title=task, xlabel=f"{here[0].expected_cost.unit or 'cost'} up to the first hit (log scale)")
    figure.suptitle("Cost to target (bars: 95 %; arrow: unbounded; hollow: a lower bound)", fontsize=11)
    return figure


def save(results: list[Result], folder: Path) -> list[Path]:
    """Write both figures as PNG into the folder; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {"expected_best.png": expected_best(results), "cost_to_target.png": cost_to_target(results)}
    for name, figure in made.items():
        figure.savefig(folder / name, dpi=150, facecolor="white")
    return [folder / name for name in made]


def _draw_cost(axes: Any, place: int, result: Result, edge: float) -> None:
    quantity, colour = result.expected_cost, COLOURS[place % len(COLOURS)]
    value = quantity.estimate or 0.0
    low, high = quantity.low if quantity.low is not None else value, quantity.high
    axes.plot([max(low, 1e-12), edge if high is None else high], [place, place], color=colour, linewidth=2)
    if high is None:
        axes.plot(edge, place, marker=">", color=colour, markersize=7)
    axes.plot(value, place, "o", color=colour, markersize=8, markerfacecolor="white" if result.censored else colour)
    text = (
        f"{'≥ ' if result.censored else ''}{value:,.4g}"
        if value < 1000
        else f"{'≥ ' if result.censored else ''}{value:,.0f}"
    )
    axes.annotate(text, (value, place), (0, 7), textcoords="offset points", ha="center", fontsize=8)


def _label_ends(axes: Any, ends: list[tuple[float, float, str, str]]) -> None:
    """Write each scheme's name beside the end of its curve, moved apart where two would touch."""
    if not ends:
        return
    low, high = axes.get_ylim()
    ends = sorted(ends, key=lambda end: end[1])
    gap, places = 0.05 * (high - low), [-np.inf]
    for _, y, _, _ in ends:
        places.append(max(y, places[-1] + gap))
    moved = np.array(places[1:]) - [end[1] for end in ends]
    for (x, y, name, colour), up in zip(ends, (moved - moved.mean()) / (high - low) * 230, strict=True):
        place = {"xytext": (8, up), "textcoords": "offset points", "va": "center"}
        axes.annotate(name, (x, y), color=colour, fontsize=9, annotation_clip=False, **place)
    axes.margins(x=0.12)


def _by_task(results: list[Result], has: Any) -> dict[str, list[Result]]:
    tasks: dict[str, list[Result]] = {}
    for result in results:
        if has(result):
            tasks.setdefault(result.task, []).append(result)
    return tasks


def _panels(figure: Figure, count: int, heights: list[float] | None = None) -> list[Any]:
    if count == 0:
        figure.text(0.5, 0.4, "not defined for any scheme: see the notes", ha="center")
        return []
    made = figure.subplots(count, 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes in made:
        axes.grid(alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    return list(made)
