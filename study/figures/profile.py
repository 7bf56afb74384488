"""Performance profile: on which share of the tasks a scheme's tuning costs at most τ times the cheapest's."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from study import cost
from study.answers.results import Result
from study.figures import curves
from study.figures.style import Look
from study.figures.vega import Chart, spec_of

MOST = 4.0  # AlgoPerf's r_max
CAPTION = (
    "On which share of the tasks a scheme's tuning costs at most τ times the cheapest's. Further up and left is "
    "better; a target that was never reached, or not by every search, is a miss, and so is a task that it did not run "
    "on. The six best are named; point at a grey line to see whose it is."
)


def chart(results: list[Result], look: Mapping[str, Look]) -> Chart | None:
    """The performance profile over all tasks that have a target; None where fewer than two have one, or a cost.

    Args:
        results: of all tasks.
        look: of the schemes that are drawn.
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
    data = table(schemes, times)
    best = [schemes[place] for place in np.argsort(-cost.profile_scores(times), kind="stable")]
    data = curves.named(data, best, "tau", "share_of_tasks", logarithmic=False)
    x = {
        "field": "tau",
        "type": "quantitative",
        "title": "τ: times the cheapest scheme's cost",
        "scale": {"zero": False},
    }
    y = {"field": "share_of_tasks", "title": "share of tasks"}
    sentence = f"Performance profile over {len(tasks)} tasks: the share of tasks within τ times the cheapest's cost."
    spec = spec_of(curves.drawn(data, look, x, y, step=True), sentence)
    alive, still = spec | {"width": "container"}, spec | curves.STILL
    return Chart("profile", "Performance profile", CAPTION, sentence, alive, still, data)


def table(schemes: list[str], times: np.ndarray) -> pd.DataFrame:
    """One row a (scheme, τ) at which its curve jumps, or ends.

    Args:
        schemes: the rows of the costs.
        times: (schemes, tasks) expected costs, infinite where a target was missed.
    """
    rows, profiles = [], cost.performance_profile
    for place, (scheme, ratio) in enumerate(zip(schemes, cost.cost_ratios(times), strict=True)):
        jumps = np.unique([1.0, *ratio[ratio <= MOST], MOST])
        shares = profiles(times, jumps)[place]
        rows += [(scheme, float(tau), float(share)) for tau, share in zip(jumps, shares, strict=True)]
    return pd.DataFrame(rows, columns=["scheme", "tau", "share_of_tasks"])
