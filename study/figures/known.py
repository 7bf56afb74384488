"""The cost of tuning against how well the rate is known, one curve a scheme, a band where its interval has ends."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from study.answers.results import KnownCost, Result, finite
from study.figures import curves
from study.figures.style import Look
from study.figures.vega import Chart, decades, spec_of
from study.plan.tasks import label

CAPTION = (
    "Take a rate that once worked, and search around it: what tuning costs whoever knows the rate within a factor, up "
    "to all that was searched, where nothing is known. A scheme without a rate to search costs the same. Band: 95 % "
    "interval. The baseline and the five cheapest are named; point at a grey line to see whose it is."
)


def chart(here: list[Result], look: Mapping[str, Look], baseline: str | None = None) -> Chart | None:
    """One task's curves; None where no rate that could be known better is searched, or nothing is known of it.

    Args:
        here: the results of one task.
        look: of every scheme.
        baseline: named, whatever it costs; None: there is none.
    """
    told = {result.scheme: result for result in here if _points(result)}
    if not any(result.known_field for result in told.values()):
        return None
    data = table(here)
    cheap = sorted(told, key=lambda scheme: (scheme != baseline, _points(told[scheme])[-1].estimate))
    data = curves.named(data, cheap, "factor", "expected_cost", logarithmic=True)
    unit, task = here[0].expected_cost.unit or "cost", label(here[0].task)
    x = {"field": "factor", "type": "quantitative", "title": "the rate is known within a factor of (logarithmic)"}
    y = {
        "field": "expected_cost",
        "title": f"{unit} up to the first hit",
        **decades(curves.domain(data, "expected_cost")),
    }
    sentence = f"The {unit} up to the first hit on {task}, against the factor within which the rate is known."
    spec = spec_of(curves.drawn(data, look, x | decades(data["factor"]), y), sentence)
    alive, still = spec | {"width": "container"}, spec | curves.STILL
    return Chart("known_cost", "What knowing the rate is worth", CAPTION, sentence, alive, still, data)


def _points(result: Result) -> list[KnownCost]:
    """The points of a curve that has a place on logarithmic axes."""
    return [point for point in result.known_cost if point.estimate and point.bound == "="]


def table(here: list[Result]) -> pd.DataFrame:
    """The numbers of the curves, one row a (scheme, window); ends of bands that nothing bounds are left out."""
    rows: list[tuple[Any, ...]] = []
    for result in here:
        for point in _points(result):
            ends = finite([point.low or None, point.high])
            rows.append(
                (
                    result.scheme,
                    result.known_field,
                    point.factor,
                    point.estimate,
                    *(ends if all(ends) else (None, None)),
                )
            )
    return pd.DataFrame(rows, columns=["scheme", "field", "factor", "expected_cost", "low", "high"])
