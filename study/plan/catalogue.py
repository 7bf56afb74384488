"""The members that can be chosen, read off the folders and the fields themselves."""

import math
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, get_args

from study.search.samplers import SAMPLERS
from study.search.stoppers import STOPPERS
from trainables.components import Component, find, members, slots
from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.space import written

if TYPE_CHECKING:  # of a kind is imported what it is made of: torch takes seconds
    from study.plan.study import Study

FAMILIES = {
    "directions": ("trainables.directions", "Direction", "direction"),
    "schemes": ("trainables.schemes", "Scheme", "scheme"),
    "schedules": ("trainables.schedules", "Schedule", "scheme.schedule"),
    "optimizers": ("trainables.optimizers", "Optimizer", "optimizer"),
    "rules": ("trainables.rules", "Rule", ""),  # their keys stand beside `rule`
    "decays": ("trainables.rules", "Decay", "decay"),
    "tasks": ("trainables.tasks", "Workload", "task"),
}
"""Where the family of a kind stands, and the key under which a study file names its members."""


def lines(kind: str, name: str | None = None) -> Iterator[str]:
    """The names of a kind with what belongs to each, as lines of text.

    Args:
        kind: one of `FAMILIES`, or studies, arms, settings, searchers, stoppers.
        name: only that member of a family; a class of the user's own, `place:Name`, is imported.

    Raises:
        Refusal: where there is none of that name.
    """
    if kind in FAMILIES:
        module, owner, key = FAMILIES[kind]
        family = getattr(import_module(module), owner)
        return _components(members(family) if name is None else {name: find(family, trusted(name))}, key)
    if name is not None:
        raise Refusal(f"one by one are listed {', '.join(FAMILIES)}, not {kind}: leave {name!r} out")
    others: dict[str, Callable[[], Iterator[str]]] = {
        "studies": _studies,
        "arms": _arms,
        "settings": _settings,
        "searchers": _searchers,
        "stoppers": lambda: _components(STOPPERS, "stopper"),
    }
    return others[kind]()


def _components(named: Mapping[str, type[Component]], key: str) -> Iterator[str]:
    for name, member in named.items():
        yield f"{name}: {_first_line(member)}"
        for slot in slots(member, {}, f"{key}." if key else "").values():
            default = f" = {_shown(slot.default)}" if isinstance(slot.default, str | int | float | tuple | None) else ""
            domain = f", searched over {_domain(slot.domain)}" if slot.domain else ""
            yield f"    {slot.key}{default}{domain}"


def _shown(default: object) -> str:
    """A value as a study file writes it.

    >>> _shown(None), _shown(True), _shown(float("inf")), _shown((0.9, None)), _shown(1e-08)
    ('null', 'true', '.inf', '[0.9, null]', '1e-08')
    """
    if isinstance(default, tuple):
        return f"[{', '.join(map(_shown, default))}]"  # type: ignore[arg-type]
    if default is None or isinstance(default, bool):
        return "null" if default is None else str(default).lower()
    return ".inf" if default == math.inf else str(default)


def _domain(domain: object) -> str:
    ((name, numbers),) = written(domain).items()  # type: ignore[arg-type]
    return f"{name} {numbers}"


def _studies() -> Iterator[str]:
    from study.plan import parse
    from study.plan.file import read_file

    for name, path in parse.shipped().items():
        file, study = read_file(path.read_text(encoding="utf-8"), name), _here(name)
        told = study if isinstance(study, Refusal) else f"{study.num_trials} trials"
        yield f"{name}: {file.question} ({told}; {file.duration or 'not timed'})"


def _arms() -> Iterator[str]:
    from study.plan import parse

    for name in parse.shipped():
        study = _here(name)
        if isinstance(study, Refusal):
            yield f"{name}: {study}"
            continue
        for arm in study.arms:
            told = ", ".join(f"{key}={value}" for key, value in arm.contents().items())
            yield f"{name}/{arm.name}: {told}"


def _here(name: str) -> "Study | Refusal":
    """The study, or what it lacks here: one may need packages that are not installed."""
    from study.plan import parse

    try:
        return parse.load(name)
    except Refusal as refusal:
        return refusal


def _settings() -> Iterator[str]:
    from study.plan.file import Settings
    from trainables.trial import Trial

    yield "of an arm's search:"
    for name, field in Settings.model_fields.items():
        yield f"    {name}: {field.description} (default: {_shown(field.default)})"
    yield "of its trials, beside the keys of their task, rule, direction, scheme and decay:"
    for slot in slots(Trial, {}).values():
        if "." not in slot.key and slot.family is None and slot.key != "seed":
            words = _options(slot.annotation)
            within = [f"{slot.valid.low:g} … {slot.valid.high:g}"] if slot.valid else []
            told = f": {', '.join([*within, *words])}" if within or words else ""
            yield f"    {slot.key}{told} (default: {_shown(slot.default)})"


def _options(annotation: object) -> list[str]:
    """The words that a field may be."""
    given = get_args(annotation)
    return [_shown(each) for each in given if isinstance(each, str)] + [w for each in given for w in _options(each)]


def _searchers() -> Iterator[str]:
    for name, sampler in SAMPLERS.items():
        yield f"{name}: " + ("learns from results" if sampler.learns else "draws independently of results")


def _first_line(member: type) -> str:
    return (member.__doc__ or "").strip().splitlines()[0]
