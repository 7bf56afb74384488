"""Does the interval of a share over tasks hold the truth? Simulated tasks whose law is known.

    python tests/benchmarks/over_tasks_coverage.py [DRAWS] [BOOTSTRAP]

prints how often the nominal 95 % interval held the truth among the draws in which the share was defined, for tasks that
drew configurations of their own and for tasks that drew the same ones; the latter also as if they had drawn their own.
"""

import sys
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from interval_coverage import Coverage

from study import cost
from study.cost import Draws, Outcomes

MISS, WORKS = 10.0, 0.9  # what a miss costs, a hit costs 2 … 10; how often a good configuration hits

Windows = list[tuple[float, float]]  # by task, the configurations in [0, 1] that are good there
Kind = Literal["own", "same", "same, taken as own"]


class Law(NamedTuple):
    """The good configurations of the baseline and of the scheme, task by task."""

    base: Windows
    scheme: Windows


LAWS = {
    "two": Law([(0.0, 0.5), (0.4, 0.6)], [(0.0, 0.7), (0.2, 0.6)]),
    "three, few hits": Law([(0.0, 0.15), (0.0, 0.3), (0.5, 0.7)], [(0.0, 0.1), (0.3, 0.5), (0.0, 0.3)]),
    "eight alike": Law([(0.2, 0.5)] * 8, [(0.3, 0.9)] * 8),
    "eight apart": Law([(i / 10, i / 10 + 0.25) for i in range(8)], [(0.6 - i / 20, 0.9) for i in range(8)]),
}


def truth(law: Law) -> float:
    """The share over tasks of a law: every E[C] is E[charged]/p."""
    hits = [np.array([WORKS * (high - low) for low, high in windows]) for windows in law]
    costs = [(6.0 * p + MISS * (1 - p)) / p for p in hits]
    return float(np.exp(np.log(costs[1] / costs[0]).mean()))


def trials(windows: Windows, n: int, rng: np.random.Generator, *, same: bool) -> list[Outcomes]:
    """n trials on every task."""
    x = rng.random((1 if same else len(windows), n)) * np.ones((len(windows), 1))
    made = []
    for task, (low, high) in enumerate(windows):
        hit = (low < x[task]) & (x[task] < high) & (rng.random(n) < WORKS)
        made.append(Outcomes(np.arange(n), MISS - 8.0 * hit * rng.random(n), hit, MISS))
    return made


def interval(base: list[Outcomes], scheme: list[Outcomes], kind: Kind, rng: np.random.Generator, draws: int) -> object:
    """The interval of the share over tasks; not defined where the baseline has no hit on one of them."""
    pairs = [[cost.expected_cost(one.charged, one.hit) for one in pair] for pair in zip(base, scheme, strict=True)]
    shares = [cost.share_to_target(*pair) for pair in pairs]
    missing = [share for share in shares if isinstance(share, cost.NotDefined)]
    found = missing[0] if missing else cost.share_over_tasks(shares)
    if isinstance(found, cost.NotDefined):
        return found
    drawn = [_draws(arm, kind, rng, draws) for arm in (base, scheme)]
    return cost.share_over_tasks_interval(*drawn, found.value)


def _draws(arm: list[Outcomes], kind: Kind, rng: np.random.Generator, draws: int) -> list[Draws]:
    if kind == "same":
        return cost.joint_cost_draws(arm, rng, draws)
    full = np.full(arm[0].hit.size, MISS)
    return [cost.cost_draws(full, one.charged, one.hit, cost.cost_shares(one.hit, rng, draws), MISS) for one in arm]


def of_tasks(n: int, name: str, kind: Kind, draws: int, bootstrap: int, seed: int) -> Coverage:
    """The share over the tasks of a law."""
    law, rng = LAWS[name], np.random.default_rng(seed)
    known, held, printed = truth(law), 0, 0
    for _ in range(draws):
        base, scheme = (trials(windows, n, rng, same=kind != "own") for windows in law)
        ends = interval(base, scheme, kind, rng, bootstrap)
        if isinstance(ends, cost.Interval):
            printed, held = printed + 1, held + (ends.low <= known <= ends.high)
    return Coverage(f"over tasks, {kind}", name, n, 0, held, printed, draws)


def everything(draws: int, bootstrap: int) -> Iterator[Coverage]:
    """Every law at n = 16, 32, 64 and 128."""
    for n in (16, 32, 64, 128):
        for name in LAWS:
            for kind in ("own", "same", "same, taken as own"):
                yield of_tasks(n, name, kind, draws, bootstrap, n)


def main() -> None:
    """Print the table."""
    given = [int(value) for value in sys.argv[1:3]]
    draws, bootstrap = (given + [2000, 500][len(given) :])[:2]
    for line in everything(draws, bootstrap):
        place = f"{line.interval:28} {line.arm:16} n={line.n:<4}"
        print(f"{place} {line.share:.3f} of {line.printed} defined in {line.draws}", flush=True)


if __name__ == "__main__":
    main()
