"""The trials that a study found best: what they were, taken from the record, and how to have them again."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from study.answers.luck import Luck, luck
from study.answers.taken_home import python
from study.answers.trials import trainings_of, trials_of
from study.plan import parse
from study.plan.key import Key, checked_name
from study.plan.plain_yaml import read_plain, write_plain
from study.records import own
from study.records.ended import ended, ranked
from study.records.material import Level, Material, level_of, of, plain
from study.records.saved import PARTS
from trainables.components import Slot, slots
from trainables.plugins import is_outside, trusted
from trainables.refusal import Refusal, unknown
from trainables.space import Value
from trainables.trial import Trial

MAX_NAME = 56  # of an arm that another word is put behind


@dataclass(frozen=True)
class Winner:
    """A trial of a study by its rank, and everything that it takes to train it again."""

    key: Key  # of its first seed
    rank: int  # 1 is the best
    seeds: int  # that its scores are means over
    metric: str
    level: Level
    score: float  # validation; the best of the training, of several seeds that of their mean
    alone: float  # the mean of its seeds' own bests: what fresh seeds are held against
    test_score: float | None  # of the parameters with that score, where they were tested
    lr: float | None  # as given; where its rule finds its own, the median of those that it used
    configuration: dict[str, Value]  # of a `Trial`, all of it but the seed
    searched: tuple[str, ...] = ()  # its keys that the arm searched; none where the record does not say
    luck: Luck | None = None  # where it was trained again on fresh seeds

    @property
    def yaml(self) -> str:
        """The configuration as the arms of a study file: one, which searches nothing."""
        name = f"{self.key.arm[:MAX_NAME]}-best" + (f"-{self.rank}" if self.rank > 1 else "")
        return write_plain({"arms": {name: {"trials": 1, **self.configuration}}})

    @property
    def python(self) -> str:
        """The lines that build its optimizer, groups and schedule for a loop of one's own."""
        return python(self.configuration)

    @property
    def told(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        luck = None if self.luck is None else self.luck.told
        named = self.key._asdict() | {"rank": self.rank, "seeds": self.seeds, "metric": self.metric}
        scores = {"valid_score": self.score, "test_score": self.test_score, "lr": self.lr, "luck": luck}
        written = {key: _in_json(value) for key, value in self.configuration.items()}
        return {**named, **scores, "configuration": written, "yaml": self.yaml, "python": self.python}


FILES = ".yaml", ".yml"


def material_of(study: str | Path, uri: str) -> Material:
    """The record of a study by its name or its file, or a saved record by its path.

    Args:
        study: the name, or the path of a study file (its record is what bears its name), or of a .csv or .parquet file.
        uri: of the MLflow store.
    """
    path = Path(study)
    return of(checked_name("study", path.stem) if path.suffix in FILES else study, uri)


def winners(material: Material, arm: str | None = None, top: int = 1) -> list[Winner]:
    """The best trials of a record, task by task.

    Args:
        material: a recorded study, or a saved record.
        arm: only the trials of this arm, or of this scheme; None: all of them.
        top: how many a task.

    Returns:
        The trials that ended and were neither lost nor failed, the best first. A trial of several seeds is their mean.

    Raises:
        Refusal: where there is no such arm, nothing was validated, or a configuration cannot be read here.
    """
    record = material.record
    if record.empty or ended(record).empty:
        raise Refusal(f"no trial of {material.name!r} has ended yet")
    if arm is not None:
        record = _of_arm(record, arm)
    found: list[Winner] = []
    for task in dict.fromkeys(record["task"]):
        here: Any = record[record["task"] == task]
        level = level_of(here, task)
        best = ranked(trials_of(here, level), level.mode).head(top)
        found += [_winner(material, here, row, level, rank) for rank, (_, row) in enumerate(best.iterrows(), start=1)]
    if not found:
        raise Refusal(f"{material.name!r} has no trial that ended with a validation score: nothing can be chosen")
    return found


def start(found: Sequence[Winner]) -> str:
    """The searched values of some trials as `start` of an arm that searches the same fields, the best first.

    Args:
        found: from `winners`.

    Raises:
        Refusal: where the record does not say what was searched, or nothing was, and where the trials are of arms that
            searched different fields.
    """
    values = [{key: winner.configuration[key] for key in winner.searched} for winner in found]
    arms = list(dict.fromkeys(winner.key.arm for winner in found))
    if len({tuple(sorted(value)) for value in values}) > 1:
        raise Refusal(f"the best are of arms that search different fields: name one of {', '.join(arms)}")
    if not all(values):
        raise Refusal("the record does not say that its arms search anything: there is nothing to start from")
    return write_plain({"start": [value for at, value in enumerate(values) if value not in values[:at]]})


def with_luck(
    winner: Winner, study: str | Path, uri: str, seeds: int, show: Callable[[str], None] = lambda line: None
) -> Winner:
    """The winner, trained again on fresh seeds in this process: its task's code is imported.

    Args:
        winner: from `winners`.
        study: as the user named it: other people's code is run where this is the study file that names it.
        uri: of the MLflow store.
        seeds: how many.
        show: is told a line after each.

    Raises:
        Refusal: where the configuration names other people's code and `study` is no file, or one with another arm.
    """
    flat, path = dict(winner.configuration), Path(study)
    outside = [value for value in flat.values() if is_outside(value)]
    if outside and path.suffix not in FILES:
        raise Refusal(
            f"{outside[0]} is other people's code, which is not run on the word of a record: name the study file, as "
            f"in `lr-study best {winner.key.study}.yaml --seeds {seeds}`"
        )
    if outside:
        _refuse_others(winner, str(study), uri)
        flat = {key: trusted(value, path.parent) for key, value in flat.items()}
    return replace(winner, luck=luck(winner.alone, flat, winner.key, seeds, show))


def _refuse_others(winner: Winner, path: str, uri: str) -> None:
    """Refuse a study file whose arm is not the one that was recorded, its code included."""
    from study import tracking

    arms = {arm.name: arm for arm in parse.load(path).arms}
    recorded = tracking.about(winner.key.study, uri).contents.get(winner.key.arm)
    if winner.key.arm not in arms or arms[winner.key.arm].contents() != recorded:
        raise Refusal(f"{path} has changed since arm {winner.key.arm!r} was recorded: it, or code that it names")


def _of_arm(record: pd.DataFrame, arm: str) -> pd.DataFrame:
    mine: Any = record[(record["arm"] == arm) | (own.schemes(record) == arm)]
    if mine.empty:
        raise unknown("arm", arm, dict.fromkeys(record["arm"]))
    return mine


def _winner(material: Material, record: pd.DataFrame, row: Any, level: Level, rank: int) -> Winner:
    its = (record["arm"] == row["arm"]) & (record["repetition"] == row["repetition"]) & (record["k"] == row["trial"])
    own: Any = record[its]
    first = own.iloc[0]
    key = Key(material.name, str(row["arm"]), int(row["repetition"]), int(row["trial"]), int(first["seed_number"]))
    tested, rate = (None if row[name] != row[name] else float(row[name]) for name in ("test_score", "lr"))
    told = configuration(first)
    searched = tuple(key for key in told if key in material.searched.get(str(row["arm"]), ()))
    score, alone = float(row["score"]), float(np.mean(trainings_of(own, level)["score"]))
    about = key, rank, int(row["seeds"]), level.metric, level
    return Winner(*about, score, alone, tested, rate, told, searched)


def configuration(row: Any) -> dict[str, Value]:
    """The configuration in a row of a record, without running other people's code.

    Args:
        row: of one training; keys are columns, and what is missing in it is at its default.

    Returns:
        Every field of the trial but its seed; of a part that is other people's, what the record holds.

    Raises:
        Refusal: where it was written by another version, or which columns are a rule's cannot be told.
    """
    told = {str(key): plain(row[key]) for key in row.index if row[key] is not None and row[key] == row[key]}
    outside = [key for key, value in told.items() if is_outside(value) and key.split(".")[0] in PARTS]
    if "rule" in outside:
        raise Refusal(
            f"a record does not tell which of its columns belong to rule {told['rule']!r}: see your study file"
        )
    theirs = [key for key in told if _is_below(key, outside)]
    known = slots(Trial, {key: value for key, value in told.items() if key not in theirs})
    lost = [key for key in told if key.split(".")[0] in PARTS and key not in known and key not in theirs]
    if lost:
        raise Refusal(f"the record is of another version: it has {lost[0]}, which nothing here has")
    mine = {
        key: _checked(slot, told.get(key, slot.default))
        for key, slot in known.items()
        if key != "seed" and not _is_below(key, outside)
    }
    return {key: _list(told[key]) for key in theirs} | mine


def _list(value: Any) -> Any:
    """A list where a table holds the text of one."""
    return tuple(read_plain(value)) if isinstance(value, str) and value.startswith("[") else value


def _is_below(key: str, parts: list[str]) -> bool:
    """True for the key of one of the parts, and for those of its fields."""
    return any(key == part or key.startswith(f"{part}.") for part in parts)


def _checked(slot: Slot, value: Any) -> Any:
    """The value in the type of its field; in CSV, a number is a text where its column holds words too."""
    try:
        return slot.checked(value)
    except Refusal:
        if not isinstance(value, str):
            raise
        return slot.checked(read_plain(value))


def _in_json(value: Value) -> Value:
    """A value as JSON can write it: an infinite number as study files do, as text."""
    return f"{'-' if value < 0 else ''}.inf" if isinstance(value, float) and math.isinf(value) else value
