"""From the words of a command line to a table and the options of a summary."""

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from study.answers.summary import Options
from study.records import drawn, files, foreign
from study.records.files import columns_of
from study.records.question import Question
from study.records.source import Source, is_record, source_of
from study.records.table import SECONDS, Given
from trainables.refusal import Refusal, first_line


def read_source(source: str, words: Mapping[str, Any]) -> tuple[pd.DataFrame, Options]:
    """The validated table behind a source, and the options as asked; what is not asked stands in our own records.

    Args:
        source: a file, a study of ours (`study:…` or its name), `mlflow:…`, or `optuna:…`.
        words: the options of the command line, by name.

    Raises:
        Refusal: for what is not there, or cannot be used.
    """
    (table, notes, unit), said, baseline = _source(source, words)
    question = replace(
        said,
        target=_over(said.target, levels("target", words["target"])),
        chance=_over(said.chance, levels("chance", words["chance"])),
        dearest=levels("dearest", words["dearest"]),
        score_at=words["score_at"] or said.score_at,
        learns=said.learns if words["learns"] is None else words["learns"],
    )
    if unit == SECONDS and words["unit"] not in (None, SECONDS):
        raise Refusal(f"the costs are durations, counted in {SECONDS}: leave --unit {words['unit']} out")
    if words["tolerance"] != words["tolerance"]:
        raise Refusal("--tolerance nan is none: say how much below the baseline's best will do")
    if words["rates"]:
        table = _with_rates(table, words["rates"])
    rest = {name: words[name] for name in ("budget", "tolerance", "seed", "draws")}
    baseline, includes = words["baseline"] or baseline, inclusions(words["includes"])
    return table, Options(question, baseline, unit=words["unit"] or unit, includes=includes, notes=notes, **rest)


def _source(source: str, words: Mapping[str, Any]) -> Source:
    kind, colon, name = source.partition(":")
    columns, uri = foreign.mapping(words["column"]), words["uri"]
    if colon and kind == "mlflow":
        from study.records.foreign import experiments

        given = experiments.read_experiment(name, uri or own_store(), columns)
        return Source(_assumed(given, words), Question(words["mode"] or "max"))
    if colon and kind == "optuna":
        from study.records.foreign import storages

        if uri is None:
            raise Refusal("say where the Optuna storage is: --uri sqlite:///FILE, or the file of a journal")
        given, sense = storages.read_storage(name, uri, columns)
        learns = "searcher" not in columns or None  # Optuna stores no sampler, and its default learns
        return Source(given, Question(mode_of(sense, words["mode"]), learns=learns))
    path = Path(source)
    study = name if colon and kind == "study" else source if "/" not in source and not path.suffix else None
    folder = study is None and path.is_dir()  # of a saved record
    if not folder and (study is None or path.is_file()) and not is_record(columns_of(path)):
        return Source(_assumed(files.read_table(source, columns), words), Question(words["mode"] or "max"))
    if columns:
        raise Refusal("--column maps other people's columns: those of our own records have their meaning")
    from study.records.material import of_file, of_study  # with torch, for the tasks: other people's tables need none

    material = of_file(path) if study is None else of_study(study, uri or own_store())
    found = source_of(material, words["unit"] or "passes")
    return found._replace(question=replace(found.question, mode=mode_of(found.question.mode, words["mode"])))


@contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Refuse, in one line, a path of an option that turns out not to be writable.

    Args:
        option: as the command line names it.
        path: what is written inside of this context.

    Raises:
        Refusal: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise Refusal(f"{option}: {str(path)!r} cannot be written ({reason}): give another path") from error


def own_store() -> str:
    """The address of the MLflow store that every command reads where none is named."""
    return os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")


def _assumed(given: Given, words: Mapping[str, Any]) -> Given:
    """A table of other people's with what it leaves to be taken for granted said beside it."""
    said = {
        "higher scores are taken to be better: say --mode min where lower ones are": words["mode"] is None,
        "trials are taken for independent draws: say --learns where the searcher learns from earlier ones": (
            words["learns"] is None and "searcher" not in given.table
        ),
    }
    return given._replace(notes=(*given.notes, *(note for note, holds in said.items() if holds)))


def mode_of(stored: str | None, wanted: str | None) -> Literal["max", "min"]:
    """The sense of scores that a record says, or that was asked for where it says none.

    Args:
        stored: max, min, or None where the record does not say it.
        wanted: likewise, of the command line.

    Returns:
        max where nobody says it.

    Raises:
        Refusal: where they differ.
    """
    if stored and wanted and stored != wanted:
        raise Refusal(f"the study itself says {stored}: leave --mode {wanted} out")
    return "min" if "min" in (stored, wanted) else "max"


def _over(stored: Any, wanted: dict[str, float] | None) -> dict[str, float] | None:
    """Levels by task: those that were asked for, before those that stand in a record."""
    if wanted is None or "" in wanted:
        return wanted or stored
    return {**(stored or {}), **wanted}


def levels(name: str, words: tuple[str, ...]) -> dict[str, float] | None:
    """Scores by task, from words like `0.9` and `digits=0.9`.

    Args:
        name: of the option, for the message.
        words: as they were given.

    Returns:
        The number of every task, '' standing for all others; None without a word.

    Raises:
        Refusal: for a word that is neither, and a task that is named twice.

    >>> levels("target", ("0.9", "digits=0.8"))
    {'': 0.9, 'digits': 0.8}
    """
    found: dict[str, float] = {}
    for word in words:
        task, _, number = word.rpartition("=")
        if task in found:
            raise Refusal(f"--{name} is given twice for {task or 'all tasks'}, {found[task]:g} and {number}: give one")
        try:
            found[task] = float(number)
        except ValueError as error:
            raise Refusal(f"--{name} takes a number or TASK=NUMBER, got {word!r}") from error
    return found or None


def _with_rates(table: pd.DataFrame, words: tuple[str, ...]) -> pd.DataFrame:
    """The table with the ends of its rates; our own records say theirs."""
    if drawn.FIELD in table:
        raise Refusal("--rates is for other people's tables: this record says what its arms searched")
    return drawn.with_rates(table, spans(words))


def spans(words: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """The ends between which rates were drawn by scheme, '' for all others.

    Raises:
        Refusal: for a word that is none.

    >>> spans(("1e-5,10", "adam=1e-5,0.1"))
    {'': (1e-05, 10.0), 'adam': (1e-05, 0.1)}
    """
    found: dict[str, tuple[float, float]] = {}
    for word in words:
        scheme, _, ends = word.rpartition("=")
        try:
            low, high = map(float, ends.split(","))
        except ValueError as error:
            raise Refusal(f"--rates takes LOW,HIGH or SCHEME=LOW,HIGH, got {word!r}") from error
        if not 0 < low < high < math.inf:
            raise Refusal(f"--rates needs 0 < LOW < HIGH, got {word!r}")
        found[scheme] = low, high
    return found


def inclusions(words: tuple[str, ...]) -> dict[str, list[str]]:
    """Scheme → the schemes it contains.

    >>> inclusions(("momentum=sgd", "momentum=nag"))
    {'momentum': ['sgd', 'nag']}
    """
    found: dict[str, list[str]] = {}
    for word in words:
        general, equals, special = word.partition("=")
        if not (general and equals and special):
            raise Refusal(f"--includes takes A=B, got {word!r}")
        found.setdefault(general, []).append(special)
    return found
