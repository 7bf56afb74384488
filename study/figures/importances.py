"""The importance of each hyper-parameter of one scheme as a bar."""

from collections.abc import Mapping, Sequence

import pandas as pd

from study.answers.importance import Importance
from study.figures.parallel import shown
from study.figures.style import Look
from study.figures.vega import Chart, lines_by_scheme, spec_of

CAPTION = (
    "Each hyper-parameter's share in what makes a trial one of the best tenth (of the best five, where those are "
    "more): PED-ANOVA (arXiv 2304.10255), without interactions and without an interval. Choose a scheme to see its own."
)


def chart(told: Sequence[Importance], look: Mapping[str, Look], cheapest: Sequence[str], place: str) -> Chart | None:
    """The chart of one task; None where no arm searches several hyper-parameters in enough trials.

    Args:
        told: the importances of its arms.
        look: of every scheme.
        cheapest: all schemes, the cheapest first; the first that has bars is drawn until another is chosen.
        place: the task's name.
    """
    if not told:
        return None
    data = pd.DataFrame(
        [(one.scheme, key, share) for one in told for key, share in one.shares.items()],
        columns=["scheme", "hyper-parameter", "importance"],
    )
    schemes = [scheme for scheme in look if scheme in {one.scheme for one in told}]
    mine = shown(schemes, next((scheme for scheme in cheapest if scheme in schemes), schemes[0]))
    bare = {"labelColor": "var(--ink)", "domain": False, "ticks": False, "labelLimit": 170}
    y = {"field": "hyper-parameter", "type": "nominal", "sort": "-x", "title": None, "axis": bare}
    x = {"field": "importance", "type": "quantitative", "title": "share", "scale": {"domain": [0, 1]}}
    colour = lines_by_scheme(look, schemes, legend=False)["color"]
    words = {"type": "text", "align": "left", "dx": 4, "fontSize": 11, "color": "var(--ink)"}
    layers = [
        {"mark": {"type": "bar", "height": 12}, "encoding": {"y": y, "x": x, "color": colour}},
        {"mark": words, "encoding": {"y": y, "x": x, "text": {"field": "importance", "format": ".2f"}}},
    ]
    title = {"text": {"expr": mine}, "anchor": "start", "fontSize": 12, "color": "var(--ink)"}
    inside = {
        "title": title,
        "transform": [{"filter": f"datum.scheme === {mine}"}],
        "height": {"step": 24},
        "layer": layers,
    }
    told_of = "; ".join(
        f"{one.scheme}: " + ", ".join(f"{key} {share:.2f}" for key, share in one.shares.items()) for one in told
    )
    sentence = f"Importance of hyper-parameters on {place}. {told_of}."
    alive, still = (spec_of({**inside, "width": width}, sentence) for width in ("container", 330))
    return Chart("importance", "Importance of hyper-parameters", CAPTION, sentence, alive, still, data)
