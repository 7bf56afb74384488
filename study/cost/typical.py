"""A typical trial, and whether it beats the baseline's: interquartile mean and probability of improvement.

Both can only rise when a trial gets better, so their intervals come from the same stick broken at random as all
others (`study.cost.intervals`): n shares stand on the trials, one on an unseen trial at its worst, or at its best.
Beyond 128 trials neighbours are drawn in groups.
"""

import numpy as np
from numpy.typing import ArrayLike

from study.cost.intervals import DRAWS, Floats, even_groups, shares
from study.cost.quantities import Draws


def interquartile_draws(scores: ArrayLike, generator: np.random.Generator, draws: int = DRAWS) -> Draws:
    """(draws,) low and high draws of the interquartile mean, 2 ∫ F⁻¹ over the middle half.

    How far out the unseen trial lies does not matter once it is trimmed; where it is not, it stands on the worst or
    best trial in hand.

    Args:
        scores: (n,) higher is better.
        generator: of the draws.
        draws: how many.

    Returns:
        The draws of both ends.

    >>> low, high = interquartile_draws([1.0] * 9, np.random.default_rng(0), draws=3)
    >>> low.round(9).tolist(), high.round(9).tolist()
    ([1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    """
    counts, scores = even_groups(np.sort(np.asarray(scores, float)))
    share = shares(counts, generator, draws)
    seen, unseen = share[:, :-1], share[:, -1:]
    low = _middle(np.concatenate([unseen, seen], axis=1), np.concatenate([scores[:1], scores]))
    high = _middle(np.concatenate([seen, unseen], axis=1), np.concatenate([scores, scores[-1:]]))
    return Draws(low, high)


def improvement_draws(ours: ArrayLike, theirs: ArrayLike, generator: np.random.Generator, draws: int = DRAWS) -> Draws:
    """(draws,) low and high draws of P(ours > theirs), a tie counting half; for one task.

    Pessimistically the unseen trial of ours loses to everything, and theirs beats everything; optimistically the other
    way round.

    Args:
        ours: (n,) scores, higher is better.
        theirs: (m,) scores of the other side.
        generator: of the draws.
        draws: how many.

    Returns:
        The draws of both ends.

    >>> low, high = improvement_draws([2.0] * 99, [1.0] * 99, np.random.default_rng(0), draws=100)
    >>> bool(low.min() > 0.85), bool((high > 1 - 1e-9).all())
    (True, True)
    """
    counts, values = zip(*(even_groups(np.sort(np.asarray(side, float))) for side in (ours, theirs)), strict=True)
    wins = (np.sign(values[0][:, None] - values[1][None, :]) + 1) / 2
    our, their = (shares(each, generator, draws) for each in counts)
    seen = np.sum((our[:, :-1] @ wins) * their[:, :-1], axis=1)
    unseen = our[:, -1] + their[:, -1] - our[:, -1] * their[:, -1]  # of all pairs, those with an unseen trial
    return Draws(seen, seen + unseen)


def _middle(share: Floats, values: Floats) -> Floats:
    """(draws,) the mean of the middle half of the mass that `share` (draws, m) puts on ascending values (m,)."""
    ends = np.clip(np.cumsum(share, axis=1), 0.25, 0.75)
    mass = np.diff(ends, axis=1, prepend=0.25)
    return mass @ values / 0.5
