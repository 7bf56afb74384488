"""The schemes to use: the cheapest, and every other that the trials do not tell from it, each with its rates."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from study.answers.arms import Trials
from study.answers.results import JudgedShare, Quantity
from study.answers.spent import Spent, share
from study.cost import Cost, NotDefined

FEWEST_HITS = 5  # whose rates are told: the middle four fifths of fewer are all of them


class Tuned(NamedTuple):
    """The trials of one scheme, and what they spent until the target was reached."""

    trials: Trials
    spent: Spent


class Rates(NamedTuple):
    """The learning rates of the trials that reached the target: their median, and the middle four fifths."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """A scheme to use."""

    scheme: str
    cost: Quantity
    share: JudgedShare  # of the cheapest's cost
    hits: int
    rates: Rates | None  # None where fewer than five hits have one
    finds_rate: bool = False  # True where these are rates that its rule found, and nobody gave


def choices(tuned: Mapping[str, Tuned], unit: str) -> list[Choice]:
    """The scheme that was cheapest to tune, and every other whose cost cannot be told from its.

    The cheapest in truth is among them at least 95 times in 100: whichever it is, it is left out only where one of
    the m others is told from it at 1 − .05/m (Gupta, Technometrics 7, 1965, with Bonferroni's bound).

    Args:
        tuned: every scheme of one task by its name.
        unit: of the costs.

    Returns:
        The cheapest first; nothing where no scheme has reached the target.
    """
    known = {scheme: one.spent.cost for scheme, one in tuned.items() if isinstance(one.spent.cost, Cost)}
    reached = {scheme: cost.value for scheme, cost in known.items() if not cost.censored}
    if not reached:
        return []
    best = tuned[min(reached, key=lambda scheme: reached[scheme])].spent
    made = []
    for scheme in known:
        found = share(best, tuned[scheme].spent, unit, len(tuned) - 1)
        if not isinstance(found, NotDefined) and found.verdict != "costs":
            made.append(_choice(scheme, tuned[scheme], found))
    return sorted(made, key=lambda choice: (choice.share.bound != "=", choice.share.estimate))


def rates(trials: Trials) -> Rates | None:
    """The rates of the trials that hit, in the middle of their order; None where fewer than five hits have one.

    They are as given, or as found where the scheme finds its own (`study.records.rates`).

    >>> import numpy as np
    >>> from study.answers.arms import Trials
    >>> hit, lr = np.arange(12) > 0, np.logspace(-12, -1, 12)
    >>> told = rates(Trials("t", "s", hit * 1.0, lr, lr, hit, np.zeros(12, int), 1, "", lr=lr))
    >>> [f"{rate:.0e}" for rate in told]
    ['1e-06', '1e-10', '1e-02']
    """
    told = trials.lr if trials.found is None else trials.found
    known = np.array([]) if told is None else told[trials.hit & ~np.isnan(told)]
    if known.size < FEWEST_HITS:
        return None
    middle, low, high = np.quantile(known, (0.5, 0.1, 0.9))
    return Rates(float(middle), float(low), float(high))


def _choice(scheme: str, one: Tuned, found: JudgedShare) -> Choice:
    trials, hits = one.trials, int(one.trials.hit.sum())
    return Choice(scheme, one.spent.cost_quantity, found, hits, rates(trials), trials.found is not None)
