"""Refuse pairs that are each allowed but do not work together, before anything starts."""

import itertools
from collections.abc import Sequence

from study.plan.file import Heat
from study.plan.study import Arm, Study
from study.search import sequences
from study.search.samplers import SAMPLERS
from study.search.stoppers import Stopper
from trainables.components import slots
from trainables.refusal import Refusal, unknown
from trainables.space import Choice, Derived, Integer, corner
from trainables.tasks import Task
from trainables.trial import Trial

MAX_CELLS = 10_000  # of a grid that starts without being asked about
MAX_RUNGS = 200  # of a trial: they are a tag in MLflow, which takes 8,000 characters
MIN_CMAES = 2  # Optuna's CMA-ES falls back to random draws in one dimension


def check_searcher(arm: Arm) -> None:
    """Refuse a searcher that is not known, or cannot search the arm's domains."""
    settings = arm.settings
    if settings.searcher not in SAMPLERS:
        raise unknown(f"searcher in arm {arm.name!r}:", settings.searcher, SAMPLERS)
    endless = [key for key, domain in arm.space.items() if not isinstance(domain, (Choice, Integer))]
    if settings.searcher == "grid" and endless:
        first = "values of its own" if isinstance(arm.space[endless[0]], Derived) else "a choice: [...]"
        raise Refusal(f"arm {arm.name!r}: a grid needs finite domains; give {endless[0]} {first}")
    if settings.searcher == "grid" and settings.trials > (cells := sequences.num_cells(arm.space)):
        raise Refusal(f"arm {arm.name!r}: the grid has {cells} points, trials asks for {settings.trials}")
    if len(arm.start) > settings.trials:
        raise Refusal(
            f"arm {arm.name!r}: start names {len(arm.start)} configurations, and trials is {settings.trials}: "
            "the last would never be tried"
        )
    if settings.searcher == "grid" and arm.start:
        raise Refusal(f"arm {arm.name!r}: a grid tries every cell: leave start out")
    drawn = [domain.inner if isinstance(domain, Derived) else domain for domain in arm.space.values()]
    if settings.searcher == "cmaes" and sum(not isinstance(domain, Choice) for domain in drawn) < MIN_CMAES:
        raise Refusal(f"arm {arm.name!r}: cmaes needs at least {MIN_CMAES} numbers to search, else it draws at random")


def check_fuse(arm: Arm) -> None:
    """Refuse to train trials side by side where one must end before the next is drawn, or shapes may differ."""
    if "fuse" in arm.space:
        raise Refusal(f"arm {arm.name!r}: fuse cannot be searched: give it one value")
    width, settings = arm.setting("fuse"), arm.settings
    if width is None:
        return
    judges = settings.stopper or (settings.searcher if SAMPLERS[settings.searcher].learns else None)
    if judges and settings.parallel < width:
        raise Refusal(
            f"arm {arm.name!r}: fuse: {width} starts {width} trials at once, and {judges} sees results 0…k−parallel: "
            f"parallel must be at least {width}, got {settings.parallel}"
        )
    corners = {key: corner(domain) for key, domain in arm.space.items()}
    for key, domain in arm.space.items():
        for value in domain.options if isinstance(domain, Choice) else (corners[key],):
            found = arm.trial({**corners, key: value}, seed=0).flat()[key]
            if not isinstance(found, float):
                raise Refusal(f"arm {arm.name!r}: fuse: {width} needs equal shapes: search real numbers, not {key}")


def check_points(arms: Sequence[Arm]) -> None:
    """Refuse arms of one entry that are to draw the same configurations and cannot."""
    first: dict[str, Arm] = {}
    for arm in (arm for arm in arms if arm.settings.same_points):
        if SAMPLERS[arm.settings.searcher].learns:
            raise Refusal(f"arm {arm.name!r}: {arm.settings.searcher} learns from results: same_points cannot hold")
        other = first.setdefault(arm.points, arm)
        ours, theirs = ((one.settings.searcher, one.space, one.start) for one in (arm, other))
        if ours != theirs:
            raise Refusal(
                f"arms {other.name!r} and {arm.name!r} search other domains, or by another searcher: same_points "
                "cannot hold"
            )


