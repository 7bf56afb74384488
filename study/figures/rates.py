"""The rate that each scheme really used over time: that of its best trial, the mean over parameters.

The axis is logarithmic; where a hypergradient's rate is zero or below, its line has a gap.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from study.figures.style import LineEnd, Look, Panel, canvas, logarithmic, margin, name_ends


def panel(rates: pd.DataFrame, look: Mapping[str, Look]) -> Panel | None:
    """The rates of one task's best trials over their epochs.

    Args:
        rates: columns task, scheme, repetition, trial, epoch, rate: the records of each scheme's best trial.
        look: of the schemes that are drawn.

    Returns:
        The figure; None where nothing positive was recorded.
    """
    known: Any = rates[rates["rate"].notna() & rates["scheme"].isin(list(look))]
    positive = known[known["rate"] > 0]
    if positive.empty:
        return None
    schemes = [scheme for scheme in look if scheme in set(positive["scheme"])]
    axes, ends = canvas(3.3, left=0.78, right=margin(schemes) + 0.25), []
    for scheme in schemes:
        here = known[known["scheme"] == scheme].sort_values("epoch")
        colour, style, marker = look[scheme]
        epoch, rate = here["epoch"].to_numpy(float), here["rate"].where(here["rate"] > 0).to_numpy(float)
        every = max(1, len(here) // 8)
        axes.plot(
            epoch, rate, linestyle=style, color=colour, marker=marker, markevery=every, markersize=3.8, linewidth=1.6
        )
        last = np.flatnonzero(np.isfinite(rate))[-1]  # hypergradients may end below zero
        ends.append(LineEnd(epoch[-1], rate[last], scheme))
    logarithmic(axes.yaxis)
    axes.set(xlabel="epoch", ylabel="rate (logarithmic)")
    name_ends(axes, ends, look)
    return Panel(str(known["task"].iloc[0]), axes.figure, known.reset_index(drop=True))
