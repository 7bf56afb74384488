"""Heat maps over learning rate and weight decay: cells of equal product are joined, unsettled ones are hatched."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from study.answers.grids import Grid
from study.figures.style import MUTED, ON_DARK, ON_LIGHT, Panel, canvas, plainly

Floats: TypeAlias = NDArray[np.float64]

SHADES = "#eff5fb", "#cfe2f1", "#9cc5e4", "#6aa6d3", "#3d8ac2", "#0b4a82"  # of one hue: more always looks like more
DARK = 3  # from this shade on, words are white
DIAGONAL = {"color": "#66717d", "linewidth": 0.7, "alpha": 0.7, "zorder": 1.5}


def panels(grid: Grid) -> list[Panel]:
    """Maps of one grid: validation, test, effective rate and angle a step; those that the record lacks are left out."""
    made = [
        _panel(grid.mean("score"), "score", "validation", _decimals, _ranks),
        _panel(grid.mean("test"), "test", "test", _decimals, _ranks),
        _panel(tensor_means(grid, "effective_lr"), "effective_lr", "effective rate", _short, _decades),
        _panel(tensor_means(grid, "angle"), "angle", "angle", _short, _decades),
    ]
    named = [panel._replace(title=f"{grid.arm}: {panel.title}") for panel in made if panel]
    return [panel._replace(data=panel.data.assign(arm=grid.arm, quantity=panel.title)) for panel in named]


def tensor_means(grid: Grid, name: str) -> pd.DataFrame:
    """One row a cell: the geometric mean over tensors and seeds of what was measured when rates last were constant.

    Args:
        grid: of one arm.
        name: of the measured column.

    Returns:
        Columns rate, decay, group, the mean under its name, settled; cells where nothing positive was measured are left
        out.
    """
    rows = grid.turning[grid.turning[name] > 0]
    logs = rows.assign(**{name: np.log(rows[name].astype(float))})
    cells = logs.groupby(["rate", "decay", "group"]).agg({name: "mean", "settled": "all"}).reset_index()
    return cells.assign(**{name: np.exp(cells[name])})


def _panel(
    cells: pd.DataFrame, name: str, title: str, said: Callable[[float], str], depths: Callable[[Floats], Floats]
) -> Panel | None:
    values = cells[name].to_numpy(float)
    known = np.isfinite(values)
    if not known.any():
        return None
    rates, decays = sorted(set(cells["rate"])), sorted(set(cells["decay"]), reverse=True)
    axes = canvas(0.75 + 0.32 * len(decays), width=1.1 + 0.52 * len(rates), left=0.95, bottom=0.62)
    rows: Any = cells[known].itertuples()
    for row, depth in zip(rows, depths(values[known]), strict=True):
        x, y = rates.index(row.rate), decays.index(row.decay)
        shade = min(int(len(SHADES) * depth), len(SHADES) - 1)
        hatch = None if row.settled else "////"
        edge = ON_DARK if shade >= DARK else "#9aa3ad"
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=SHADES[shade], edgecolor=edge, linewidth=0,
                                 hatch=hatch, zorder=1))  # fmt: skip
        colour = ON_DARK if shade >= DARK else ON_LIGHT
        box = {"facecolor": SHADES[shade], "edgecolor": "none", "pad": 0.8}
        axes.text(x, y, said(getattr(row, name)), ha="center", va="center", fontsize=7.5, color=colour, zorder=2,
                  bbox=box)  # fmt: skip
    for _, diagonal in cells.groupby("group"):
        places = sorted((rates.index(rate), decays.index(decay)) for rate, decay in diagonal[["rate", "decay"]].values)
        axes.plot(*zip(*places, strict=True), **DIAGONAL)
    axes.grid(visible=False)
    axes.set(xlim=(-0.5, len(rates) - 0.5), ylim=(len(decays) - 0.5, -0.5))
    axes.set(xlabel="learning rate η", ylabel="weight decay λ")
    axes.set_xticks(range(len(rates)), [_tick(rate) for rate in rates])
    axes.set_yticks(range(len(decays)), [_tick(decay) for decay in decays])
    axes.tick_params(length=0, colors=MUTED)
    axes.spines[["left", "bottom"]].set_visible(False)
    return Panel(title, axes.figure, cells)


def _ranks(values: Floats) -> Floats:
    """(n,) shares in [0, 1]: the rank of each value, so that a few that diverged do not take all shades."""
    order = np.unique(values.round(4), return_inverse=True)[1]
    return order / max(1, order.max())


def _decades(values: Floats) -> Floats:
    """(n,) shares in [0, 1]: where the logarithm of each value lies between the smallest and the largest."""
    logs = np.log(values)
    return (logs - logs.min()) / ((logs.max() - logs.min()) or 1.0)


def _tick(value: float) -> str:
    """A number of an axis: a power of 2 as such, where it has many digits.

    >>> _tick(0.00048828125), _tick(0.25), _tick(0.001)
    ('2⁻¹¹', '0.25', '0.001')
    """
    exponent = float(np.log2(value))
    if exponent.is_integer() and len(f"{value:g}") > 5:
        return "2" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return plainly(value)


def _decimals(value: float) -> str:
    return f"{value:.4f}".removeprefix("0") if abs(value) < 1 else f"{value:.3g}"


def _short(value: float) -> str:
    return f"{value:.2g}".removeprefix("0") if value >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")
