"""Does the interval of what a choice made elsewhere loses hold the truth? Simulated tasks whose law is known.

    python tests/benchmarks/transfer_coverage.py [DRAWS] [BOOTSTRAP]

prints how often the nominal 95 % interval held the truth on the worst of a law's tasks, and for their mean; then the
same of a plain bootstrap, which has no unseen configuration.
"""

import sys
from collections.abc import Iterator
from functools import cache

import numpy as np
from interval_coverage import Coverage

from study import cost

LAWS = {
    "alike": (-2.0, -2.0, -2.0),
    "shifted": (-3.0, -2.0, -1.0),
    "far apart": (-4.0, -2.0, 0.0),
    "two": (-2.5, -1.5),
}
"""The best rate of every task, log10; rates are uniform on [-5, 1]."""
PLAIN = "plain bootstrap"


def trials(name: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Validation and test scores: a parabola about the best rate, chance beyond the stable ones, noise of seeds."""
    rate, best = rng.uniform(-5, 1, (n, 1)), np.array(LAWS[name])
    score = np.maximum(0.9 - 0.02 * (rate - best) ** 2, 0.1)
    score = np.where(rate > best + 1.2, 0.1, score)
    valid, test = score + rng.normal(0, 0.004, (2, *score.shape))
    return np.where(rate > best + 2.5, -np.inf, valid), test  # the largest rates are lost, all alike


@cache
def truth(name: str, k: int) -> np.ndarray:
    """The losses of a law, from 20,000 of its trials."""
    found = cost.transfer_regret(*trials(name, 20_000, np.random.default_rng(9)), k)
    assert isinstance(found, np.ndarray)
    return found


def of_transfer(name: str, n: int, k: int, draws: int, bootstrap: int, kind: str = "transfer") -> list[Coverage]:
    """The loss of a choice made elsewhere: on the task that is covered worst, and the mean over tasks."""
    rng, known = np.random.default_rng(n), truth(name, k)
    held, mean_held = np.zeros(known.size, int), 0
    for _ in range(draws):
        valid, test = trials(name, n, rng)
        estimate = cost.transfer_regret(valid, test, k)
        low, high = (
            _plain(valid, test, k, rng, bootstrap)
            if kind == PLAIN
            else cost.transfer_draws(valid, test, k, rng, bootstrap)
        )
        ends = [cost.ends(*pair) for pair in zip(low, high, estimate, strict=True)]
        held += [one.low <= true <= one.high for one, true in zip(ends, known, strict=True)]
        over = cost.ends(low.mean(axis=0), high.mean(axis=0), estimate.mean())
        mean_held += over.low <= known.mean() <= over.high
    return [
        Coverage(kind, name, n, k, int(held.min()), draws, draws),
        Coverage(f"{kind}, mean of tasks", name, n, k, int(mean_held), draws, draws),
    ]


def _plain(valid: np.ndarray, test: np.ndarray, k: int, rng: np.random.Generator, bootstrap: int) -> list[np.ndarray]:
    """Both ends from configurations drawn with replacement."""
    rows = rng.integers(len(valid), size=(bootstrap, len(valid)))
    found = np.array([cost.transfer_regret(valid[row], test[row], k) for row in rows]).T
    return [found, found]


def everything(draws: int, bootstrap: int) -> Iterator[Coverage]:
    """Every law at n = 32, 64 and 128, and the budgets of which a loss is told."""
    for n in (32, 64, 128):
        for k in (2, 4, 8, 16):
            for name in LAWS if 8 * k <= n else ():
                yield from of_transfer(name, n, k, draws, bootstrap)
                if n < 128:
                    yield from of_transfer(name, n, k, draws // 4, bootstrap // 2, PLAIN)


def main() -> None:
    """Print the table."""
    given = [int(value) for value in sys.argv[1:3]]
    draws, bootstrap = (given + [1000, 400][len(given) :])[:2]
    for line in everything(draws, bootstrap):
        place = f"{line.interval:32} {line.arm:10} n={line.n:<4} k={line.k:<3}"
        print(f"{place} {line.share:.3f} of {line.printed}", flush=True)


if __name__ == "__main__":
    main()
