"""From the text of a study file to a `Study`: names found, domains read, everything checked, or one clear line."""

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any, cast, get_args

from pydantic import ValidationError

from study.plan import controls
from study.plan.checks import check_fuse, check_heat, check_points, check_searcher, check_stopper
from study.plan.file import Settings, StudyFile, complaint, nested, read_file, text_of
from study.plan.key import checked_name
from study.plan.start import start_of
from study.plan.study import STOPPER, Arm, Study
from study.plan.tasks import entry_of, label, overlaid
from study.search.stoppers import stopper_of
from trainables.components import Slot, slots
from trainables.plugins import trusted, word_of
from trainables.refusal import Refusal, unknown
from trainables.space import (
    DOMAIN_NAMES,
    Derived,
    Domain,
    Integer,
    LogNormal,
    LogUniform,
    Uniform,
    Value,
    corner,
    domain_of,
    inside,
    written,
)
from trainables.trial import Trial

MAX_CONTENTS = 5_000  # it is a tag in MLflow, which takes 8,000
DEFAULT = "default"  # as a value: keep the field at its default instead of searching it


def shipped() -> dict[str, Path]:
    """The studies that come with the program, by name."""
    folder = cast(Path, resources.files("study") / "studies")
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(name_or_path: str, trials: int | None = None, *, code: bool = True) -> Study:
    """Read the study of that shipped name or in that file.

    Args:
        name_or_path: a shipped study's name, or a path that ends in .yaml.
        trials: replaces the budget of every search.
        code: import other people's tasks and rules that the file names: it was given to be run. False refuses them.

    Returns:
        The study, checked.

    Raises:
        Refusal: in one line, where there is no such study or it asks for what cannot be.
    """
    path = path_of(name_or_path)
    study = parse(text_of(path), checked_name("study", path.stem), trials, path.parent if code else None)
    return study._replace(source=name_or_path)


def path_of(name_or_path: str) -> Path:
    """The file of a shipped study, or the file that is named; refused where it is neither."""
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml"):
        return path
    if name_or_path not in shipped():
        raise unknown("study", name_or_path, [*shipped(), "or a path that ends in .yaml"])
    return shipped()[name_or_path]


def parse(text: str, name: str, trials: int | None = None, folder: Path | None = None) -> Study:
    """Read the study that a text describes.

    Args:
        text: what stands in a study file.
        name: the study's.
        trials: replaces the budget of every search.
        folder: where paths like `./my_task.py:Mine` count from, of a file that a user gave to be run. None for a text
            from anywhere else, a store for one: then names of other people's code are refused, and nothing is run.

    Returns:
        The study, checked.

    Raises:
        Refusal: in one line, where it asks for what cannot be.

    >>> study = parse("{question: q, common: {task: quadratic}, arms: {sgd: {}}}", "example")
    >>> study.arms[0].space
    {'scheme.lr': LogUniform(low=1e-05, high=10.0)}
    """
    file = read_file(text, name)
    arms = _arms(file, trials, folder)
    _refuse_twins(arms)
    check_points(arms)
    check_heat(file.heat, arms)
    return Study(name, file, arms, text)


def _arms(file: StudyFile, trials: int | None, folder: Path | None) -> tuple[Arm, ...]:
    """All arms in the order of the file; controls are derived from the others."""
    if "control_of" in file.common:
        raise Refusal("control_of belongs to one arm, and stands alone there; it cannot be common")
    arms = file.written_out()
    own = {name: entries for name, entries in arms.items() if "control_of" not in entries}
    sources = {name: _arm(name, overlaid(file.common, entries), trials, folder) for name, entries in own.items()}
    return tuple(sources[name] if name in sources else controls.derived(name, arms, sources) for name in arms)


def _refuse_twins(arms: Iterable[Arm]) -> None:
    """Refuse two arms of one task that reports would call by the same name."""
    seen: dict[tuple[str, str], str] = {}
    for arm in arms:
        task = str(arm.fixed.get("task", ""))
        other = seen.setdefault((entry_of(arm.name, task), task), arm.name)
        if other != arm.name:
            raise Refusal(f"arms {other!r} and {arm.name!r} are one scheme on {label(task)}: give one another name")


def _arm(name: str, entries: Mapping[str, Any], trials: int | None, folder: Path | None) -> Arm:
    checked_name("arm", name)
    if isinstance(entries.get("stopper"), dict):
        raise Refusal(f"arm {name!r}: {nested('stopper', entries['stopper'])}")
    settings, of_stopper = _settings(name, entries, trials), _of_stopper(entries)
    given = _of_trial(entries)
    if folder is not None:
        given = {key: trusted(value, folder) for key, value in given.items()}
    try:
        fixed, space = _split(given)
        start = start_of(settings.start, fixed, space)
        arm = Arm(name, settings, fixed, space, stopper_of(settings.stopper, of_stopper), start)
        if isinstance(space.get("epochs"), (Uniform, LogUniform, LogNormal)) and arm.task.whole_epochs:
            raise Refusal("epochs of a loop of its own are whole numbers: search them with integer: [low, high]")
        for values in (*_corners(space), *start):
            arm.trial({**{key: corner(domain) for key, domain in space.items()}, **values}, seed=0)
    except Refusal as refusal:
        raise Refusal(f"arm {name!r}: {refusal}") from refusal
    check_searcher(arm)
    check_stopper(arm)
    check_fuse(arm)
    if len(json.dumps(arm.contents())) > MAX_CONTENTS:
        raise Refusal(f"arm {name!r} is too long to be recorded: at most {MAX_CONTENTS} characters of JSON")
    return arm


