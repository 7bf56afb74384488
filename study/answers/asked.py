"""The settings of a report, by themselves: nothing that answers is imported with them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ReportOptions:
    """Settings of a report; those that are not given follow from the study file and the tasks."""

    baseline: str | None = None
    target: dict[str, float] = field(default_factory=dict)  # by task; '' for all others
    unit: str = "passes"
    budget: int | None = None
    seed: int = 0
    draws: int = 10_000
