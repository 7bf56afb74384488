"""The expected best of k trials against k, with a band where its interval covers."""

from collections.abc import Mapping

import pandas as pd

from study.answers.results import Result
from study.figures import curves
from study.figures.style import Look
from study.figures.vega import Chart, Spec, spec_of
from study.plan.tasks import label

CAPTION = (
    "What the best of k trials scores on validation data. Band: 95 % interval, drawn where it is known to hold "
    "what it promises. Dashed: the target. The baseline and the five best are named; point at a grey line to see whose "
    "it is."
)


def chart(here: list[Result], look: Mapping[str, Look], baseline: str | None = None, mode: str = "max") -> Chart | None:
    """One task's curves; None where no scheme has one.

    Args:
        here: the results of one task.
        look: of every scheme.
        baseline: named, whatever it scores; None: there is none.
        mode: max or min: the sense of scores.
    """
    here = [result for result in here if result.expected_best]
    if not here:
        return None
    sign = 1 if mode == "min" else -1
    best = sorted(here, key=lambda one: (one.scheme != baseline, sign * one.expected_best[max(one.expected_best)]))
    data = curves.named(table(here), [result.scheme for result in best], "k", "expected_best", logarithmic=False)
    last = max(max(result.expected_best) for result in here)
    ks = [2**power for power in range(last.bit_length()) if 2**power <= last]
    scale = {"type": "log", "base": 2, "nice": False, "domain": [1, max(last, 2)]}
    x = {
        "field": "k",
        "type": "quantitative",
        "title": "trials k",
        "scale": scale,
        "axis": {"values": ks, "format": "d"},
    }
    y = {"field": "expected_best", "title": "expected best score of k"}
    sentence = f"The expected best score of k trials on {label(here[0].task)}, against k."
    spec = spec_of(_aimed(curves.drawn(data, look, x, y), here[0].target, data), sentence)
    alive, still = spec | {"width": "container"}, spec | curves.STILL
    return Chart("expected_best", "Expected best of k trials", CAPTION, sentence, alive, still, data)


def _aimed(spec: Spec, target: float | None, data: pd.DataFrame) -> Spec:
    """The curves with the target across them, where it is among what they reach."""
    low, high = curves.domain(data, "expected_best")
    if target is None or not low <= target <= high:
        return spec
    rule = {"type": "rule", "color": "var(--muted)", "strokeDash": [4, 3]}
    at = {"datum": target, "type": "quantitative", "scale": {"domain": [low, high], "nice": False, "zero": False}}
    return {**spec, "layer": [*spec["layer"], {"mark": rule, "encoding": {"y": at}}]}


def table(here: list[Result]) -> pd.DataFrame:
    """The numbers of the curves, one row a (scheme, k)."""
    rows = []
    for result in here:
        for k, best in sorted(result.expected_best.items()):
            ends = result.expected_best_interval.get(k, (None, None))
            rows.append((result.scheme, k, best, *ends, result.expected_test.get(k)))
    return pd.DataFrame(rows, columns=["scheme", "k", "expected_best", "low", "high", "expected_test"])
