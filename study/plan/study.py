"""Studies: arms and their search spaces, validated, or one clear line."""

import fnmatch
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING
from itertools import chain
from typing import Any, NamedTuple

from study.plan.file import Settings, StudyFile
from study.plan.key import Key
from study.plan.tasks import entry_of
from study.search.stoppers import Stopper
from trainables.components import files_of, slots
from trainables.plugins import File
from trainables.rates import resolved
from trainables.refusal import unknown
from trainables.run.stopping import Rung
from trainables.space import Derived, Domain, Value, corner, written
from trainables.trial import Trial

STOPPER = "stopper."  # before the fields of a stopper


class Arm(NamedTuple):
    """One (task, rule, searcher) with its search space."""

    name: str
    settings: Settings
    fixed: dict[str, Value]
    space: dict[str, Domain]
    stopper: Stopper | None = None
    start: tuple[dict[str, Value], ...] = ()  # tried first, as `study.plan.start` gives them
    level: Any = None  # of a recorded arm: mode, metric, chance and target of its task, which need not be here
    settled: tuple[tuple[str, Value], ...] = ()  # left open by the file (study.plan.recipes)

    @property
    def points(self) -> str:
        """The name that its configurations are drawn by: on every task the same, where that is asked for."""
        task = str(self.fixed.get("task", ""))
        return entry_of(self.name, task) if self.settings.same_points else self.name

    def trial(self, values: Mapping[str, Value], seed: int) -> Trial:
        """The trial at one point of the space.

        Args:
            values: of the searched hyper-parameters, by dotted key.
            seed: of the training.

        Raises:
            Refusal: where the values are no trial.
        """
        own = {key: value for key, value in values.items() if not isinstance(self.space.get(key), Derived)}
        fixed = {**self.fixed, **dict(self.settled)}
        flat = Trial.parse({**fixed, **own}).flat() if len(own) < len(values) else {}
        return Trial.parse({**fixed, **resolved(self.space, values, flat), "seed": seed})

    @property
    def task(self) -> Any:
        """The arm's task; of a recorded arm what its record says of it."""
        return self.level or Trial.parse(self.with_required).task

    @property
    def with_required(self) -> dict[str, Value]:
        """Everything that it fixes, and the low corner of what it searches and has no default."""
        without = [key for key, slot in slots(Trial, self.fixed).items() if slot.default is MISSING]
        return {**{key: corner(self.space[key]) for key in without if key in self.space}, **self.fixed}

    def setting(self, name: str) -> Any:
        """A field of all trials, such as `epochs`, at the value that the arm gives it."""
        return self.fixed.get(name, slots(Trial, {})[name].default)

    def files(self) -> list[File]:
        """The files from outside this project that its trials need."""
        return sorted(files_of(self.trial({key: corner(domain) for key, domain in self.space.items()}, seed=0)))

    def rungs(self, k: int, scores: Sequence[float], *, diverged: bool) -> tuple[Rung, ...]:
        """The worth of a trial where the stopper judges.

        Args:
            k: its number in its search.
            scores: its validation scores in the task's own sense, one a record.
            diverged: whether the last of them stands for a divergence.

        Returns:
            One entry a rung that it came to; none without a stopper.
        """
        if self.stopper is None:
            return ()
        sign = 1 if self.task.mode == "max" else -1
        every = float(self.setting("record_every"))
        return self.stopper.reached(k, [sign * score for score in scores], every, diverged=diverged)

    def contents(self) -> dict[str, Any]:
        """All that makes the arm this arm, as JSON holds it; budgets are left out: a study may be extended."""
        settings = self.settings
        search = {"searcher": settings.searcher, "parallel": settings.parallel, "seeds": settings.seeds}
        if settings.control_of is not None:
            search |= {"control_of": settings.control_of}
        if settings.same_points:
            search |= {"same_points": True}
        if settings.start:
            search |= {"start": [dict(values) for values in settings.start]}
        if self.stopper:
            search |= {"stopper": settings.stopper}
            search |= {STOPPER + key: value for key, value in self.stopper.flat().items()}
        search |= {file.place: _hash(file.text) for file in self.files()}
        fixed = {key: list(value) if isinstance(value, tuple) else value for key, value in self.fixed.items()}
        return {**search, **fixed, **{key: written(domain) for key, domain in self.space.items()}}


class Search(NamedTuple):
    """One arm, one repetition: one searcher spending one budget of trials."""

    study: str
    arm: Arm
    repetition: int

    def key(self, k: int, seed_number: int = 0) -> Key:
        """The key of a training of this search.

        Args:
            k: the number of the configuration.
            seed_number: which of the configuration's seeds.
        """
        return Key(self.study, self.arm.name, self.repetition, k, seed_number)

    def draw(self, k: int) -> Key:
        """The key that configuration k is drawn by.

        Args:
            k: the number of the configuration.
        """
        return self.key(k)._replace(arm=self.arm.points)


class Study(NamedTuple):
    """All that answers one question."""

    name: str
    file: StudyFile
    arms: tuple[Arm, ...]
    text: str  # the file as it was read
    source: str = ""  # as it was named: a shipped study's name, or a path

    def searches(self) -> Iterator[Search]:
        """Every arm, every repetition."""
        for arm in self.arms:
            for repetition in range(arm.settings.repetitions):
                yield Search(self.name, arm, repetition)

    def part(self, patterns: Sequence[str]) -> "Study":
        """The study of some of its arms, and of those whose measured scale one of them replays.

        Args:
            patterns: names of arms, in which `*` stands for anything; all arms where there is none.

        Raises:
            Refusal: for a pattern that no arm's name fits.
        """
        names = [arm.name for arm in self.arms]
        fitting = [fnmatch.filter(names, pattern) for pattern in patterns]
        for pattern, found in zip(patterns, fitting, strict=True):
            if not found:
                raise unknown("arm", pattern, names)
        chosen = set(chain(*fitting)) if patterns else set(names)
        chosen |= {arm.settings.control_of for arm in self.arms if arm.name in chosen and arm.settings.control_of}
        return self._replace(arms=tuple(arm for arm in self.arms if arm.name in chosen))

    def missing(self, ended: Iterable[Key]) -> Counter[tuple[str, int]]:
        """The number of trainings of each search, by arm and repetition, that have not ended.

        Args:
            ended: the keys of those that have.
        """
        planned = {(search.arm.name, search.repetition): search.arm.settings for search in self.searches()}
        missing = Counter({search: settings.trials * settings.seeds for search, settings in planned.items()})
        for key in ended:
            search = key.arm, key.repetition
            if search in planned and key.k < planned[search].trials:  # else of a budget that was larger
                missing[search] -= 1
        return missing

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
