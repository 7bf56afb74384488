"""The rate a step at which ‖w‖⁴ goes to its equilibrium, from a few norms along the way."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from study.cost.quantities import NotDefined

Floats = NDArray[np.float64]
FEWEST = 5  # records: three numbers are fitted
FASTEST = 2.0  # e-foldings between two records: what relaxes faster is over before it is seen
SLOWEST = 0.5  # e-foldings over all records: what relaxes slower is a straight line
MOVED = 0.5  # of ‖w‖⁴ at the end: what starts nearer to it than that shows noise, not relaxation
EXPLAINED = 0.9  # of the variance: less is no exponential


def relaxation_rate(steps: ArrayLike, norms: ArrayLike) -> float | NotDefined:
    """The rate r of ‖w‖⁴(t) = a + b e^(−rt), by least squares, a and b free.

    Theory: r = 4ηλ a step for SGD with coupled decay, 4ηλ/(1−μ) with momentum μ and ηλ ≪ (1−μ)².

    Args:
        steps: (records,) the number of steps, equally far apart.
        norms: (records,) ‖w‖ there.

    Returns:
        r per step, or why these records do not show it.

    >>> steps = np.arange(10) * 100.0
    >>> round(relaxation_rate(steps, (2 + 5 * np.exp(-0.003 * steps)) ** 0.25), 6)
    0.003
    """
    from scipy.optimize import minimize_scalar  # half a second, which only a study with a grid need wait

    steps, fourth = np.asarray(steps, float), np.asarray(norms, float) ** 4
    if len(steps) < FEWEST or not np.isfinite(fourth).all():
        return NotDefined(f"there are fewer than {FEWEST} records at a constant rate")
    if abs(fourth[0] - fourth[-1]) < MOVED * fourth[-1]:
        return NotDefined("it starts too near to its equilibrium")
    times, gap = steps - steps[0], float(np.diff(steps).mean())
    ends = np.log(SLOWEST / 4 / times[-1]), np.log(4 * FASTEST / gap)
    coarse = np.linspace(*ends, 60)
    start = int(np.argmin(_roughly_left(coarse, times, fourth)))
    bounds = coarse[max(start - 1, 0)], coarse[min(start + 1, len(coarse) - 1)]
    best = minimize_scalar(_left, bounds=bounds, args=(times, fourth), method="bounded", options={"xatol": 1e-10})
    rate = float(np.exp(best.x))
    if rate * gap > FASTEST or rate * times[-1] < SLOWEST:
        return NotDefined("it relaxes faster or slower than these records can show")
    if best.fun > (1 - EXPLAINED) * float(((fourth - fourth.mean()) ** 2).sum()):
        return NotDefined("it does not go as an exponential")
    return rate


def _roughly_left(log_rates: Floats, times: Floats, fourth: Floats) -> Floats:
    """(rates,) what `_left` gives, but for rounding and a constant: all at once."""
    decays = np.exp(-np.exp(log_rates)[:, None] * times)
    decays -= decays.mean(axis=1, keepdims=True)
    return -((decays @ (fourth - fourth.mean())) ** 2) / (decays**2).sum(axis=1)


def _left(log_rate: float, times: Floats, fourth: Floats) -> float:
    """The squares that the best a and b leave at that rate."""
    design = np.stack([np.ones_like(times), np.exp(-np.exp(log_rate) * times)], axis=1)
    solved = np.linalg.lstsq(design, fourth, rcond=None)[0]
    return float(((fourth - design @ solved) ** 2).sum())
