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


@dataclass
class ShareOverTasks(JudgedShare):
    """exp(mean over tasks of the log share): every task counts alike. A lower bound where one task's share is one."""

    tasks: list[str] = field(default_factory=list)  # all that have a target; empty where there is one at most
    against: str = ""
    missing: str = ""  # why there is none, in words


@dataclass
class KnownCost(Quantity):
    """The cost of tuning within a window of so many decades around a value that once worked: `study.cost.knowledge`.

    Whoever knows the value within a factor of φ searches 2 log10 φ decades.
    """

    decades: float = math.nan

    @property
    def factor(self) -> float:
        """φ."""
        return factor_of(self.decades)


@dataclass
class EvenFactor:
    """The factor within which the rate must be known for a scheme's tuning to cost as much as the baseline's.

    factor is None where the two curves do not cross; low and high are both None where they are told apart however well
    the rate is known. Where low is 1, or high infinite, they are not told apart at that end. `narrowest` is the least
    factor that these trials can speak of, ratio the scheme's cost over that of `against`, where nothing is known.
    """

    against: str = ""
    ratio: float | None = None
    factor: float | None = None
    low: float | None = None
    high: float | None = None
    narrowest: float | None = None


def factor_of(decades: float) -> float:
    """φ = 10^(w/2), within which a rate is known whose window is w decades wide.

    >>> factor_of(2.0), factor_of(math.inf)
    (10.0, inf)
    """
    return 10 ** (decades / 2)


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
    known_field: str | None = None  # what whoever knows more searches less of; empty: nothing; None: not defined
    known_cost: list[KnownCost] = field(default_factory=list)  # from the narrowest window to all that was searched
    known_within: dict[int, KnownCost] = field(default_factory=dict)  # by the factor
    break_even: EvenFactor = field(default_factory=EvenFactor)
    interquartile_mean: Quantity = field(default_factory=Quantity)  # of the trials' scores
    improvement: Quantity = field(default_factory=Quantity)  # P(a trial beats one of the baseline's)
    share_to_target: JudgedShare = field(default_factory=JudgedShare)
    budget: int | None = None  # trials of the baseline whose best sets the level of share_at_budget
    share_at_budget: JudgedShare = field(default_factory=JudgedShare)
    log_efficiency: float | None = None
    share_over_tasks: ShareOverTasks = field(default_factory=ShareOverTasks)  # the same on each of them
    profile_score: float | None = None
    flags: list[Flag] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, lists and dicts; infinite ends and what is not defined as None."""
        plain = asdict(self)
        by_number = "expected_best", "expected_best_interval", "expected_best_biased", "expected_test", "known_within"
        for name in by_number:
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