def _corners(space: Mapping[str, Domain]) -> Iterator[dict[str, Value]]:
    """Points at the utmost that a searcher draws: of every key alone, and of two that one component has."""
    yield {}
    inner = {key: inside(domain) for key, domain in space.items()}
    for key, values in inner.items():
        yield from ({key: value} for value in values)
    for one, other in combinations(inner, 2):
        if one.rpartition(".")[0] == other.rpartition(".")[0]:
            yield from ({one: a, other: b} for a in inner[one] for b in inner[other])


def without_search(name: str, entries: Mapping[str, Any], folder: Path) -> Arm:
    """The arm of these entries, whatever they say of its search: a trial of it is to be trained by itself.

    Args:
        name: the arm's.
        entries: what a study file says of it.
        folder: where paths like `./my_task.py:Mine` count from.

    Returns:
        The arm, checked, at the default settings of a search.
    """
    return _arm(name, _of_trial(entries), None, folder)


def recorded(text: str, name: str, contents: Mapping[str, Mapping[str, Any]], levels: Mapping[str, Any]) -> Study:
    """Read a recorded study by what its record says, without the code that it may name.

    Args:
        text: the study file, as it was recorded.
        name: the study's.
        contents: by arm, what `Arm.contents` gave when it was run.
        levels: by task, how its scores are read: mode, metric, chance and target.

    Returns:
        The study, of the arms that are recorded: their trials can be told apart and searched again, not trained.

    Raises:
        Refusal: in one line, where the file cannot be read.
    """
    file = read_file(text, name)
    arms, made = file.written_out(), list[Arm]()
    for arm in (arm for arm in arms if arm in contents):
        source = arms.get(arms[arm].get("control_of", arm), {})
        settings, told = _settings(arm, overlaid(file.common, source), None), contents[arm]
        own = {key: value for key, value in _of_trial(told).items() if not key.endswith(".py")}  # those are hashes
        space = {key: domain_of(value) for key, value in own.items() if isinstance(value, dict)}
        fixed = {key: value for key, value in own.items() if key not in space}
        stopper, level = stopper_of(settings.stopper, _of_stopper(told)), levels.get(str(fixed.get("task")))
        start = () if "control_of" in arms[arm] else start_of(settings.start, fixed, space)
        made.append(Arm(arm, settings, fixed, space, stopper, start, level))
    return Study(name, file, tuple(made), text)


def _settings(name: str, entries: Mapping[str, Any], trials: int | None) -> Settings:
    try:
        of_search = {key: value for key, value in entries.items() if key in Settings.model_fields}
        return Settings.model_validate({**of_search, **({"trials": trials} if trials is not None else {})})
    except ValidationError as error:
        raise complaint(f"arm {name!r}", error, Settings) from error


def _of_stopper(entries: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(STOPPER): value for key, value in entries.items() if key.startswith(STOPPER)}


def _of_trial(entries: Mapping[str, Any]) -> dict[str, Any]:
    others = Settings.model_fields
    return {key: value for key, value in entries.items() if key not in others and not key.startswith(STOPPER)}


def _split(given: Mapping[str, Any]) -> tuple[dict[str, Value], dict[str, Domain]]:
    """Values and domains: what the arm says, else the domain beside the field, else the field's default."""
    known = slots(Trial, {key: value for key, value in given.items() if not isinstance(value, dict)})
    for key in given:
        if key == "seed":
            raise Refusal("seed cannot be set: it follows from the key of each trial (use seeds: for several)")
        if key not in known:
            raise unknown("key", key, {*known, *Settings.model_fields} - {"seed"})
    fixed: dict[str, Value] = {}
    space: dict[str, Domain] = {}
    for key, slot in known.items():
        if key not in given:
            space |= {} if slot.domain is None else {key: slot.domain}
        elif isinstance(given[key], dict):
            space[key] = _domain(slot, given[key])
        elif given[key] != DEFAULT:
            fixed[key] = slot.checked(given[key])
    return fixed, space


def _domain(slot: Slot, given: dict[str, Any]) -> Domain:
    if slot.family and not given.keys() & set(DOMAIN_NAMES):
        raise nested(slot.key, given)
    if slot.family:
        raise Refusal(f"{slot.key} cannot be searched: give every {word_of(slot.family)} an arm of its own")
    try:
        domain = domain_of(given)
    except Refusal as refusal:
        raise Refusal(f"{slot.key}: {refusal}") from refusal
    kinds = get_args(slot.annotation) or (slot.annotation,)
    if isinstance(domain, (Uniform, LogUniform, LogNormal)) and int in kinds and float not in kinds:
        raise Refusal(f"{slot.key} is a whole number: search it with integer: [low, high]")
    if isinstance(domain, Derived):
        return domain
    if isinstance(domain, LogNormal):
        slot.checked(domain.median)
        return domain.within(*slot.valid) if slot.valid else domain
    for bound in next(iter(written(domain).values())):
        slot.checked(float(bound) if slot.annotation is float and isinstance(domain, Integer) else bound)
    return domain
