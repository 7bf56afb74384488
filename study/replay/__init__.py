"""Searches over recorded trials: what another searcher, stopper or budget would have cost, without any training.

What a searcher asks for is answered by the nearest recorded configuration of the same arm; searchers and stoppers are
those that a study runs (`study.search`). Every group of searches sees the record's trials drawn
anew, with replacement: a record is a sample too, and intervals that take it for the truth would be falsely tight. Of
a grid only the seeds of each cell are drawn anew, for its cells were chosen.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from study.answers.replayed import Replayed, replay_answers
from study.plan.checks import check_searcher, check_stopper
from study.plan.parse import load, shipped
from study.plan.parse import recorded as recorded_study
from study.plan.start import start_of
from study.plan.study import Arm, Study
from study.plan.tasks import entry_of
from study.replay.curves import curves_of
from study.replay.searches import searches
from study.search.stoppers import stopper_of
from trainables.refusal import Refusal, unknown
from trainables.space import LogNormal, LogUniform, Uniform, Value, written

NEEDED = "arm", "k", "task", "record", "valid_score", "passes"  # columns of a saved record
GROUP = 10  # searches over one draw of the record's trials; the groups' answers make the intervals


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """Settings of replayed searches: None keeps what the study file says."""

    searcher: str | None = None
    stopper: str | None = None
    stopper_fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trials: int | None = None
    start: Sequence[Mapping[str, Value]] = ()  # tried first by arms that search all their fields
    priors: Mapping[str, Sequence[float]] = field(default_factory=dict[str, Sequence[float]])  # as {log_normal: …} has
    repetitions: int = 1000  # searches an arm, in tens; below 100 intervals are too tight
    target: float | None = None  # in the task's own sense; None: the task's own target
    baseline: str | None = None  # an arm, or a scheme on every task; None: the study's, or a task's first arm
    unit: str = "passes"
    seed: int = 0
    of: str | None = None  # the recorded arm whose trials answer every arm of the study; None: each arm its own


def read_record(source: str, file: str | None, uri: str) -> tuple[pd.DataFrame, Study]:
    """A record to replay, and the study that it is of.

    Args:
        source: the name of a recorded study, or the path of a saved record (.csv, .parquet).
        file: the study file; None: as it was recorded, or the shipped one that the saved record names.
        uri: of the MLflow store that a name is looked up in.

    Raises:
        Refusal: where one of them is not there or cannot be used, and where a saved record does not say what its arms
            search.
    """
    from study import tracking
    from study.records.material import is_saved, of_file

    if not is_saved(source):
        record = tracking.read(source, uri)
        if file:
            return record, load(file, code=False)
        about = tracking.about(source, uri)
        return record, _as_recorded(record, source, about.study_file, about.contents)
    material = of_file(Path(source), NEEDED)
    if file is None and material.contents:
        return material.record, _as_recorded(material.record, material.name, material.text, material.contents)
    if file is None and material.name not in shipped():
        raise Refusal(f"{source!r} does not say what its arms search: name the study's file with --study")
    return material.record, load(file or material.name, code=False)


def _as_recorded(record: pd.DataFrame, name: str, text: str, contents: Mapping[str, Mapping[str, Any]]) -> Study:
    """The study by its record alone."""
    from study.records.material import level_of

    tasks = set(record["task"].dropna()) if len(record) else set[str]()
    return recorded_study(text, name, contents, {task: level_of(record, task) for task in tasks})


def replay(
    record: pd.DataFrame,
    study: Study,
    asked: ReplayOptions = ReplayOptions(),
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Replayed]]:
    """The answers of every arm that has trials in the record, by task.

    Args:
        record: as `study.tracking.read` gives it.
        study: its arms say what is searched, how, and with which budget.
        asked: what replaces the study's settings.
        told: hears of each arm as it begins.

    Raises:
        Refusal: where no recorded trial fits, where settings do not go together, and for names that are not there.
    """
    present = set(record["arm"]) if len(record) else set[str]()
    if asked.of is not None and asked.of not in present:
        raise unknown("recorded arm", asked.of, present)
    arms = [changed(arm, asked) for arm in study.arms if asked.of is not None or arm.name in present]
    if not arms:
        raise Refusal(f"the record holds no trial of study {study.name!r} that has ended")
    _check_keys(arms, asked)
    names = [arm.name for arm in arms]
    by_task: dict[str, list[Arm]] = {}
    for arm in arms:
        by_task.setdefault(str(arm.fixed["task"]), []).append(arm)
    if asked.baseline and not any(_is(asked.baseline, arm, task) for task, here in by_task.items() for arm in here):
        raise unknown("baseline", asked.baseline, names)
    return {task: _of_task(record, study, here, asked, told) for task, here in by_task.items()}


def changed(arm: Arm, asked: ReplayOptions) -> Arm:
    """The arm with the searcher, stopper, budget and beginning that were asked for.

    Args:
        arm: as the study has it.
        asked: what replaces its settings.

    Raises:
        Refusal: where searcher and stopper do not go together, and for a beginning outside of what it searches.
    """
    stopper = stopper_of(asked.stopper, asked.stopper_fields) if asked.stopper else arm.stopper
    wanted = {"searcher": asked.searcher, "stopper": asked.stopper, "trials": asked.trials}
    update = {name: value for name, value in wanted.items() if value is not None}
    tried = [values for values in asked.start if arm.space.keys() >= values.keys()]
    start = start_of(tried, arm.fixed, arm.space) if tried else arm.start
    made = arm._replace(settings=arm.settings.model_copy(update={**update, "seeds": 1}), stopper=stopper, start=start)
    check_searcher(made)
    check_stopper(made)
    return made


def with_priors(arm: Arm, priors: Mapping[str, Sequence[float]]) -> Arm:
    """The arm with log-normal laws in place of the domains of its fields, cut off where those end.

    Args:
        arm: whose trials are recorded: beyond its domains nobody knows what a trial would have been.
        priors: median and standard deviation in decades, by dotted key; those of other fields change nothing.

    Raises:
        Refusal: where a field is not searched between two numbers, or the median is not between them.
    """
    space = dict(arm.space)
    for key in priors.keys() & space.keys():
        domain = space[key]
        if not isinstance(domain, (Uniform, LogUniform)):
            raise Refusal(f"arm {arm.name!r}: a prior of {key} needs a domain of numbers, it is {written(domain)}")
        space[key] = LogNormal(*priors[key]).within(domain.low, domain.high)
    return arm._replace(space=space)


def _check_keys(arms: Sequence[Arm], asked: ReplayOptions) -> None:
    """Refuse configurations and priors that change no arm."""
    for values in (*asked.start, *({key: 0.0} for key in asked.priors)):
        if not any(arm.space.keys() >= values.keys() for arm in arms):
            known = dict.fromkeys(key for arm in arms for key in arm.space)
            missing = next((key for key in values if key not in known), None)
            raise unknown("searched key", missing, known) if missing else Refusal(f"no arm searches all of {[*values]}")


def _of_task(
    record: pd.DataFrame, study: Study, arms: list[Arm], asked: ReplayOptions, told: Callable[[str], None]
) -> list[Replayed]:
    task = arms[0].task
    sign = 1 if task.mode == "max" else -1
    target = task.target if asked.target is None else asked.target
    if target is not None and not sign * task.chance < sign * target < math.inf:
        raise Refusal(
            f"a target of {target:g} is none on {arms[0].fixed['task']}, where chance alone gets to {task.chance:g}"
        )
    found = {}
    for arm in arms:
        told(arm.name)
        curves = curves_of(record, arm, asked.unit, asked.of)._replace(arm=with_priors(arm, asked.priors))
        race = None if target is None else sign * target
        found[arm.name] = list(searches(curves, study.name, race, -(-asked.repetitions // GROUP), GROUP, asked.seed))
    wanted = asked.baseline or study.file.baseline
    baseline = next((arm for arm in arms if _is(wanted, arm, str(arm.fixed["task"]))), arms[0]).name
    return replay_answers(found, baseline, sign, asked.unit, raced=target is not None)


def _is(baseline: str, arm: Arm, task: str) -> bool:
    """Whether an arm is the baseline by its own name, or by that of its scheme, which stands on several tasks."""
    return baseline in (arm.name, entry_of(arm.name, task))
