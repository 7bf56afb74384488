"""The summary of one arm: plain dataclasses, and their JSON."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from study.cost import Interval


@dataclass
class Quantity:
    """An estimate with its 95 % interval; low and high are both None where no interval is printed."""

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    bound: str = "="  # "<" or ">" where the estimate is only a bound
    unit: str = ""


@dataclass
class JudgedShare(Quantity):
    """The scheme's cost as a share of the baseline's: below 1 it saves.

    `verdict` is `saves` or `costs` where the interval at level 1 − .05/m leaves out 1, m the schemes compared on that
    task (Bonferroni's bound: the chance that any of them is called wrongly is at most .05); else `unclear`, and
    `unknown` where there is no interval. low and high stay those of 95 %. `times` is how many times as many trials
    would settle what is unclear; None where it is settled, or where a side has no hit.
    """

    verdict: str = "unknown"
    times: float | None = None

    def judge(self, ends: Interval | None) -> None:
        """Say what the interval at the level of all comparisons tells; None where there is none."""
        if ends is not None:
            self.verdict = "saves" if ends.high < 1 else "costs" if ends.low > 1 else "unclear"


@dataclass(frozen=True)
class Flag:
    """A suspicion, and which quantity it weakens: a field of `Result`, or `learning_rate`."""

    weakens: str
    words: str


@dataclass
class Result:
    """The tuning cost of one arm, and all that goes with it. Scores are in the table's own sense."""

    task: str
    scheme: str
    n: int
    hits: int | None
    target: float | None
    expected_trials: Quantity = field(default_factory=Quantity)
    expected_cost: Quantity = field(default_factory=Quantity)
    censored: bool = False
    expected_best: dict[int, float] = field(default_factory=dict)
    expected_best_interval: dict[int, tuple[float, float]] = field(default_factory=dict)
    expected_best_biased: dict[int, float] = field(default_factory=dict)
    expected_test: dict[int, float] = field(default_factory=dict)
    sensitivity: dict[str, float | None] = field(default_factory=lambda: {"full": None, "window": None})
    width_decades: float | None = None
    interquartile_mean: Quantity = field(default_factory=Quantity)  # of the trials' scores
    improvement: Quantity = field(default_factory=Quantity)  # P(a trial beats one of the baseline's)
    share_to_target: JudgedShare = field(default_factory=JudgedShare)
    budget: int | None = None  # trials of the baseline whose best sets the level of share_at_budget
    share_at_budget: JudgedShare = field(default_factory=JudgedShare)
    log_efficiency: float | None = None
    profile_score: float | None = None
    flags: list[Flag] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts; infinite ends and what is not defined as None."""
        plain = asdict(self)
        for name in ("expected_best", "expected_best_interval", "expected_best_biased", "expected_test"):
            plain[name] = {str(k): value for k, value in plain[name].items()}
        return finite(plain)


def finite(value: Any) -> Any:
    """The same value with every infinite or missing number as None, which JSON calls null.

    >>> finite({"low": 1.0, "high": float("inf")})
    {'low': 1.0, 'high': None}
    """
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
