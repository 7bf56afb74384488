"""The material of a page: a record, and what its study file says of it."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from study.plan import parse
from study.plan.file import StudyFile, read_file
from study.plan.tasks import entry_of
from study.records.saved import without_study
from trainables.price import Price
from trainables.refusal import Refusal, first_line
from trainables.space import written
from trainables.tasks import Workload
from trainables.trial import Trial

NEEDED = (
    *("arm", "repetition", "k", "seed_number", "run_id", "status", "searcher", "task", "record"),
    *("epoch", "train_loss", "valid_score", "lr", "passes", "flops", "steps", "seconds", "diverged"),
)
"""Columns of a saved record that a page cannot do without."""


class Level(NamedTuple):
    """The sense, metric, chance level and target of a task's scores."""

    mode: str
    metric: str
    chance: float
    target: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Material:
    """A study's record and what is known beside it; only the record is needed."""

    name: str
    record: pd.DataFrame  # as `study.tracking.read` gives it
    question: str = ""
    baseline: str = ""  # as the study file names it
    planned: dict[str, int] = field(default_factory=dict)  # trials of every arm, those without a trial yet included
    runs: dict[str, str] = field(default_factory=dict)  # arm → where its trials are in MLflow
    file: StudyFile | None = None  # as the last driver read it
    searched: dict[str, dict[str, Any]] = field(default_factory=dict)  # arm → its domains by key; empty: nobody knows
    storage: str = ""  # the folder that the last driver was given
    run: str = ""  # where one trial is in MLflow; {} stands for its run's id
    text: str = ""  # of the study file; empty where nobody knows
    contents: dict[str, dict[str, Any]] = field(default_factory=dict)  # arm → what it fixes and searches; as is text
    prices: dict[str, list[Price]] = field(default_factory=dict)  # arm → what a step was measured to cost

    @property
    def same_points(self) -> set[str]:
        """The arms that draw the same configurations as others of their entry, on every one of its tasks."""
        return {arm for arm, told in self.contents.items() if told.get("same_points")}

    def link(self, run_id: object) -> str | None:
        """The address of a trial's run in MLflow."""
        return self.run.replace("{}", str(run_id)) if self.run and isinstance(run_id, str) else None


def of(study: str | Path, uri: str) -> Material:
    """A recorded study by its name, or a saved record by its path.

    Args:
        study: the name, or the path of a saved record.
        uri: of the MLflow store that a name is looked up in.

    Returns:
        The record, with what is known of its study.

    Raises:
        Refusal: where there is no such study or file, or the file is not a record.
    """
    return of_file(Path(study)) if is_saved(study) else of_study(str(study), uri)


def is_saved(study: str | Path) -> bool:
    """True of the path of a saved record: a .csv or .parquet file, or a folder that is there or ends with a slash.

    Args:
        study: a name, or a path.

    >>> is_saved("rivals.parquet"), is_saved("study/results/rivals/"), is_saved("rivals"), is_saved("a <b>name</b>")
    (True, True, False, False)
    """
    text = str(study)
    folder = text.endswith(("/", os.sep)) or (bool(set(text) & {"/", os.sep}) and Path(study).is_dir())
    return folder or Path(study).suffix in (".csv", ".parquet")


def of_study(name: str, uri: str) -> Material:
    """A study recorded in MLflow.

    Args:
        name: the study's.
        uri: of the MLflow store.

    Raises:
        Refusal: where the store does not have it.
    """
    from study import tracking

    about = tracking.about(name, uri)
    file = _file(about.study_file)
    record = tracking.read(name, uri)
    beside = about.planned, about.arms, file, _dicts(about.contents), about.storage, about.run
    return Material(name, record, *_said(file), *beside, about.study_file, about.contents, about.prices)


def of_file(path: Path, needed: Sequence[str] = NEEDED) -> Material:
    """A record that was saved: what `lr-study report STUDY --epochs` wrote, as CSV or Parquet.

    Its column says which study it is of; a record without one, its file's name. What the arms search stands in it
    too, or in the shipped study of its name.

    Args:
        path: the file; or a folder of .parquet files, each a part of the record.
        needed: the columns that it must have.

    Raises:
        Refusal: where it cannot be read, lacks a column, or holds several studies.
    """
    record, text, contents, prices = without_study(_frame(path))
    missing = [name for name in needed if name not in record]
    if missing:
        raise Refusal(
            f"{str(path)!r} lacks the column {missing[0]!r}: give what `lr-study report STUDY --epochs` wrote"
        )
    name = _study_of(record, path)
    if not text:
        shipped = parse.shipped().get(name)
        text = shipped.read_text(encoding="utf-8") if shipped else ""
    file = _file(text)
    searched = _dicts(contents) or _searched(text, name)
    beside = {"searched": searched, "text": text, "contents": contents, "prices": prices}
    return Material(name, record, *_said(file), file=file, **beside)


