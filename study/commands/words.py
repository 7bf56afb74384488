"""From the words of a command line to a table and the options of a summary."""

import os
from collections.abc import Mapping
from typing import Any

import pandas as pd

from study.answers.summary import Options
from study.records import files, foreign, own
from study.records.table import Given
from study.records.trials import Question
from trainables.refusal import Refusal


def read(source: str, words: Mapping[str, Any]) -> tuple[pd.DataFrame, Options]:
    """The validated table behind a source (file, `study:…`, `mlflow:…`, `optuna:…`), and the options as asked."""
    kind, colon, name = source.partition(":")
    columns, uri = foreign.mapping(words["column"]), words["uri"]
    learns, mode = words["learns"], words["mode"]
    unit = words["unit"]
    if colon and kind == "study":
        unit = unit or "passes"
        found = Given(own.read_own(name, uri or own_store(), unit))
    elif colon and kind == "mlflow":
        from study.records.foreign import experiments

        found = experiments.read(name, uri or own_store(), columns)
    elif colon and kind == "optuna":
        from study.records.foreign import storages

        if uri is None:
            raise Refusal("say where the Optuna storage is: --uri sqlite:///FILE, or the file of a journal")
        found, sense = storages.read(name, uri, columns)
        mode = mode_of(sense, mode)
        if learns is None and "searcher" not in columns:
            learns = True  # Optuna stores no sampler, and its default learns
    else:
        found = files.read(source, columns)
    question = Question(
        mode="min" if mode == "min" else "max",
        target=levels("target", words["target"]),
        chance=levels("chance", words["chance"]),
        score_at=words["score_at"],
        learns=learns,
    )
    names = "baseline", "budget", "tolerance", "seed", "draws"
    rest = {name: words[name] for name in names}
    includes = inclusions(words["includes"])
    return found.table, Options(question, unit=unit or found.unit, includes=includes, notes=found.notes, **rest)


def own_store() -> str:
    """The address of the MLflow store that every command reads where none is named."""
    return os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")


def mode_of(stored: str | None, asked: str | None) -> str | None:
    """The sense of scores that a storage says, or that was asked for where it says none; refused where they differ."""
    if stored and asked and stored != asked:
        raise Refusal(f"the study itself says {stored}: leave --mode {asked} out")
    return stored or asked


def levels(name: str, words: tuple[str, ...]) -> dict[str, float] | None:
    """Scores by task, from words like `0.9` and `digits=0.9`; the empty task stands for all others.

    >>> levels("target", ("0.9", "digits=0.8"))
    {'': 0.9, 'digits': 0.8}
    """
    found: dict[str, float] = {}
    for word in words:
        task, _, number = word.rpartition("=")
        try:
            found[task] = float(number)
        except ValueError as error:
            raise Refusal(f"--{name} takes a number or TASK=NUMBER, got {word!r}") from error
    return found or None


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
