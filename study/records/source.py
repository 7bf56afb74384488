"""A record of our own as a source of `cost`: its table, and how its scores are to be read."""

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from study.records import own
from study.records.ended import ended
from study.records.question import Question
from study.records.table import Given
from trainables.refusal import Refusal

if TYPE_CHECKING:
    from study.records.material import Level, Material

OWN = {"arm", "k", "record", "valid_score"}  # columns of a record that `lr-study report STUDY --epochs` wrote


class Source(NamedTuple):
    """A table, how its scores are to be read, and the scheme that its study compares with."""

    given: Given
    question: Question
    baseline: str | None = None


def source_of(material: "Material", unit: str) -> Source:
    """The table of a record with the sense, target and chance level of every task as they stand in it.

    Args:
        material: a recorded study, or a saved record.
        unit: of the costs: see `study.records.own`.

    Raises:
        Refusal: where no trial has ended, and where its tasks are scored in two senses.
    """
    from study.records.material import level_of  # with torch, for the tasks: other people's tables need none

    record = material.record
    if ended(record).empty:
        raise Refusal("no trial of this study has ended yet")
    levels = {str(task): level_of(record, task) for task in dict.fromkeys(record["task"])}
    senses = {level.mode: task for task, level in levels.items()}
    if len(senses) > 1:
        said = " and ".join(f"{task!r} is {mode}" for mode, task in senses.items())
        raise Refusal(f"its tasks are scored in two senses ({said}): `lr-study report` answers each by itself")
    question = Question(
        mode="min" if "min" in senses else "max",
        target={task: level.target for task, level in levels.items() if level.target is not None},
        chance={task: level.chance for task, level in levels.items() if not isnan(level.chance)},
        score_at="best",
    )
    schemes = dict(zip(record["arm"], own.schemes(record), strict=True))
    baseline = schemes.get(material.baseline, material.baseline)
    notes = tuple(_notes(material, levels))
    return Source(
        Given(own.of_record(record, unit, material.searched, material.same_points, material.prices), notes, unit),
        question,
        baseline if baseline in schemes.values() else None,
    )


def is_record(columns: Sequence[str]) -> bool:
    """Tell a record of our own from other people's tables by its columns."""
    return set(columns) >= OWN and not {"trial", "score"} <= set(columns)


def _notes(material: "Material", levels: "dict[str, Level]") -> list[str]:
    running: Any = material.record[material.record["status"] == "running"]
    number = len(running[["arm", "repetition", "k"]].drop_duplicates())
    notes = [note if len(levels) == 1 else f"{task}: {note}" for task, level in levels.items() for note in level.notes]
    return [*notes, *([f"trials left out, because they are still running: {number}"] if number else [])]
