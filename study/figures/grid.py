"""Heat maps over learning rate and weight decay: cells of equal product are joined, unsettled ones are hatched."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from study.answers.grids import Grid
from study.figures import maps
from study.figures.style import plainly
from study.figures.vega import Chart, in_panels, spec_of

Floats: TypeAlias = NDArray[np.float64]

CAPTION = (
    "The mean of a cell's seeds; the darker the more. Lines join cells of equal ηλ. Hatched: rates were constant for "
    "less than 3(1−μ)/(ηλ) steps, μ the momentum, so nothing had settled. Test scores are those of the weights that "
    "were best on validation. Effective rate η/‖w‖² and angle a step, in rad: when rates last were constant, the "
    "geometric mean over scale-invariant tensors."
)


def chart(grid: Grid) -> Chart | None:
    """Maps of one grid: validation, test, effective rate and angle a step; those that the record lacks are left out.

    grid: of one arm.
    """
    made = [
        _cells(grid.mean("score"), "score", "validation", _decimals, _ranks),
        _cells(grid.mean("test"), "test", "test", _decimals, _ranks),
        _cells(tensor_means(grid, "effective_lr"), "effective_lr", "effective rate", _short, _decades),
        _cells(tensor_means(grid, "angle"), "angle", "angle", _short, _decades),
    ]
    known = [cells for cells in made if not cells.empty]
    if not known:
        return None
    data = pd.concat(known, ignore_index=True).assign(scheme=grid.arm)
    rates, decays = sorted(set(grid.cells["rate"])), sorted(set(grid.cells["decay"]), reverse=True)
    axes = [_tick(rate) for rate in rates], [_tick(decay) for decay in decays]
    one = maps.drawn(*axes, ("learning rate η", "weight decay λ"), joined="group")
    sentence = f"Maps of {grid.arm} over learning rate and weight decay: {', '.join(dict.fromkeys(data['quantity']))}."
    spec = spec_of(in_panels(data, lambda _: one, columns=2, each=maps.STEP * len(rates) + 90), sentence)
    return Chart("grid", f"Learning rate and weight decay: {grid.arm}", CAPTION, sentence, spec, spec, data)


def tensor_means(grid: Grid, name: str) -> pd.DataFrame:
    """One row a cell: the geometric mean over tensors and seeds of what was measured when rates last were constant.

    Args:
        grid: of one arm.
        name: of the measured column.

    Returns:
        Columns rate, decay, group, the mean under its name, settled; cells where nothing positive was measured are left
        out.
    """
    rows = grid.turning[grid.turning[name] > 0]
    logs = rows.assign(**{name: np.log(rows[name].astype(float))})
    cells = logs.groupby(["rate", "decay", "group"]).agg({name: "mean", "settled": "all"}).reset_index()
    return cells.assign(**{name: np.exp(cells[name])})


def _cells(
    cells: pd.DataFrame, name: str, quantity: str, said: Callable[[float], str], depths: Callable[[Floats], Floats]
) -> pd.DataFrame:
    """The table of one map; empty where nothing is known."""
    known: Any = cells[np.isfinite(cells[name].to_numpy(float))]
    values = known[name].to_numpy(float)
    return pd.DataFrame(
        {
            "quantity": quantity,
            "rate": known["rate"],
            "decay": known["decay"],
            "group": known["group"],
            "value": values,
            "settled": known["settled"].astype(bool),
            "across": known["rate"].map(_tick),
            "down": known["decay"].map(_tick),
            "label": [said(value) for value in values],
            "shade": maps.shades(depths(values)) if len(values) else [],
            "hatched": ~known["settled"].astype(bool),
        }
    )


def _ranks(values: Floats) -> Floats:
    """(n,) shares in [0, 1]: the rank of each value, so that a few that diverged do not take all shades."""
    order = np.unique(values.round(4), return_inverse=True)[1]
    return order / max(1, order.max())


def _decades(values: Floats) -> Floats:
    """(n,) shares in [0, 1]: where the logarithm of each value lies between the smallest and the largest."""
    logs = np.log(values)
    return (logs - logs.min()) / ((logs.max() - logs.min()) or 1.0)


def _tick(value: float) -> str:
    """A number of an axis: a power of 2 as such, where it has many digits.

    >>> _tick(0.00048828125), _tick(0.25), _tick(0.001)
    ('2⁻¹¹', '0.25', '0.001')
    """
    exponent = float(np.log2(value))
    if exponent.is_integer() and len(f"{value:g}") > 5:
        return "2" + str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return plainly(value)


def _decimals(value: float) -> str:
    return f"{value:.4f}".removeprefix("0") if abs(value) < 1 else f"{value:.3g}"


def _short(value: float) -> str:
    return f"{value:.2g}".removeprefix("0") if value >= 1e-3 else f"{value:.0e}".replace("e-0", "e-")
