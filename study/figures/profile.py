"""Performance profile: on which share of the tasks a scheme's tuning costs at most τ times the cheapest's."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from study import cost
from study.answers.results import Result
from study.figures.style import LineEnd, Look, Panel, canvas, margin, name_ends, plainly

MOST = 4.0  # AlgoPerf's r_max


def panel(results: list[Result], look: Mapping[str, Look]) -> Panel | None:
    """The performance profile over all tasks that have a target.

    Args:
        results: of all tasks.
        look: of the schemes that are drawn.

    Returns:
        The figure; None where fewer than two tasks have a target, or no scheme has a cost.
    """
    results = [result for result in results if result.target is not None]
    tasks = list(dict.fromkeys(result.task for result in results))
    told = {result.scheme for result in results if result.expected_cost.estimate is not None}
    schemes = [scheme for scheme in look if scheme in told]
    if len(tasks) < 2 or not schemes:
        return None
    times = np.full((len(schemes), len(tasks)), np.inf)
    for result in results:
        if result.expected_cost.estimate is not None and not result.censored:
            times[schemes.index(result.scheme), tasks.index(result.task)] = result.expected_cost.estimate
    taus = np.unique(np.concatenate([np.linspace(1, MOST, 100), _steps(times)]))
    shares = cost.performance_profile(times, taus)
    axes, ends = canvas(3.3, right=margin(schemes) + 0.25), []
    for scheme, share in zip(schemes, shares, strict=True):
        axes.plot(taus, share, drawstyle="steps-post", color=look[scheme].colour, linestyle=look[scheme].line,
                  linewidth=1.8)  # fmt: skip
        ends.append(LineEnd(taus[-1], share[-1], scheme))
    axes.xaxis.set_major_formatter(plainly)
    axes.set(xlim=(1, MOST), ylim=(-0.03, 1.03), xlabel="τ: times the cheapest scheme's cost", ylabel="share of tasks")
    name_ends(axes, ends, look)
    rows = [
        (s, tau, share) for s, line in zip(schemes, shares, strict=True) for tau, share in zip(taus, line, strict=True)
    ]
    return Panel(f"{len(tasks)} tasks", axes.figure, pd.DataFrame(rows, columns=["scheme", "tau", "share_of_tasks"]))


def _steps(times: np.ndarray) -> np.ndarray:
    """Where a curve jumps, within the plot."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = (times / times.min(axis=0)).ravel()
    return ratios[np.isfinite(ratios) & (ratios >= 1) & (ratios <= MOST)]
