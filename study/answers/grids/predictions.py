"""Predictions of theory for a grid, and their verdicts: Li, Lyu & Arora 2020 (arXiv 2010.02916) and what follows."""

from typing import Any, Literal, NamedTuple

import numpy as np

from study.answers.grids.cells import Grid
from study.answers.grids.collapse import Collapse, collapse
from study.answers.grids.slopes import Slope, slope_across, slope_within
from study.cost.quantities import NotDefined, unbounded

Verdict = Literal["holds", "does not", "cannot be told", "not testable here"]
COLLAPSED = 0.5  # spread within over across: below it ηλ says more than everything else
EXACT = 0.05  # of the angle: what counts as met
MOST = 0.95  # of settled cells and tensors that must meet it


class Prediction(NamedTuple):
    """One prediction and what a record says of it."""

    number: int  # as SCHEMES lists them: 1 collapse, 2 slopes, 3 angle, 4 relaxation, 8 negative control
    claim: str
    verdict: Verdict
    measured: str


def predictions(grid: Grid, controls: list[Grid]) -> list[Prediction]:
    """Predictions 1 to 4 of one arm's settled cells, and 8 against every control.

    Args:
        grid: of the arm.
        controls: grids of other arms, of which theory expects less.
    """
    tensors = [settled for _, settled in _settled(grid).groupby("tensor", sort=False)]
    made = [_collapses(grid)]
    for rows in tensors:
        made += [_norms(rows), _effective_rates(rows)]
    made += [_angles(_settled(grid)), *_relaxes(grid)] if tensors else []
    return made + [_control(grid, control) for control in controls]


def collapsed(grid: Grid, seeds: int | None = None, *, settled: bool = True) -> Collapse | NotDefined:
    """The collapse of an arm's validation scores.

    Args:
        grid: of the arm.
        seeds: how many seeds of every cell count, the first ones; None: all.
        settled: whether cells that have not settled are left out.

    Returns:
        The statistic, or why there is none.
    """
    cells = grid.mean("score", seeds)
    cells = cells[cells["settled"]] if settled else cells
    if cells.empty:
        return NotDefined("no cell has settled")
    return collapse(cells["score"], cells["group"])


def seeds_alone(grid: Grid) -> float:
    """The spread within if seeds alone made it: their standard deviation over √(seeds a cell)."""
    rows: Any = grid.cells[grid.cells["settled"]]
    groups = rows.groupby(["rate", "decay"])["score"]
    variances, counts = groups.var(ddof=1).to_numpy(float), groups.count().to_numpy(float)
    known = counts > 1
    return float(np.sqrt((variances[known] / counts[known]).mean())) if known.any() else float("nan")


def _settled(grid: Grid) -> Any:
    """The settled cells with noise: one row a (cell, tensor), logarithms of its measures averaged over seeds."""
    rows: Any = grid.turning[grid.turning["settled"].astype(bool)]
    numbers = ["norm", "effective_lr", "angle", "angle_predicted"]
    logs = rows.assign(**{name: np.log(rows[name].astype(float)) for name in numbers})
    return logs.groupby(["tensor", "rate", "decay", "group"], sort=False)[numbers].mean().reset_index()


def _collapses(grid: Grid) -> Prediction:
    claim = "Scores collapse on anti-diagonals of equal ηλ: the spread within is below half of the spread across"
    told = collapsed(grid)
    if isinstance(told, NotDefined):
        return Prediction(1, claim, "not testable here", str(told))
    verdict: Verdict = "holds" if told.high < COLLAPSED else "does not" if told.low > COLLAPSED else "cannot be told"
    return Prediction(1, claim, verdict, f"{_ratio(told)} over {told.products} anti-diagonals, {told.cells} cells")


def _norms(rows: Any) -> Prediction:
    slope = slope_within(np.log(rows["rate"] / rows["decay"]), rows["norm"], rows["group"])
    return _sloped(2, f"Slope ¼ of log ‖w‖ against log η/λ, {rows['tensor'].iloc[0]}", slope, 0.25)


def _effective_rates(rows: Any) -> Prediction:
    claim = f"Slope ½ of log η/‖w‖² against log ηλ, {rows['tensor'].iloc[0]}"
    if rows["effective_lr"].isna().any():
        return Prediction(2, claim, "not testable here", "its scheme has other rates than the one that is recorded")
    return _sloped(
        2, claim, slope_across(np.log(rows["rate"] * rows["decay"]), rows["effective_lr"], rows["group"]), 0.5
    )


def _sloped(number: int, claim: str, slope: Slope | NotDefined, expected: float) -> Prediction:
    if isinstance(slope, NotDefined):
        return Prediction(number, claim, "not testable here", str(slope))
    words = f"{slope.estimate:.3f} [{slope.low:.3f}, {slope.high:.3f}]"
    return Prediction(number, claim, "holds" if slope.holds(expected) else "does not", words)


def _angles(rows: Any) -> Prediction:
    claim = "The angle a step is √(2ηλ/(1+μ)), within 5 % in settled cells"
    ratios = np.exp(rows["angle"] - rows["angle_predicted"]).to_numpy(float)
    ratios = ratios[np.isfinite(ratios)]
    if not ratios.size:
        return Prediction(3, claim, "not testable here", "no settled cell has a prediction")
    near = np.abs(ratios - 1) <= EXACT
    words = (
        f"{near.sum()} of {near.size} cells and tensors within 5 %; measured over predicted: median "
        f"{np.median(ratios):.3f}, from {ratios.min():.3f} to {ratios.max():.3f}"
    )
    return Prediction(3, claim, "holds" if near.mean() >= MOST else "does not", words)


def _relaxes(grid: Grid) -> list[Prediction]:
    bent = bool((grid.cells["momentum"] > 0).any())
    pace, time = ("4ηλ/(1−μ)", "(1−μ)/(4ηλ)") if bent else ("4ηλ", "1/(4ηλ)")
    claim = f"‖w‖⁴ relaxes at {pace} a step: slope 1 of log time against log {time}"
    seen = grid.relaxations
    if seen.empty:
        return [Prediction(4, claim, "not testable here", "no training moved slowly enough to be seen at its records")]
    x, y = np.log(seen["predicted"].astype(float)), np.log(seen["steps"].astype(float))
    slope = slope_across(x, y, seen["group"])
    factor = f"; its time over {time}: {np.exp((y - x).mean()):.2f}, the mean of {len(seen)}"
    told = _sloped(4, claim, slope, 1.0)
    return [told._replace(measured=told.measured + factor)]


def _control(grid: Grid, control: Grid) -> Prediction:
    """Both arms by as many seeds a cell, of the cells that have settled."""
    claim = f"Negative control: {control.arm} collapses less than {grid.arm}"
    seeds = min(grid.seeds, control.seeds)
    ours, theirs = (collapsed(each, seeds) for each in (grid, control))
    if isinstance(ours, NotDefined):
        return Prediction(8, claim, "not testable here", str(ours))
    if isinstance(theirs, NotDefined):
        return Prediction(8, claim, "not testable here", f"of {control.arm} {theirs}")
    verdict: Verdict = "holds" if theirs.low > ours.high else "does not" if theirs.high < ours.low else "cannot be told"
    return Prediction(8, claim, verdict, f"{_ratio(theirs)}; {grid.arm} {_ratio(ours)}; {seeds} seed a cell")


def _ratio(told: Collapse) -> str:
    return f"{unbounded(told.ratio, '.2f')} [{unbounded(told.low, '.2f')}, {unbounded(told.high, '.2f')}]"
