"""Score against learning rate: every trial a point, a small panel a scheme, all of a task on the same axes."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from study.figures.style import BAD, MUTED, Look, Panel, canvas, logarithmic

LINKED = 500  # points of a panel: more are drawn at once, without a link each
COLUMNS = ["task", "scheme", "repetition", "trial", "seeds", "lost", "lr", "score", "status", "run_id"]


def panels(
    trials: pd.DataFrame, look: Mapping[str, Look], target: float | None, url: Callable[[str], str | None]
) -> list[Panel]:
    """One panel a scheme of one task that has learning rates: the score of every trial against its rate.

    Args:
        trials: one row a trial (`study.answers.trials`).
        look: of the schemes that are drawn.
        target: drawn as a line; None: there is none.
        url: the address of a trial's run, by its id; points lead there.

    Returns:
        The figures, all with the same axes; none where no trial has both a rate and a score.
    """
    known: Any = trials[trials["lr"].notna()]
    if known.empty or known["score"].notna().sum() == 0:
        return []
    limits = _limits(known["lr"], 0.06, log=True), _limits(known["score"], 0.06, log=False)
    made = []
    for scheme in look:
        here = known[known["scheme"] == scheme]
        if len(here):
            axes = canvas(2.2, width=3.3, left=0.5)
            axes.set(xlim=limits[0], ylim=limits[1], xlabel="learning rate", ylabel="score")
            logarithmic(axes.xaxis, most=5)
            draw(axes, here, look[scheme], target, url)
            made.append(Panel(scheme, axes.figure, here.reindex(columns=COLUMNS).reset_index(drop=True)))
    return made


def draw(axes: Any, here: Any, look: Look, target: float | None, url: Callable[[str], str | None]) -> None:
    """Points for what finished, hollow where stopped early, crosses for what diverged or failed, at what they count.

    Args:
        axes: to draw on.
        here: the trials of one scheme, one row each.
        look: of the scheme.
        target: drawn as a line; None: there is none.
        url: the address of a trial's run, by its id.
    """
    if target is not None:
        axes.axhline(target, color=MUTED, linewidth=0.9, dashes=(2, 2))
    bad, stopped = here["status"].isin(["diverged", "failed"]), here["status"] == "stopped"
    kinds = (
        ({"marker": "x", "color": BAD}, here[bad]),
        ({"marker": look.marker, "color": look.colour, "markerfacecolor": "none"}, here[stopped]),
        ({"marker": look.marker, "color": look.colour}, here[~bad & ~stopped]),
    )
    for style, part in kinds:
        style |= {"markersize": 4.6, "alpha": 0.85, "linestyle": "none"}
        if len(here) > LINKED:
            axes.plot(part["lr"], part["score"], **style)
            continue
        for row in part.itertuples():
            (point,) = axes.plot(row.lr, row.score, **style)
            address = url(str(row.run_id)) if "run_id" in part else None
            if address:
                point.set_url(address)


def _limits(values: pd.Series, room: float, *, log: bool) -> tuple[float, float]:
    numbers = values.to_numpy(float)
    numbers = np.log10(numbers) if log else numbers[np.isfinite(numbers)]
    low, high = float(numbers.min()), float(numbers.max())
    out = room * ((high - low) or 1.0)
    return (10 ** (low - out), 10 ** (high + out)) if log else (low - out, high + out)
