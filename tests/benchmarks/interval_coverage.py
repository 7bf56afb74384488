"""Do the printed intervals hold what they promise? Simulated arms whose answers are known.

    python tests/benchmarks/interval_coverage.py [DRAWS] [BOOTSTRAP] [scores]

prints, for each kind of interval and each simulated arm, how often the nominal 95 % interval held the truth
among the draws in which it was printed, and how often it was printed. 2,000 draws take about 40 minutes on
one core.
"""

import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from study import cost

GENERATOR = np.random.Generator


class Coverage(NamedTuple):
    """One line of the table: of `printed` intervals among `draws`, `held` held the truth."""

    interval: str
    arm: str
    n: int
    k: int
    held: int
    printed: int
    draws: int

    @property
    def share(self) -> float:
        """The coverage; NaN where no interval is printed."""
        return self.held / self.printed if self.printed else float("nan")


def bowl(rng: GENERATOR, n: int) -> np.ndarray:
    """Accuracy over a log-uniform rate: a parabola with seed noise, and chance beyond the stable rates."""
    rate = rng.uniform(-5, 2, n)
    score = 0.92 - 0.0125 * (rate + 1.5) ** 2 + rng.normal(0, 0.003, n)
    return np.where(rate > -0.4, 0.1, np.maximum(score, 0.1))


def needle(rng: GENERATOR, n: int) -> np.ndarray:
    """One trial in ten works."""
    return np.where(rng.random(n) < 0.9, 0.1 + 0.002 * rng.random(n), rng.normal(0.9, 0.01, n))


def spoilt(rng: GENERATOR, n: int) -> np.ndarray:
    """One trial in ten diverges."""
    return np.where(rng.random(n) < 0.1, 0.1, rng.normal(0.9, 0.01, n))


SCORES: dict[str, tuple[Callable[[GENERATOR, int], np.ndarray], float | None]] = {
    "uniform": (lambda rng, n: rng.random(n), None),
    "uniform, chance 0": (lambda rng, n: rng.random(n), 0.0),
    "normal": (lambda rng, n: rng.normal(0, 1, n), None),
    "exponential": (lambda rng, n: rng.exponential(1, n), 0.0),
    "exponential loss": (lambda rng, n: -rng.exponential(1, n), None),
    "log-normal loss": (lambda rng, n: -rng.lognormal(0, 1, n), None),
    "bowl": (bowl, 0.1),
    "needle": (needle, 0.1),
    "spoilt": (spoilt, 0.1),
}
"""Scores, higher is better, and the floor the program is told."""