def check_heat(heat: Heat | None, arms: Sequence[Arm]) -> None:
    """Refuse a heat map over what no arm has.

    Args:
        heat: of the study file; None: there is none.
        arms: of the study.
    """
    known = dict.fromkeys(key for arm in arms for key in slots(Trial, arm.fixed))
    for name in ("rows", "columns") if heat else ():
        if getattr(heat, name) not in known:
            raise unknown(f"key in heat.{name}:", getattr(heat, name), known)
    if heat and heat.loss == "test_loss" and all(arm.setting("evaluate_test") == "never" for arm in arms):
        raise Refusal("heat.loss is test_loss, and evaluate_test: never asks for none: say epoch or end")


def check_size(study: Study) -> None:
    """Refuse a grid of more than `MAX_CELLS` cells, for which somebody must say that it is meant."""
    for arm in study.arms:
        if arm.settings.searcher == "grid" and (cells := sequences.num_cells(arm.space)) > MAX_CELLS:
            raise Refusal(
                f"arm {arm.name!r}: the grid has {cells:,} cells, more than {MAX_CELLS:,}: say --yes if that is meant"
            )


def check_stopper(arm: Arm) -> None:
    """Refuse a stopper where trials cannot be stopped early, or never would be."""
    name, settings = arm.settings.stopper, arm.settings
    if arm.stopper is None:
        return
    every, epochs = float(arm.setting("record_every")), float(arm.setting("epochs"))
    first = arm.stopper.first(every)
    if not SAMPLERS[settings.searcher].hears_stops:
        able = ", ".join(name for name, sampler in SAMPLERS.items() if sampler.hears_stops)
        raise Refusal(
            f"arm {arm.name!r}: {settings.searcher} learns nothing from trials that {name} stops: leave the stopper "
            f"out, or search by one of {able}"
        )
    if settings.seeds > 1:
        raise Refusal(f"arm {arm.name!r}: {name} judges single trainings, seeds must be 1, got {settings.seeds}")
    if "record_every" in arm.space:
        raise Refusal(f"arm {arm.name!r}: {name} compares equal records of all trials: give record_every one value")
    if round(first) < 1 or abs(first - round(first)) > 1e-9 * first:
        raise Refusal(
            f"arm {arm.name!r}: {name} judges where there is a record, so stopper.min_epochs must be a multiple of "
            f"record_every={every:g}, got {first * every:g}"
        )
    _check_rungs(arm, arm.stopper, every)
    if "epochs" not in arm.space and first * every >= epochs:
        raise Refusal(
            f"arm {arm.name!r}: {name} would never stop a trial: stopper.min_epochs must lie below "
            f"epochs={epochs:g}, got {first * every:g}"
        )


def _check_rungs(arm: Arm, stopper: Stopper, every: float) -> None:
    """Refuse more rungs than a record of a trial can hold."""
    records = stopper.records(0, round(stopper.first(every)))
    if next(itertools.islice(records, MAX_RUNGS, None)) * every <= _longest(arm):
        raise Refusal(
            f"arm {arm.name!r}: {arm.settings.stopper} would judge a trial more than {MAX_RUNGS} times: raise "
            "stopper.min_epochs"
        )


def _longest(arm: Arm) -> float:
    """The most epochs that a trial of the arm may have."""
    domain = arm.space.get("epochs")
    if domain is None:
        return float(arm.setting("epochs"))
    within = domain.inner if isinstance(domain, Derived) else domain
    return float(max(map(float, within.options)) if isinstance(within, Choice) else within.high)


def check_validation(arm: Arm) -> None:
    """Refuse an arm that judges trials by validation data which its task does not have; this reads the data."""
    settings = arm.settings
    judges = settings.stopper or (settings.searcher if SAMPLERS[settings.searcher].learns else None)
    if judges and isinstance(arm.task, Task) and not len(arm.task.splits().valid):
        raise Refusal(
            f"arm {arm.name!r}: {judges} judges trials by validation scores, and the task holds no validation data: "
            "raise task.valid_size, or search at random"
        )
