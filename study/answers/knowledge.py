"""The worth of knowing the rate: what tuning costs each scheme of a task then, and where it breaks even.

*Take a rate that once worked, and search around it*: `study.cost.knowledge`. A scheme without a rate to search costs
the same whatever is known.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from study import cost
from study.answers.arms import UNTOLD, Trials
from study.answers.measured import Measured, of_each
from study.answers.results import EvenFactor, Flag, KnownCost, factor_of
from study.cost import Cost, Curve, Draws, NotDefined, Searched

Floats = NDArray[np.float64]

DRAWS = 2_000  # of a curve, at each of its points
FACTORS = 100, 10, 3  # within which a rate may be known, as tables tell it
FEW = 10  # hits: with fewer, the cost within a window is estimated low


def tell_known(here: list[Measured], base: Measured | None) -> None:
    """Fill in what each scheme of a task costs whoever knows its rate, and where that is what the baseline costs.

    Args:
        here: the arms of the task.
        base: the baseline's; None where it did not run.
    """
    raced = [one for one in here if one.target is not None]
    arms = {one.trials.scheme: searched(one.trials) for one in raced}
    narrowed = [arm for arm in arms.values() if isinstance(arm, Searched)]
    width = _widths(narrowed) if narrowed else NotDefined("no scheme here has a rate that could be known better")
    drawn = of_each(lambda one: _curve(one, arms[one.trials.scheme], width), raced)
    curves = {one.trials.scheme: curve for one, curve in zip(raced, drawn, strict=True) if curve is not None}
    for one in raced:
        if base is not None and one is not base and {one.trials.scheme, base.trials.scheme} <= {*curves}:
            _tell_even(one, base, curves)


def searched(arm: Trials) -> Searched | NotDefined | None:
    """The trials of an arm by what they drew log-uniformly.

    Args:
        arm: its trials.

    Returns:
        The trials, or why they tell nothing of it; None where there is nothing to know better.
    """
    if isinstance(arm.drawn, NotDefined):
        return arm.drawn
    if not arm.drawn.field or arm.value is None:
        return None
    if not arm.hit.any():
        return NotDefined("no trial reached the target, so that no rate is known to have worked")
    if arm.hit.size < 2 * cost.TRIALS_A_WINDOW:
        return NotDefined(f"a window is told where there are {2 * cost.TRIALS_A_WINDOW} trials, and there are fewer")
    low, high = np.log10([arm.drawn.low, arm.drawn.high])
    x = np.clip(np.log10(np.asarray(arm.value, float)), low, high)
    return Searched(x, arm.charged, arm.hit, float(low), float(high - low)).grouped()


def _widths(arms: list[Searched]) -> Floats | NotDefined:
    """The windows of all curves of a task, those of `FACTORS` among them."""
    made = cost.widths(arms)
    if isinstance(made, NotDefined):
        return made
    asked = [decades for decades in map(_decades, FACTORS) if made[0] < decades < made[-1]]
    return np.unique(np.append(made, asked))


def _decades(factor: float) -> float:
    """The window of whoever knows the rate within a factor."""
    return float(2 * np.log10(factor))


def _curve(one: Measured, arm: Searched | NotDefined | None, width: Floats | NotDefined) -> Curve | None:
    """A scheme's curve, which is told in its result; None where there is none."""
    if isinstance(arm, NotDefined):
        one.note("known_cost is", arm if arm is not UNTOLD or one.trials.lr is not None else None)
        return None
    if isinstance(width, NotDefined):
        return None
    made = _drawn(one, arm, width)
    _tell_curve(one, made, arm)
    return made


def _drawn(one: Measured, arm: Searched | None, width: Floats) -> Curve:
    draws = min(DRAWS, one.options.draws)
    if arm is not None:
        dearest = float(one.trials.full.max()) if one.trials.dearest is None else one.trials.dearest
        return cost.curve(arm, width, one.stream("known_cost"), draws, dearest)
    spent = one.spent
    whole = spent.cost if isinstance(spent.cost, Cost) else Cost(np.nan, censored=False)
    return cost.flat(whole, spent.draws and Draws(*(drawn[:draws] for drawn in spent.draws)), width)


def _tell_curve(one: Measured, made: Curve, arm: Searched | None) -> None:
    """Fill in a scheme's curve, and its points at `FACTORS`."""
    result, drawn = one.result, one.trials.drawn
    result.known_field = "" if isinstance(drawn, NotDefined) else drawn.field
    for place, decades in enumerate(made.width):
        point = KnownCost(unit=result.expected_cost.unit, decades=float(decades))
        only = bool(np.isnan(made.cost[place]))
        value = float((made.least if only else made.cost)[place])
        if value == value:
            point.estimate, point.bound = value, ">" if only else "="
        if point.estimate is not None and made.draws is not None:
            low, high = (drawn[:, place] for drawn in made.draws)
            ends = cost.ends(low, high, point.estimate)
            point.low, point.high = ends.low, np.inf if only else ends.high
        result.known_cost.append(point)
    for factor in FACTORS:
        wide = min(_decades(factor), float(made.width[-1]))
        found = next((point for point in result.known_cost if point.decades == wide), None)
        if found is not None:
            result.known_within[factor] = found
    if arm is not None and arm.hits < FEW:
        result.flags.append(Flag("known_cost", f"fewer than {FEW} hits: the cost within a window is estimated low"))


def _tell_even(one: Measured, base: Measured, curves: Mapping[str, Curve]) -> None:
    """Fill in where a scheme costs what the baseline costs."""
    names = one.trials.scheme, base.trials.scheme
    found = cost.break_even(curves[names[0]], curves[names[1]])
    if isinstance(found, NotDefined):
        one.note("break_even is", found)
        return
    if not one.result.known_field and not base.result.known_field:  # whatever is known, neither costs less
        return
    narrowest = factor_of(max(float(curves[name].width[0]) for name in names))
    told = EvenFactor(names[1], found.ratio, narrowest=narrowest)
    told.factor = None if found.width is None else factor_of(found.width)
    if found.interval is not None:
        told.low, told.high = map(factor_of, found.interval)
    one.result.break_even = told