def _study_of(record: pd.DataFrame, path: Path) -> str:
    names = list(dict.fromkeys(record["study"])) if "study" in record else []
    if len(names) > 1:
        raise Refusal(f"{str(path)!r} holds two studies, {names[0]!r} and {names[1]!r}: give the record of one")
    return str(names[0]) if names else path.stem


def _frame(path: Path) -> pd.DataFrame:
    if path.is_dir():
        parts = sorted(path.glob("*.parquet"))
        if not parts:
            raise Refusal(f"folder {str(path)!r} holds no .parquet file: give a study's name, or a saved record")
        whole = pd.concat([_frame(part) for part in parts], ignore_index=True)
        _refuse_twice(whole, path)
        return whole
    if not path.is_file():
        raise Refusal(f"there is no record {str(path)!r}: give a study's name, or a .csv or .parquet file")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path).reset_index(drop=True)
        names: Any = dict.fromkeys(("study", "arm", "task", "status", "searcher"), str)  # an arm may be called NA
        read: Any = pd.read_csv(path, converters=names, low_memory=False)
        return read
    except (ValueError, OSError) as error:
        raise Refusal(f"cannot read {str(path)!r}: {first_line(error)}") from error


ONE = "arm", "repetition", "k", "seed_number", "record"  # what tells one row of a record from all others


def _refuse_twice(whole: pd.DataFrame, path: Path) -> None:
    """Refuse a record whose parts have trials in common."""
    twice: Any = whole[whole.duplicated([*ONE])] if set(ONE) <= set(whole) else []
    if len(twice):
        raise Refusal(f"the parts in {str(path)!r} have trials of {twice['arm'].iloc[0]} in common: leave one out")


def level_of(record: pd.DataFrame, task: str) -> Level:
    """The level of a task as it stands in the record; a target that it has been given since stands in for none.

    A record that was saved before these were columns has one of our own tasks to say them.

    Args:
        record: rows of one or more tasks.
        task: the one that is meant; it has a row.

    Returns:
        How its scores are read, with a note where the target of today is another.

    Raises:
        Refusal: where neither the record nor a task of our own says it.
    """
    row = record[record["task"] == task].iloc[0]
    if not {"mode", "metric", "chance"} <= set(record.columns) or row["mode"] not in ("max", "min"):
        try:
            known = _task(row)
        except Refusal as refusal:
            raise Refusal(
                f"this record does not say how scores of task {task!r} are read, and only a task of our own says it "
                "without being run: give the record the columns mode (max or min), metric and chance"
            ) from refusal
        return Level(known.mode, known.metric, float(known.chance), known.target)
    try:
        now = _task(row).target
    except Refusal:  # other people's task, or another version's
        now = None
    then = float(row.get("target", math.nan))
    level = Level(str(row["mode"]), str(row["metric"]), float(row["chance"]), now if math.isnan(then) else then)
    if now is None or level.target == now:
        return level
    return level._replace(notes=(f"the target is the record's, {then:g}; the task has another today, {now:g}",))


def _task(row: Any) -> Workload:
    known = {key: plain(row[key]) for key in row.index if str(key).split(".")[0] == "task" and row[key] == row[key]}
    return Trial.parse(known).task


def plain(value: Any) -> Any:
    """A number as it was written: a table turns whole numbers into floats where some are missing."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _file(text: str) -> StudyFile | None:
    """The study file, if there is one that can be read."""
    try:
        return read_file(text, "recorded") if text else None
    except Refusal:  # of another version of this program
        return None


def _dicts(contents: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The domains of every recorded arm: those of its values that are dictionaries."""
    return {
        arm: {key: value for key, value in told.items() if isinstance(value, dict)} for arm, told in contents.items()
    }


def _searched(text: str, name: str) -> dict[str, dict[str, Any]]:
    """What every arm searches; nothing where the study's own tasks and schemes are not here, or are others now."""
    try:
        arms = parse.parse(text, name).arms if text else ()
    except Refusal:
        return {}
    return {arm.name: {key: written(domain) for key, domain in arm.space.items()} for arm in arms}


def _said(file: StudyFile | None) -> tuple[str, str]:
    """Question and baseline of a study file."""
    return (file.question, file.baseline) if file else ("", "")


def schemes_of(material: Material) -> list[str]:
    """Every scheme, in the order of the study file: those without a trial too."""
    record = material.record
    pairs = [] if record.empty else record[["arm", "task"]].drop_duplicates().itertuples(index=False)
    named: dict[str, str] = {str(arm): entry_of(arm, task) for arm, task in pairs}
    written_in = {arm: place for place, arm in enumerate(material.file.written_out() if material.file else ())}
    known = sorted([*material.planned, *named], key=lambda arm: written_in.get(arm, len(written_in)))
    return list(dict.fromkeys(named.get(arm, arm) for arm in known))
