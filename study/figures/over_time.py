"""Records of every scheme over time: the median of its seeds, and their range."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from study.figures.style import LineEnd, Look, Panel, canvas, logarithmic, margin, name_ends

WIDE = 10.0  # largest over smallest value from which an axis is logarithmic


def panel(lines: pd.DataFrame, quantity: str, look: Mapping[str, Look]) -> Panel | None:
    """One quantity of one task over its epochs: the median of the seeds, and a band from the lowest to the highest.

    Args:
        lines: columns scheme, quantity, epoch, low, median, high.
        quantity: the one that is drawn.
        look: of the schemes that are drawn.

    Returns:
        The figure; None where nobody recorded the quantity.
    """
    told: Any = lines[(lines["quantity"] == quantity) & lines["scheme"].isin(look)]
    if told.empty:
        return None
    schemes = [scheme for scheme in look if scheme in set(told["scheme"])]
    axes, ends = canvas(2.6, right=margin(schemes) + 0.25), []
    for scheme in schemes:
        here = told[told["scheme"] == scheme].sort_values("epoch")
        colour, style, marker = look[scheme]
        epoch, median = here["epoch"].to_numpy(float), here["median"].to_numpy(float)
        every = max(1, len(here) // 8)
        axes.plot(
            epoch, median, linestyle=style, color=colour, marker=marker, markevery=every, markersize=3.8, linewidth=1.6
        )
        axes.fill_between(epoch, here["low"], here["high"], color=colour, alpha=0.15, linewidth=0)
        ends.append(LineEnd(epoch[-1], median[-1], scheme))
    if told["low"].min() > 0 and told["high"].max() > WIDE * told["low"].min():
        logarithmic(axes.yaxis)
    axes.set(xlabel="epoch", ylabel=quantity)
    name_ends(axes, ends, look)
    return Panel(quantity, axes.figure, told.reset_index(drop=True))
