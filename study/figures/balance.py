"""Settled cells against theory: norm, effective rate, angle and relaxation of every scale-invariant tensor."""

from typing import Any

import numpy as np
import pandas as pd

from study.answers.grids import Grid
from study.figures.style import COLOURS
from study.figures.vega import CHOSEN, SHAPES, Chart, Spec, decades, in_panels, spec_of

CAPTION = (
    "Every settled training and scale-invariant tensor, when rates last were constant. Dashed: theory, which fixes the "
    "slopes ¼ and ½, and leaves nothing free in angle and relaxation time."
)
KEYED = 4  # tensors with a name of their own in the key; all others are drawn alike
OTHERS = "others"
PANELS = {
    "norm": ("η/λ", "norm ‖w‖", 0.25),
    "effective rate": ("ηλ", "effective rate η/‖w‖²", 0.5),
    "angle": ("predicted √(2ηλ/(1+μ))", "angle a step (rad)", None),
    "relaxation": ("predicted (1−μ)/(4ηλ)", "relaxation time of ‖w‖⁴ (steps)", None),
}
"""The titles of both axes, and the slope of theory; None: theory is y = x."""


def chart(grid: Grid) -> Chart | None:
    """Settled cells of one arm against theory: norm, effective rate, angle, relaxation; None without a point.

    grid: of one arm.
    """
    data = points(grid)
    if data.empty:
        return None
    tensors = list(dict.fromkeys(data["tensor"]))
    key = [*tensors[:KEYED], *([OTHERS] if len(tensors) > KEYED else [])]
    data = data.assign(label=data["tensor"].where(data["tensor"].isin(tensors[:KEYED]), OTHERS))
    colours = {
        channel: {"field": "label", "type": "nominal", "scale": {"domain": key, "range": range_[: len(key)]}}
        | {"legend": {"title": None, "symbolOpacity": 1} if len(tensors) > 1 else None}
        for channel, range_ in (
            ("color", [f"var(--c{place})" for place in range(len(COLOURS))]),
            ("shape", list(SHAPES.values())),
        )
    }
    sentence = f"Settled cells of {grid.arm} against theory: {', '.join(dict.fromkeys(data['quantity']))}."
    spec = spec_of(in_panels(data, lambda rows: _panel(rows, colours), columns=2, each=380), sentence)
    return Chart("balance", f"The balance of noise and decay: {grid.arm}", CAPTION, sentence, spec, spec, data)


def points(grid: Grid) -> pd.DataFrame:
    """One row a quantity, training and tensor: x as in theory, y as it was measured; both are positive.

    grid: of one arm.
    """
    settled: Any = grid.turning[grid.turning["settled"].astype(bool)]
    settled = settled.assign(ratio=settled["rate"] / settled["decay"])
    sources = zip(
        PANELS,
        (settled, settled, settled, grid.relaxations),
        ("ratio", "product", "angle_predicted", "predicted"),
        ("norm", "effective_lr", "angle", "steps"),
        strict=True,
    )
    made = [
        rows[["rate", "decay", "seed", "tensor"]].assign(
            scheme=grid.arm, quantity=quantity, x=rows[x].astype(float), y=rows[y].astype(float)
        )
        for quantity, rows, x, y in sources
    ]
    data: Any = pd.concat(made, ignore_index=True)
    return data[(data["x"] > 0) & (data["y"] > 0)].reset_index(drop=True)


def _panel(rows: pd.DataFrame, colours: Spec) -> Spec:
    """Points a tensor, and theory: a line of that slope through their middle, or y = x where nothing is free."""
    across, up, slope = PANELS[rows["quantity"].iloc[0]]
    x, y = (
        {"field": field, "type": "quantitative", "title": title, **decades(rows[field], padding=8)}
        for field, title in (("x", across), ("y", up))
    )
    of_theory = {
        "data": {"values": _theory(rows, slope)},
        "mark": {"type": "line", "strokeWidth": 1, "strokeDash": [4, 3]},
    }
    of_theory["encoding"] = {"x": x, "y": y, "detail": {"field": "tensor"}, "color": {"value": "var(--muted)"}}
    point = {"type": "point", "filled": True, "size": 22}
    faint = {**CHOSEN, "condition": {**CHOSEN["condition"], "value": 0.6}}
    measured = {"mark": point, "encoding": {"x": x, "y": y, **colours, "opacity": faint}}
    return {"width": 280, "height": 190, "layer": [of_theory, measured]}


def _theory(rows: pd.DataFrame, slope: float | None) -> list[Spec]:
    """The ends of a line of that slope through the geometric middle of each tensor's points; of y = x without one."""
    lines = []
    for tensor, here in rows.groupby("tensor", sort=False) if slope is not None else [("all", rows)]:
        ends = np.array([here["x"].min(), here["x"].max()])
        middle = np.log(here["x"]).mean(), np.log(here["y"]).mean()
        at = ends if slope is None else np.exp(middle[1] + slope * (np.log(ends) - middle[0]))
        lines += [{"tensor": tensor, "x": float(x), "y": float(y)} for x, y in zip(ends, at, strict=True)]
    return lines
