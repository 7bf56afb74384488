"""Steps until a loss over two hyper-parameters: light is soon, dark is late, hatched is never."""

from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from study.answers.heat_map import cell_text, steps_until, value_text
from study.figures.style import MUTED, ON_DARK, ON_LIGHT, Panel, canvas
from study.plan.file import Heat

SHADES = "#eff5fb", "#9cc5e4", "#3d8ac2", "#0b4a82"  # of one hue, so that more always looks like more


def panel(record: Any, heat: Heat) -> Panel | None:
    """The map of steps with its numbers.

    Args:
        record: as `study.tracking.read` gives it.
        heat: what the study file asks for.

    Returns:
        The figure; None where there is nothing in it.
    """
    cells: Any = steps_until(record, heat)
    if cells.empty:
        return None
    rows = list(dict.fromkeys(cells["row"].map(value_text)))
    columns = list(dict.fromkeys(cells.sort_values("column", na_position="first")["column"].map(value_text)))
    axes = canvas(0.62 + 0.36 * len(rows), width=1.0 + 0.72 * len(columns), left=0.78)
    decades = np.log10(np.maximum(cells["steps"].to_numpy(float), 1.0))
    low, span = decades.min(), (decades.max() - decades.min()) or 1.0
    for cell, depth in zip(cells.itertuples(), (decades - low) / span, strict=True):
        x, y = columns.index(value_text(cell.column)), rows.index(value_text(cell.row))
        shade, late = SHADES[min(3, int(4 * depth))], depth >= 0.5
        axes.add_patch(
            Rectangle(
                (x - 0.5, y - 0.5), 1, 1, facecolor=shade, edgecolor="#ffffff", hatch=None if cell.reached else "//"
            )
        )
        axes.text(x, y, cell_text(cell), ha="center", va="center", fontsize=8, color=ON_DARK if late else ON_LIGHT)
    axes.grid(visible=False)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), xlabel=heat.columns, ylabel=heat.rows)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0, colors=MUTED)
    axes.spines[["left", "bottom"]].set_visible(False)
    return Panel(f"{heat.loss} ≤ {heat.until:g}", axes.figure, cells)