COSTS: dict[str, Callable[[GENERATOR, np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "equal": lambda rng, hit: (np.full(hit.size, 10.0), np.full(hit.size, 10.0)),
    "early hits": lambda rng, hit: _charged(np.full(hit.size, 10.0), hit, 10 * rng.random(hit.size) ** 2),
    "late hits": lambda rng, hit: _charged(np.full(hit.size, 10.0), hit, 10 * rng.random(hit.size) ** 0.3),
    "misses diverge": lambda rng, hit: _charged(
        np.where(~hit & (rng.random(hit.size) < 0.3), 0.2, 10.0), hit, 10 * rng.random(hit.size)
    ),
    "rare cheap hits": lambda rng, hit: _charged(
        np.full(hit.size, 10.0), hit, np.where(rng.random(hit.size) < 0.1, 0.1, 9.0)
    ),
    "skewed seconds": lambda rng, hit: _charged(
        np.minimum(rng.lognormal(0, 0.6, hit.size), 10),
        hit,
        np.minimum(rng.lognormal(-0.5, 0.8, hit.size), 10),
    ),
    "misses die at once": lambda rng, hit: _ended(np.where(rng.random(hit.size) < 0.9, 0.1, 10.0), hit),
}
"""Full and charged costs of trials that hit or missed; none costs more than `DEAREST`."""

DEAREST = 10.0


def _charged(full: np.ndarray, hit: np.ndarray, to_target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    full = np.maximum(full, to_target)
    return full, np.where(hit, to_target, full)


def _ended(missed: np.ndarray, hit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hits that end at the target, early, so that only a miss shows how dear a trial can be."""
    spent = np.where(hit, 0.1, missed)
    return spent, spent


def truth_of_best(draw: Callable, k: np.ndarray, many: int = 1_000_000) -> np.ndarray:
    """E max_k of an arm, from a million of its trials."""
    scores = np.sort(draw(np.random.default_rng(5), many))
    gaps, below = np.diff(scores), np.arange(1, many) / many
    best, power = [], np.ones(many - 1)
    for more in np.diff(k, prepend=0):  # from one k to the next: powers of hundreds take fifty times as long
        power = power * below**more
        best.append(scores[0] + gaps @ (1 - power))
    return np.array(best)


def truth_of_cost(p: float, draw: Callable, many: int = 1_000_000) -> float:
    """E[C] = c_miss (1 − p)/p + c_hit of an arm, from a million of its trials."""
    hit = np.arange(many) < p * many
    _, charged = draw(np.random.default_rng(5), hit)
    return float(charged.mean() / hit.mean())


def of_hits(n: int, p: float, draws: int, seed: int) -> Coverage:
    """E[trials] = 1/p."""
    hits = np.random.default_rng(seed).binomial(n, p, draws)
    ends = {h: cost.trials_interval(n, h) for h in set(hits.tolist())}
    held = sum(ends[h].low <= 1 / p <= ends[h].high for h in hits.tolist())
    return Coverage("trials", f"p={p}", n, 0, held, draws, draws)


def of_cost(
    n: int, p: float, name: str, draws: int, bootstrap: int, seed: int, dearest: float | None = DEAREST
) -> Coverage:
    """E[C]; with dearest=None, as where nobody knows what a trial can cost."""
    rng, truth, held = np.random.default_rng(seed), truth_of_cost(p, COSTS[name]), 0
    for _ in range(draws):
        hit = rng.random(n) < p
        full, charged = COSTS[name](rng, hit)
        result = cost.expected_cost(charged, hit)
        low, high = cost.ends(
            *cost.cost_draws(full, charged, hit, cost.cost_shares(hit, rng, bootstrap), dearest), result.value
        )
        held += low <= truth <= high
    kind = "cost" if dearest else "cost, dearest seen"
    return Coverage(kind, f"p={p}, {name}", n, 0, held, draws, draws)


def of_share_to_target(n: int, p: tuple[float, float], name: str, draws: int, bootstrap: int, seed: int) -> Coverage:
    """E[C] of one arm over E[C] of another."""
    rng, held, printed = np.random.default_rng(seed), 0, 0
    truth = truth_of_cost(p[1], COSTS[name]) / truth_of_cost(p[0], COSTS[name])
    for _ in range(draws):
        arms, results = [], []
        for each in p:
            hit = rng.random(n) < each
            full, charged = COSTS[name](rng, hit)
            arms.append(cost.cost_draws(full, charged, hit, cost.cost_shares(hit, rng, bootstrap), DEAREST))
            results.append(cost.expected_cost(charged, hit))
        share = cost.share_to_target(*results)
        if isinstance(share, cost.Share):
            low, high = cost.share_to_target_interval(*arms, share.value)
            printed, held = printed + 1, held + (low <= truth <= high)
    return Coverage("share to target", f"p={p}, {name}", n, 0, held, printed, draws)


def of_best(n: int, name: str, draws: int, bootstrap: int, seed: int) -> list[Coverage]:
    """U_k at every k = 1, 2, 4, … at which its interval is ever printed."""
    draw, floor = SCORES[name]
    ks = [k for k in (1, 2, 4, 8, 16, 32, 64) if 8 * k <= n]
    truth, rng = truth_of_best(draw, np.array(ks)), np.random.default_rng(seed)
    held, printed = np.zeros(len(ks), int), np.zeros(len(ks), int)
    for _ in range(draws):
        scores = draw(rng, n)
        arm = cost.BestDraws(scores, floor, rng, bootstrap)
        for i, k in enumerate(ks):
            if cost.why_no_best_interval(scores, k) is None:
                low, high = cost.ends(arm.low(k), arm.high(k), cost.expected_best(scores, k))
                printed[i] += 1
                held[i] += low <= truth[i] <= high
    counts = zip(ks, held.tolist(), printed.tolist(), strict=True)
    return [Coverage("best of k", name, n, k, h, p, draws) for k, h, p in counts]


def of_typical(n: int, name: str, draws: int, bootstrap: int, seed: int) -> list[Coverage]:
    """The interquartile mean, and the probability that a trial beats one whose scores are normal."""
    draw, rng = SCORES[name][0], np.random.default_rng(seed)
    many, others = np.sort(draw(rng, 400_000)), np.sort(rng.normal(0, 1, 400_000))
    middle = many[100_000:-100_000].mean()
    wins = (np.searchsorted(others, many, "left") + np.searchsorted(others, many, "right")).mean() / (2 * others.size)
    held = np.zeros(2, int)
    for _ in range(draws):
        scores, theirs = draw(rng, n), rng.normal(0, 1, n)
        low, high = cost.ends(*cost.interquartile_draws(scores, rng, bootstrap), cost.interquartile_mean([scores]))
        held[0] += low <= middle <= high
        share = cost.probability_of_improvement([scores], [theirs])
        low, high = cost.ends(*cost.improvement_draws(scores, theirs, rng, bootstrap), share)
        held[1] += low <= wins <= high
    kinds = "interquartile mean", "improvement"
    return [Coverage(kind, name, n, 0, int(h), draws, draws) for kind, h in zip(kinds, held, strict=True)]


BUDGETED = {
    "same arm": (lambda rng, n: bowl(rng, n), lambda rng, n: bowl(rng, n), 0.1),
    "better scheme": (
        lambda rng, n: bowl(rng, n),
        lambda rng, n: np.maximum(0.1, 1.03 * bowl(rng, n) - 0.003),
        0.1,
    ),
    "worse scheme": (lambda rng, n: rng.random(n), lambda rng, n: rng.random(n) ** 3, None),
    "never reaches": (
        lambda rng, n: rng.normal(1, 0.3, n),
        lambda rng, n: np.minimum(rng.normal(0, 0.3, n), 0.9),
        None,
    ),
    "normal": (lambda rng, n: rng.normal(0, 1, n), lambda rng, n: rng.normal(0.5, 1, n), None),
    "needle": (needle, bowl, 0.1),
}
"""Baseline, scheme and the floor the program is told."""


def of_share_at_budget(
    n: int, budget: int, tolerance: float, name: str, draws: int, bootstrap: int, seed: int
) -> Coverage:
    """cost_s(k*_s)/cost_b(k*_b), costs rising with the score in one arm and falling in the other."""
    base, scheme, floor = BUDGETED[name]
    rng, ks = np.random.default_rng(seed), np.arange(1, 400)
    curves = truth_of_best(base, ks, 200_000), truth_of_best(scheme, ks, 200_000)
    level = curves[0][budget - 1] - tolerance
    firsts = [1 + np.argmax(np.append(curve, np.inf) >= level - 1e-9) for curve in curves]
    paid = lambda scores: (np.clip(10 + scores, 0.1, None), np.clip(10 - scores, 0.1, None))  # noqa: E731
    means = [paid(draw(np.random.default_rng(6), 200_000))[i].mean() for i, draw in enumerate((base, scheme))]
    unreached = firsts[1] == 400
    truth = np.inf if unreached else firsts[1] * means[1] / (firsts[0] * means[0])
    held = printed = 0
    for _ in range(draws):
        ours, theirs = base(rng, n), scheme(rng, n)
        arms = cost.Sample(ours, paid(ours)[0]), cost.Sample(theirs, paid(theirs)[1])
        drawn = cost.share_at_budget_draws(*arms, budget, rng, tolerance, floor, bootstrap)
        estimate = cost.share_at_budget(*arms, budget, tolerance)
        if isinstance(drawn, cost.Draws) and isinstance(estimate, cost.Share):
            ends = cost.ends(*drawn, estimate.value)
            printed, held = printed + 1, held + (ends.low <= truth <= ends.high)
    return Coverage(f"share at {budget}, tolerance {tolerance}", name, n, budget, held, printed, draws)


def of_observed(n: int, draws: int, bootstrap: int, seed: int) -> Coverage:
    """The mean cost of r searches that stop at their first hit or at 16 trials."""
    rng, p, trials, held = np.random.default_rng(seed), 0.2, 16, 0
    truth = (1 - (1 - p) ** trials) / p
    for _ in range(draws):
        spent = np.minimum(rng.geometric(p, n), trials).astype(float)
        low, high = cost.mean_interval(spent, 0, trials, rng, bootstrap)
        held += low <= truth <= high
    return Coverage("observed cost", f"p={p}", n, 0, held, draws, draws)


def of_rare_search(n: int, draws: int, bootstrap: int, seed: int, most: float | None) -> Coverage:
    """The mean cost of r searches of which one in ten costs 80 and the others 1; most=None: the dearest in hand."""
    rng, held = np.random.default_rng(seed), 0
    for _ in range(draws):
        spent = np.where(rng.random(n) < 0.1, 80.0, 1.0)
        low, high = cost.mean_interval(spent, 0, spent.max() if most is None else most, rng, bootstrap)
        held += low <= 0.1 * 80 + 0.9 <= high
    return Coverage("observed cost" if most else "observed cost, dearest seen", "one in ten", n, 0, held, draws, draws)


def everything(draws: int, bootstrap: int) -> Iterator[Coverage]:
    """Every printed kind of interval over the arms above."""
    for n in (4, 8, 16, 36, 100):
        yield from costs(n, draws, bootstrap)
    yield from scores(draws, bootstrap)


def scores(draws: int, bootstrap: int) -> Iterator[Coverage]:
    """The intervals of scores, and of the share that they decide."""
    for n in (8, 16, 64):
        for name in SCORES:
            yield from of_typical(n, name, draws, bootstrap, n)
    for n in (32, 36, 64, 128):
        for name in SCORES:
            yield from of_best(n, name, draws, bootstrap, n)
    for n, budget, tolerance in ((32, 4, 0.0), (36, 1, 0.01), (36, 4, 0.0), (36, 4, 0.01), (128, 16, 0.0)):
        for name in BUDGETED:
            yield of_share_at_budget(n, budget, tolerance, name, draws, bootstrap, n)


def costs(n: int, draws: int, bootstrap: int) -> Iterator[Coverage]:
    """The intervals of costs and of their ratio, for arms of n trials."""
    for p in (0.03, 0.1, 0.3, 0.6, 0.9, 1.0):
        yield of_hits(n, p, draws, n)
        for name in COSTS:
            yield of_cost(n, p, name, draws, bootstrap, n)
            yield of_cost(n, p, name, draws, bootstrap, n, None)
    for p in ((0.05, 0.15), (0.3, 0.3), (0.5, 0.9), (0.9, 0.2)):
        for name in ("equal", "misses diverge", "skewed seconds", "misses die at once"):
            yield of_share_to_target(n, p, name, draws, bootstrap, n)
    yield of_observed(n, draws, bootstrap, n)
    yield from (of_rare_search(n, draws, bootstrap, n, most) for most in (80.0, None))


def main() -> None:
    """Print the table, and at its end the lowest coverage of each kind."""
    given = [int(value) for value in sys.argv[1:3]]
    draws, bootstrap = (given + [2000, 500][len(given) :])[:2]
    worst: dict[str, Coverage] = {}
    for line in (scores if "scores" in sys.argv else everything)(draws, bootstrap):
        place = f"{line.interval:28} {line.arm:28} n={line.n:<4} k={line.k:<3}"
        print(f"{place} {line.share:.3f} of {line.printed} printed in {line.draws}", flush=True)
        kind = line.interval.split(", tol")[0].rstrip("0123456789")
        if line.printed >= 100 and line.share <= worst.get(kind, line).share:
            worst[kind] = line
    for line in worst.values():
        print(f"lowest: {line.share:.3f} {line}")


if __name__ == "__main__":
    main()
