"""Do the intervals of what it costs to know the rate hold the truth? Simulated arms whose law is known.

    python tests/benchmarks/known_coverage.py [DRAWS] [BOOTSTRAP]

prints how often the nominal 95 % interval of C(w) held the truth among the draws in which it was printed, and how often
it was printed; then the same of the break-even with an arm that has no rate.
"""

import sys
from collections.abc import Iterator
from functools import cache

import numpy as np
from interval_coverage import Coverage

from study import cost
from study.cost import Searched
from study.cost.knowledge import reach

LOW, SPAN = -5.0, 6.0  # decades
MISS = 10.0  # what one costs; a hit costs 2 … 10, 6 on average
FREE = 0.5  # of the trials of an arm without a rate, so many hit
LAWS = {
    "bowl": lambda x: 0.9 * np.exp(-((x + 2) ** 2)),
    "cliff": lambda x: np.where((x > -3.0) & (x < -1.0), 0.7, 0.0),
    "edge": lambda x: np.where(x > 0.0, 0.8, 0.0),
    "flat": lambda x: np.full(x.size, 0.3),
}
"""Probability of a hit at a rate, log10."""


def arm(n: int, rng: np.random.Generator, law: str) -> Searched:
    """n trials, their rates uniform in log10."""
    x = LOW + SPAN * rng.random(n)
    hit = rng.random(n) < LAWS[law](x)
    return Searched(x, MISS - 8.0 * hit * rng.random(n), hit, LOW, SPAN)


def free(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """n trials of an arm that has no rate to search: its charges and hits."""
    hit = rng.random(n) < FREE
    return MISS - 8.0 * hit * rng.random(n), hit


@cache
def truth(law: str, width: float, points: int = 1500) -> float:
    """C(w) of a law, by quadrature on a fine grid of anchors and rates."""
    x = LOW + SPAN * (np.arange(points) + 0.5) / points
    p = LAWS[law](x)
    held = p @ reach(x, LOW, SPAN, width)
    return float(((p * 6.0 + (1 - p) * MISS) @ held) / (p @ held))


@cache
def crossing(law: str) -> float:
    """The width at which C(w) of a law is the cost of the arm without a rate, by bisection."""
    wanted, low, high = 6.0 + (1 - FREE) / FREE * MISS, 0.3, SPAN
    for _ in range(18):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if truth(law, middle, points=600) > wanted else (middle, high)
    return low


def of_known(n: int, law: str, width: float, draws: int, bootstrap: int, seed: int) -> Coverage:
    """C(w) at one width."""
    rng, known, held, printed = np.random.default_rng(seed), truth(law, width), 0, 0
    for _ in range(draws):
        ends = cost.known_cost_interval(arm(n, rng, law), width, rng, bootstrap, dearest=MISS)
        if isinstance(ends, cost.Interval):
            printed, held = printed + 1, held + (ends.low <= known <= ends.high)
    return Coverage(f"known within {width:g} decades", law, n, 0, held, printed, draws)


def even(n: int, rng: np.random.Generator, law: str, draws: int) -> cost.BreakEven | cost.NotDefined:
    """The break-even of an arm without a rate against one with, of n simulated trials each."""
    searched = arm(n, rng, law)
    charged, hit = free(n, rng)
    width = cost.widths([searched])
    assert not isinstance(width, cost.NotDefined)
    drawn = cost.cost_draws(charged, charged, hit, cost.cost_shares(hit, rng, draws), dearest=MISS)
    whole = cost.expected_cost(charged, hit)
    assert not isinstance(whole, cost.NotDefined)
    return cost.break_even(cost.flat(whole, drawn, width), cost.curve(searched, width, rng, draws, dearest=MISS))


def of_break_even(n: int, law: str, draws: int, bootstrap: int, seed: int) -> Coverage:
    """The width at which both cost the same."""
    rng, known, held, printed = np.random.default_rng(seed), crossing(law), 0, 0
    for _ in range(draws):
        found = even(n, rng, law, bootstrap)
        if not isinstance(found, cost.NotDefined):
            printed += 1
            held += found.interval is not None and found.interval.low <= known <= found.interval.high
    return Coverage("break-even", law, n, 0, held, printed, draws)


def everything(draws: int, bootstrap: int) -> Iterator[Coverage]:
    """Every law at n = 32, 64 and 128, at widths whose interval is printed."""
    for n in (32, 64, 128):
        for law in LAWS:
            for width in (1.0, 2.0, 4.0):
                if n * width / SPAN >= cost.TRIALS_A_WINDOW:
                    yield of_known(n, law, width, draws, bootstrap, n)
        for law in ("bowl", "cliff", "edge"):  # with rates that do not matter nothing crosses
            yield of_break_even(n, law, draws // 4, bootstrap // 2, n)


def main() -> None:
    """Print the table."""
    given = [int(value) for value in sys.argv[1:3]]
    draws, bootstrap = (given + [2000, 500][len(given) :])[:2]
    for line in everything(draws, bootstrap):
        place = f"{line.interval:28} {line.arm:8} n={line.n:<4}"
        print(f"{place} {line.share:.3f} of {line.printed} printed in {line.draws}", flush=True)


if __name__ == "__main__":
    main()
