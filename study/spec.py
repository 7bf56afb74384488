"""What a study file asks for: arms and their search spaces, validated, or one clear line."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from study import controls
from study.checks import check_searcher, check_stopper
from study.key import Key, checked_name
from study.reading import Settings, StudyFile, complaint, read, text_of
from study.stoppers import Stopper, stopper_of
from trainables.components import Slot, files_of, slots
from trainables.outside import File, located
from trainables.refusal import Refusal, unknown
from trainables.rungs import Rung
from trainables.space import Domain, Integer, OverLr, Uniform, Value, corner, domain_of, resolved, written
from trainables.trial import Trial

MAX_CONTENTS = 5_000  # it is a tag in MLflow, which takes 8,000
STOPPER = "stopper."  # before the fields of a stopper
DEFAULT = "default"  # as a value: keep the field at its default instead of searching it


class Arm(NamedTuple):
    """One (task, rule, searcher) with its search space."""

    name: str
    settings: Settings
    fixed: dict[str, Value]
    space: dict[str, Domain]
    stopper: Stopper | None = None

    def trial(self, values: Mapping[str, Value], seed: int) -> Trial:
        """The trial at one point of the space."""
        lr = values.get("scheme.lr", Trial.parse(self.fixed).flat().get("scheme.lr", math.nan))
        return Trial.parse({**self.fixed, **resolved(self.space, values, float(lr or math.nan)), "seed": seed})

    @property
    def task(self) -> Any:
        """The arm's task."""
        return Trial.parse(self.fixed).task

    def files(self) -> list[File]:
        """The files from outside this project that its trials need."""
        return sorted(files_of(self.trial({key: corner(domain) for key, domain in self.space.items()}, seed=0)))

    def rungs(self, scores: Sequence[float], *, diverged: bool) -> tuple[Rung, ...]:
        """What a trial with these validation scores, one a record, was worth where the stopper judges."""
        if self.stopper is None:
            return ()
        trial = Trial.parse(self.fixed)
        sign = 1 if trial.task.mode == "max" else -1
        return self.stopper.reached([sign * score for score in scores], trial.record_every, diverged=diverged)

    def contents(self) -> dict[str, Any]:
        """What makes the arm this arm; budgets are left out, because a study may be extended."""
        settings = self.settings
        search = {"searcher": settings.searcher, "parallel": settings.parallel, "seeds": settings.seeds}
        if settings.control_of is not None:
            search |= {"control_of": settings.control_of}
        if self.stopper:
            search |= {"stopper": settings.stopper}
            search |= {STOPPER + key: value for key, value in self.stopper.flat().items()}
        search |= {file.place: _hash(file.text) for file in self.files()}
        return {**search, **self.fixed, **{key: written(domain) for key, domain in self.space.items()}}


class Search(NamedTuple):
    """One arm, one repetition: one searcher spending one budget of trials."""

    study: str
    arm: Arm
    repetition: int

    def key(self, k: int, seed_number: int = 0) -> Key:
        """The key of its k-th configuration."""
        return Key(self.study, self.arm.name, self.repetition, k, seed_number)


class Study(NamedTuple):
    """All that answers one question."""

    name: str
    file: StudyFile
    arms: tuple[Arm, ...]
    text: str  # the file as it was read

    def searches(self) -> Iterator[Search]:
        """Every arm, every repetition."""
        for arm in self.arms:
            for repetition in range(arm.settings.repetitions):
                yield Search(self.name, arm, repetition)

    @property
    def num_trials(self) -> int:
        """Trainings in all."""
        return sum(arm.settings.trials * arm.settings.repetitions * arm.settings.seeds for arm in self.arms)

    @property
    def hash(self) -> str:
        """A short hash of the contents of all arms."""
        return _hash(json.dumps({arm.name: arm.contents() for arm in self.arms}, sort_keys=True))


def _hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def shipped() -> dict[str, Path]:
    """The studies that come with the program, by name."""
    folder = cast(Path, resources.files("study") / "studies")
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load(name_or_path: str, trials: int | None = None) -> Study:
    """The study of that shipped name or in that file; `trials` replaces the budget of every search."""
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        if name_or_path not in shipped():
            raise unknown("study", name_or_path, [*shipped(), "or a path that ends in .yaml"])
        path = shipped()[name_or_path]
    return parse(text_of(path), checked_name("study", path.stem), trials, path.resolve().parent)


def parse(text: str, name: str, trials: int | None = None, folder: Path | None = None) -> Study:
    """The study that `text` describes; names like `./my_task.py:Mine` count from `folder`, or where we are now.

    >>> study = parse("{question: q, common: {task: quadratic}, arms: {sgd: {}}}", "example")
    >>> study.arms[0].space
    {'scheme.lr': LogUniform(low=1e-05, high=10.0)}
    """
    file = read(text, name)
    return Study(name, file, _arms(file, trials, folder or Path()), text)


def _arms(file: StudyFile, trials: int | None, folder: Path) -> tuple[Arm, ...]:
    """All arms in the order of the file; controls are derived from the others."""
    if "control_of" in file.common:
        raise Refusal("control_of belongs to one arm, and stands alone there; it cannot be common")
    arms = file.written_out()
    own = {name: entries for name, entries in arms.items() if "control_of" not in entries}
    sources = {name: _arm(name, {**file.common, **entries}, trials, folder) for name, entries in own.items()}
    return tuple(sources[name] if name in sources else controls.derived(name, arms, sources) for name in arms)


def _arm(name: str, entries: Mapping[str, Any], trials: int | None, folder: Path) -> Arm:
    checked_name("arm", name)
    try:
        of_search = {key: value for key, value in entries.items() if key in Settings.model_fields}
        settings = Settings.model_validate({**of_search, **({"trials": trials} if trials is not None else {})})
    except ValidationError as error:
        raise complaint(f"arm {name!r}", error, Settings) from error
    of_stopper = {key.removeprefix(STOPPER): value for key, value in entries.items() if key.startswith(STOPPER)}
    of_trial = entries.keys() - Settings.model_fields.keys() - {STOPPER + key for key in of_stopper}
    given = {key: located(value, folder.resolve()) for key, value in entries.items() if key in of_trial}
    try:
        fixed, space = _split(given)
        arm = Arm(name, settings, fixed, space, stopper_of(settings.stopper, of_stopper))
        arm.trial({key: corner(domain) for key, domain in space.items()}, seed=0)
    except Refusal as refusal:
        raise Refusal(f"arm {name!r}: {refusal}") from refusal
    check_searcher(arm)
    check_stopper(arm)
    if len(json.dumps(arm.contents())) > MAX_CONTENTS:
        raise Refusal(f"arm {name!r} is too long to be recorded: at most {MAX_CONTENTS} characters of JSON")
    return arm


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
    if slot.family:
        raise Refusal(f"{slot.key} cannot be searched: give every {slot.family.__name__.lower()} an arm of its own")
    try:
        domain = domain_of(given)
    except Refusal as refusal:
        raise Refusal(f"{slot.key}: {refusal}") from refusal
    if isinstance(domain, Uniform) and slot.annotation is int:
        raise Refusal(f"{slot.key} is a whole number: search it with integer: [low, high]")
    if isinstance(domain, OverLr):
        return domain
    for bound in next(iter(written(domain).values())):
        slot.checked(float(bound) if slot.annotation is float and isinstance(domain, Integer) else bound)
    return domain
