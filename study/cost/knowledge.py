"""The worth of knowing the learning rate: the cost of tuning within a window around a rate that once worked.

The n trials of an arm were drawn independently, x = log10 of the rate uniform on [a, a + D]. *Take a rate that once
worked, and search w decades around it*: the anchor is a rate drawn from those that hit; the window's centre is the
anchor + (U − ½)w, U uniform on [0, 1], shifted, not cut, into [a, a + D]. Then

    C(w) = E[charged in the window] / E[hit in the window],

both means over anchors and placements. (The mean of the windows' own E[trials] would be ruled by the rarest lucky hit.)
To know the rate within a factor φ is w = 2 log10 φ; at w = D nothing is known, and C is formula 1's expected cost.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from study.cost.expected import expected_cost
from study.cost.intervals import DRAWS, LEVEL, ends, even_groups, shares
from study.cost.quantities import Cost, Draws, Interval, NotDefined

Floats = NDArray[np.float64]

TRIALS_A_WINDOW = 8  # an interval is printed where a window holds as many trials on average
FEWEST_HITS = 2  # one is the anchor, another must be found
GROUPS = 128  # of hits, and of misses: beyond, neighbours are taken together


@dataclass(frozen=True)
class Searched:
    """The trials of one arm whose rates were drawn log-uniformly from [low, low + span], both log10."""

    x: Floats  # (n,) log10 of each rate
    charged: Floats  # (n,) the cost to the target of a hit, the whole of a miss; ≥ 0
    hit: NDArray[np.bool_]  # (n,)
    low: float
    span: float
    count: Floats = field(default_factory=lambda: np.ones(1))  # (n,) how many trials each stands for; (1,): as many

    def __post_init__(self) -> None:
        """Refuse a span that is none, and rates outside of it."""
        if not self.span > 0:
            raise ValueError(f"span must be positive, got {self.span=}")
        if self.x.size == 0 or self.x.min() < self.low - 1e-9 or self.x.max() > self.low + self.span + 1e-9:
            raise ValueError(f"rates must lie between {self.low} and {self.low + self.span}, got {self.x}")

    @property
    def counts(self) -> Floats:
        """(n,) how many trials each entry stands for."""
        return np.broadcast_to(self.count, self.x.shape)

    @property
    def hits(self) -> int:
        """The number of trials that hit."""
        return int(self.counts[self.hit].sum())

    @property
    def narrowest(self) -> float:
        """The narrowest window that holds enough trials on average, in decades."""
        return TRIALS_A_WINDOW * self.span / float(self.counts.sum())

    def grouped(self, most: int = GROUPS) -> "Searched":
        """The same trials, neighbours taken together where there are many: no window can be as narrow as they are.

        Args:
            most: how many groups of hits there may be, and as many of misses.
        """
        if self.x.size <= 2 * most:
            return self
        order = np.lexsort((self.charged, self.x))
        parts = [order[self.hit[order] == one] for one in (False, True)]
        groups = [(*even_groups(self.x[part], most), even_groups(self.charged[part], most)[1]) for part in parts]
        count, x, charged = (np.concatenate(column) for column in zip(*groups, strict=True))
        return Searched(
            x, charged, np.repeat([False, True], [one[0].size for one in groups]), self.low, self.span, count
        )


def reach(x: ArrayLike, low: float, span: float, width: float) -> Floats:
    """K: the share of placements in which the window around one rate holds another, in closed form.

    The shifted centre clip(x_i + (U − ½)w, a + w/2, a + D − w/2) is uniform but for what is pushed to either end, and
    the window holds x_j where the centre lies within w/2 of it.

    Args:
        x: (n,) log10 of the rates, in [low, low + span].
        low: a, the lowest.
        span: D, in decades.
        width: w, in decades, above 0; a window as wide as the span holds everything.

    Returns:
        (n, n) of row i the window around x_i.

    Raises:
        ValueError: for a width that is not positive.

    >>> reach([0.0, 1.0, 3.0], low=0.0, span=3.0, width=2.0)  # around 0 always [0, 2]; around 1 so every other time
    array([[1. , 1. , 0. ],
           [0.5, 1. , 0. ],
           [0. , 1. , 1. ]])
    """
    x = np.asarray(x, float)
    if not width > 0:
        raise ValueError(f"width must be positive, got {width=}")
    if width >= span:
        return np.ones((x.size, x.size))
    half = width / 2
    first, last = low + half, low + span - half
    below = lambda centre: np.clip((centre - x[:, None] + half) / width, 0.0, 1.0)  # noqa: E731 - P(unshifted ≤ centre)
    upper, lower = x + half, x - half
    return np.where(upper >= last, 1.0, below(upper)) - np.where(lower <= first, 0.0, below(lower))


def known_cost(arm: Searched, width: float) -> Cost | NotDefined:
    """C(w) = Σ_miss c_j G_j / (Σ_hit G_j + 1) + Σ_hit c_j G_j / Σ_hit G_j, G_j the mean of K_ij over the other hits i.

    Args:
        arm: its trials.
        width: w, in decades.

    Returns:
        The cost; a lower bound, Σ_miss c G, where no hit lies within reach of another; formula 1 at w ≥ D; not defined
        below it where no trial hit, because no rate is known to have worked.
    """
    if width >= arm.span:
        times = arm.counts.astype(int)
        return expected_cost(np.repeat(arm.charged, times), np.repeat(arm.hit, times))
    if not arm.hit.any():
        return NotDefined("no trial reached the target, so that no rate is known to have worked")
    near = _near(arm, width, _anchors(arm, arm.counts[None, :]))[0] * arm.counts
    found = float(near[arm.hit].sum())
    missed = float(near[~arm.hit] @ arm.charged[~arm.hit])
    if found == 0:
        return Cost(missed, censored=True)
    return Cost(missed / (found + 1) + float(near[arm.hit] @ arm.charged[arm.hit]) / found, censored=False)


def known_cost_interval(
    arm: Searched,
    width: float,
    generator: np.random.Generator,
    draws: int = DRAWS,
    dearest: float | None = None,
    level: float = LEVEL,
) -> Interval | NotDefined:
    """The interval of `known_cost`, by the shares of `cost_draws`: the unseen trial always lies in the window.

    Args:
        arm: its trials.
        width: w, in decades.
        generator: of the draws.
        draws: how many.
        dearest: the most that a trial can cost; None: the dearest charged.
        level: how often the interval is to hold the truth.

    Returns:
        Its ends, or why none is printed: that depends on n, w and the number of hits alone.
    """
    n, hits = int(arm.counts.sum()), arm.hits
    width = min(width, arm.span)
    if n * width / arm.span < TRIALS_A_WINDOW:
        return NotDefined(f"a window of {width:g} decades holds fewer than {TRIALS_A_WINDOW} of {n} trials")
    if hits < FEWEST_HITS:
        return NotDefined(f"an interval needs {FEWEST_HITS} hits and there {'is' if hits == 1 else 'are'} {hits}")
    drawn = known_cost_draws(arm, [width], generator, draws, dearest)
    estimate = known_cost(arm, width)
    value = estimate.value if isinstance(estimate, Cost) else 0.0
    found = ends(drawn.low[:, 0], drawn.high[:, 0], value, level)
    return Interval(found.low, np.inf) if isinstance(estimate, Cost) and estimate.censored else found


def known_cost_draws(
    arm: Searched,
    widths: ArrayLike,
    generator: np.random.Generator,
    draws: int = DRAWS,
    dearest: float | None = None,
) -> Draws:
    """(draws, m) low and high draws of C(w) at m widths, all of them from the same shares.

    Args:
        arm: its trials.
        widths: (m,) in decades.
        generator: of the draws.
        draws: how many.
        dearest: the most that a trial can cost; None: the dearest charged.

    Returns:
        The draws; the high ones are infinite where no hit lies within reach of another.
    """
    order = np.lexsort((arm.charged, arm.hit, arm.x))  # so that no draw depends on the order of the table
    sorted_arm = Searched(arm.x[order], arm.charged[order], arm.hit[order], arm.low, arm.span, arm.counts[order])
    share = shares(sorted_arm.counts, generator, draws)
    most, unseen = arm.charged.max() if dearest is None else dearest, share[:, -1]
    anchors, lows, highs = _anchors(sorted_arm, share[:, :-1]), [], []
    for width in np.minimum(np.asarray(widths, float), arm.span):
        near = _near(sorted_arm, float(width), anchors) * share[:, :-1]
        spent, success = near @ sorted_arm.charged, near[:, sorted_arm.hit].sum(axis=1)
        high = np.full(draws, np.inf)
        np.divide(spent + unseen * most, success, out=high, where=success > 0)
        lows.append(spent / (success + unseen))
        highs.append(high)
    return Draws(np.column_stack(lows), np.column_stack(highs))


class _Anchors(NamedTuple):
    """Weights of the hits, of which one is the anchor; a trial is found around others than itself."""

    weights: Floats  # (draws, n) 0 of a miss
    own: Floats  # (draws, n) those of one trial of each entry
    others: Floats  # (draws, n) the sum of all but it
    some: NDArray[np.bool_]  # (draws, n) true where there is another


def _anchors(arm: Searched, weights: Floats) -> _Anchors:
    hits = weights * arm.hit
    own, whole = hits / arm.counts, hits.sum(axis=1, keepdims=True)
    others = whole - own
    return _Anchors(hits, own, others, others > 1e-12 * whole)


def _near(arm: Searched, width: float, anchors: _Anchors) -> Floats:
    """(draws, n) G_j: the mean over anchors other than j of how often j lies in the window."""
    kernel = reach(arm.x, arm.low, arm.span, width)
    held = anchors.weights @ kernel - anchors.own * np.diag(kernel)
    near = np.zeros_like(held)
    np.divide(held, anchors.others, out=near, where=anchors.some)
    return np.clip(near, 0.0, 1.0, out=near)
