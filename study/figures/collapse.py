"""Score against ηλ, coloured by η: where only the product matters, all colours lie on one curve."""

from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_hex

from study.answers.grids import Grid
from study.figures.style import INK, MARKERS, Panel, canvas, logarithmic, plainly

SHADES = LinearSegmentedColormap.from_list("rates", ["#3f8fd6", "#9a6fd0", "#d4568a", "#e5683a", "#d99a1f"])
"""From small to large rates; all of them can be seen on a light and on a dark page."""
WIDEST = 12  # rates with a name of their own in the key


def panel(grid: Grid) -> Panel:
    """Scores of one arm against ηλ: a point a training, hollow where its cell had not settled; lines join the means."""
    rates = sorted(set(grid.cells["rate"]))
    colours = [to_hex(colour) for colour in SHADES(np.linspace(0, 1, len(rates)))]
    axes = canvas(3.2, right=0.75)
    for place, (rate, colour) in enumerate(zip(rates, colours, strict=True)):
        marker = MARKERS[place % len(MARKERS)]
        rows: Any = grid.cells[grid.cells["rate"] == rate]
        means = rows.groupby("product")["score"].mean()
        axes.plot(means.index, means, color=colour, linewidth=0.8, alpha=0.6)
        for settled, face in ((True, colour), (False, "none")):
            here = rows[rows["settled"] == settled]
            axes.plot(here["product"], here["score"], linestyle="none", marker=marker, markersize=4.2, color=colour,
                      markerfacecolor=face, markeredgewidth=0.9, alpha=0.85)  # fmt: skip
    logarithmic(axes.xaxis)
    axes.set(xlabel="learning rate × weight decay ηλ", ylabel="validation score")
    _key(axes, rates, colours)
    return Panel(grid.arm, axes.figure, grid.cells.assign(arm=grid.arm))


def _key(axes: Any, rates: list[float], colours: list[str]) -> None:
    """The rates beside the plot, the largest on top, each with its mark."""
    shown = list(enumerate(zip(rates, colours, strict=True)))[:: max(1, len(rates) // WIDEST)]
    axes.text(1.04, 0.97, "η", transform=axes.transAxes, color=INK, fontsize=9, va="center")
    for line, (place, (rate, colour)) in enumerate(reversed(shown), start=1):
        y = 0.97 - 0.085 * line
        axes.plot([1.05], [y], marker=MARKERS[place % len(MARKERS)], color=colour, markersize=4.2, clip_on=False,
                  transform=axes.transAxes)  # fmt: skip
        axes.text(1.085, y, plainly(rate), transform=axes.transAxes, color=INK, fontsize=8, va="center")
