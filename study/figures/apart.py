"""The distance of arms as functions, against time: solid measured, dashed what one family would give."""

from typing import Any

import pandas as pd

from study.figures.style import LineEnd, Panel, canvas, looks, margin, name_ends


def panel(distances: pd.DataFrame) -> Panel | None:
    """Every arm against the first one; None where there are not two.

    distances: columns first, second, record, distance, expected, chance (`study.answers.networks.distances`).
    """
    if distances.empty:
        return None
    first = str(distances["first"].iloc[0])
    told: Any = distances[distances["first"] == first]
    look = looks(dict.fromkeys(told["second"]))
    axes, ends = canvas(3.0, right=margin(look) + 0.25), []
    for arm, (colour, _, marker) in look.items():
        here = told[told["second"] == arm].sort_values("record")
        record, distance = here["record"].to_numpy(float), here["distance"].to_numpy(float)
        axes.plot(record, distance, color=colour, marker=marker, markersize=4, linewidth=1.6)
        axes.plot(record, here["expected"], color=colour, linewidth=1.0, dashes=(3, 2), alpha=0.8)
        ends.append(LineEnd(record[-1], distance[-1], arm))
    axes.set(xlabel="record", ylabel=f"distance of labels from {first}")
    axes.set_ylim(bottom=0)
    name_ends(axes, ends, look)
    return Panel(f"labels against {first}", axes.figure, told.reset_index(drop=True))
