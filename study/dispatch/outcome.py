"""Outcomes: what is suggested, told and recorded of one trial."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from trainables.run.stopping import Rung
from trainables.space import Value

Status: TypeAlias = Literal["finished", "diverged", "stopped", "failed"]


class Outcome(NamedTuple):
    """The end of a trial, as its searcher is told."""

    status: Status
    score: float  # the best validation score; the task's chance level where it diverged
    rungs: tuple[Rung, ...] = ()  # what it was worth where a stopper judges; none where there is no stopper


class Suggestion(NamedTuple):
    """The k-th configuration of a search."""

    k: int
    values: dict[str, Value]
    bars: tuple[Rung, ...] = ()  # what its training must reach to go on


class Recorded(NamedTuple):
    """A trial as the record knows it."""

    run_id: str
    params: dict[str, Any]  # flat, as the trial was
    status: Status | None  # None: not finished
    score: float  # NaN until it is finished
    attempts: int
    versions: str  # of the parts it was first started with
    rungs: tuple[Rung, ...] = ()  # as in its outcome


class SourceRecord(NamedTuple):
    """One record of a source's trial."""

    epoch: float
    steps: float
    mean_scale: float  # over all elements and all steps so far; NaN where the trial diverged


def joined(outcomes: Mapping[int, Outcome]) -> Outcome:
    """The outcome of a configuration from those of its seeds: the mean score, and the worst of the statuses."""
    if len(outcomes) == 1:
        return next(iter(outcomes.values()))
    order: list[Status] = ["failed", "diverged", "stopped", "finished"]
    statuses = {outcome.status for outcome in outcomes.values()}
    scores = [outcome.score for outcome in outcomes.values()]
    return Outcome(next(status for status in order if status in statuses), sum(scores) / len(scores))
