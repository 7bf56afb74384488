"""Settled cells against theory: norm, effective rate, angle and relaxation of every scale-invariant tensor."""

from typing import Any

import numpy as np

from study.answers.grids import Grid
from study.figures.style import COLOURS, INK, MARKERS, MUTED, Panel, canvas, logarithmic, short

KEYED = 4  # tensors with a name of their own in the key; all others are drawn alike
TITLES = {"norm": "norm", "effective_lr": "effective rate", "angle": "angle", "steps": "relaxation"}


def panels(grid: Grid) -> list[Panel]:
    """Settled cells of one arm against theory: norm, effective rate, angle, relaxation; none without a point."""
    settled: Any = grid.turning[grid.turning["settled"].astype(bool)]
    settled = settled.assign(ratio=settled["rate"] / settled["decay"])
    relaxed = grid.relaxations
    made = [
        _panel(settled, "ratio", "norm", ("η/λ", "norm ‖w‖"), 0.25),
        _panel(settled, "product", "effective_lr", ("ηλ", "effective rate η/‖w‖²"), 0.5),
        _panel(settled, "angle_predicted", "angle", ("predicted √(2ηλ/(1+μ))", "angle a step (rad)"), None),
        _panel(relaxed, "predicted", "steps", ("predicted 1/(4ηλ)", "relaxation time of ‖w‖⁴ (steps)"), None),
    ]
    named = [panel._replace(title=f"{grid.arm}: {panel.title}") for panel in made if panel]
    return [panel._replace(data=panel.data.assign(arm=grid.arm)) for panel in named]


def _panel(rows: Any, x: str, y: str, names: tuple[str, str], slope: float | None) -> Panel | None:
    """Points a tensor, and theory: a line of that slope through their middle, or y = x where nothing is free."""
    rows = rows[(rows[x].astype(float) > 0) & (rows[y].astype(float) > 0)]
    if rows.empty:
        return None
    axes = canvas(2.6, width=3.6, left=0.68)
    tensors = list(dict.fromkeys(rows["tensor"]))
    for place, tensor in enumerate(tensors):
        here = rows[rows["tensor"] == tensor]
        colour = COLOURS[min(place, KEYED)]
        axes.plot(here[x].astype(float), here[y].astype(float), linestyle="none", marker=MARKERS[min(place, KEYED)],
                  markersize=3.4, color=colour, alpha=0.6)  # fmt: skip
        if slope is not None:
            _theory(axes, here[x].astype(float), here[y].astype(float), slope)
    if slope is None:
        ends = np.array([rows[x].astype(float).min(), rows[x].astype(float).max()])
        axes.plot(ends, ends, color=MUTED, linewidth=1.0, dashes=(3, 2))
    for axis in (axes.xaxis, axes.yaxis):
        logarithmic(axis, most=5)
    axes.set(xlabel=names[0], ylabel=names[1])
    for line, tensor in enumerate(tensors[:KEYED] if len(tensors) > 1 else []):
        axes.text(0.03, 0.95 - 0.09 * line, short(tensor), transform=axes.transAxes, fontsize=8, va="center",
                  color=COLOURS[line] if len(tensors) > 1 else INK)  # fmt: skip
    return Panel(TITLES[y], axes.figure, rows.reset_index(drop=True))


def _theory(axes: Any, x: Any, y: Any, slope: float) -> None:
    """The line of that slope through the geometric middle of the points."""
    ends = np.array([x.min(), x.max()])
    middle = np.log(x).mean(), np.log(y).mean()
    axes.plot(ends, np.exp(middle[1] + slope * (np.log(ends) - middle[0])), color=MUTED, linewidth=1.0, dashes=(3, 2))
