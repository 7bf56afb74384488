"""The loss of a configuration that was chosen on the other tasks: a panel a task, a row a scheme."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from study.answers.study import Answers
from study.answers.transfer import budget
from study.figures import ranked
from study.figures.style import Look
from study.figures.vega import CHOSEN, Chart, Spec, by_scheme, in_panels, spec_of
from study.plan.tasks import label

CAPTION = (
    "Of K configurations, the one with the best mean rank on the other tasks is trained here: what it loses on test "
    "data against the one that is best on validation data here. Bar: 95 % interval. At 0 nothing is lost."
)


def chart(every: Sequence[Answers], look: Mapping[str, Look]) -> Chart | None:
    """The losses at the largest K that all have; None where nothing drew the same configurations on several.

    Args:
        every: the answers of all tasks.
        look: of every scheme.
    """
    data = table(every)
    most = max(data["k"], default=0)
    if most < 2:  # of one configuration nothing can be lost
        return None
    title = f"What a choice on the other tasks loses, of {most}"
    sentence = f"{title}: {', '.join(dict.fromkeys(data['scheme']))}."
    alive = in_panels(data, lambda rows: _panel(rows, look), columns=3, each=300)
    spec = spec_of(alive, sentence)
    return Chart("transfer", title, CAPTION, sentence, spec, spec, data)


def table(every: Sequence[Answers]) -> pd.DataFrame:
    """One row a (task, scheme), the scheme of the best mean rank first.

    every: the answers of all tasks.
    """
    told = [one for answers in every for one in answers.transfers]
    k = budget(told) if told else 0
    rows = [
        (label(answers.task), answers.metric, one.scheme, k, one.regret[k], *(one.interval.get(k) or (None, None)))
        for answers in every
        for one in answers.transfers
    ]
    data = pd.DataFrame(rows, columns=["quantity", "metric", "scheme", "k", "loss", "low", "high"])
    rank: Any = data.groupby("quantity")["loss"].rank()
    mean = rank.groupby(data["scheme"]).transform("mean")
    return data.loc[data.assign(rank=mean).sort_values(["rank", "scheme", "quantity"]).index].reset_index(drop=True)


def _panel(rows: Any, look: Mapping[str, Look]) -> Spec:
    schemes = list(rows["scheme"])
    lost = f"{rows['metric'].iloc[0]} lost"
    x = {"type": "quantitative", "title": lost, "scale": {"zero": True}, "axis": {"tickCount": 4}}
    named, here = by_scheme(look, schemes), {"y": ranked.names(schemes), "opacity": CHOSEN}
    bar = {"x": {"field": "low", **x}, "x2": {"field": "high"}, "color": named["color"], **here}
    at = {"x": {"field": "loss", **x}, **here, **named}
    layers = [
        {"mark": {"type": "rule", "color": "var(--muted)", "strokeDash": [4, 3]}, "encoding": {"x": {"datum": 0}}},
        {"mark": {"type": "rule", "strokeWidth": 2.5}, "encoding": bar},
        {"mark": {"type": "point", "filled": True, "size": 75}, "encoding": at},
    ]
    return {"width": 160, "height": {"step": 16}, "layer": layers}
