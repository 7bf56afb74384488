"""Optuna storages, as tables: databases and journals."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import optuna
import pandas as pd
from optuna.storages.journal import JournalFileBackend

from study.records.foreign import MAGIC, of_steps, refuse_other_file
from study.records.table import Given
from trainables.refusal import Refusal, first_line, unknown

VALUE = "value"


class Ranked(NamedTuple):
    """The table of a storage, and the sense of its scores; None where they are not the studies' values."""

    given: Given
    mode: str | None


def read_storage(study: str, uri: str, columns: Mapping[str, str]) -> Ranked:
    """The validated table of one Optuna study, or of all in the storage where no name is given.

    Unless mapped, each study is a scheme and the storage one task. A trial has one row an intermediate value, the last
    being its value. Trials that have not ended are left out, and said to be.

    Args:
        study: its name, or nothing.
        uri: the address of a database, or the file of a journal.
        columns: our name → `params.x`, `user_attrs.x`, `values.n` (of several objectives), `study`, `seconds`, or
            `=text`.

    Raises:
        Refusal: for what is not there, for studies that rank their values differently, for several objectives of which
            none is chosen, and where the table cannot be used.
    """
    storage = _storage(uri)
    try:
        names = optuna.get_all_study_names(storage)
        if study and study not in names:
            raise unknown("study", study, names)
        loaded = [optuna.load_study(study_name=name, storage=storage) for name in ([study] if study else names)]
        trials = {each.study_name: each.get_trials(deepcopy=False) for each in loaded}
    except (Refusal, MemoryError):
        raise
    except Exception as error:  # every database has its own
        raise _unreadable(uri, error) from error
    with_trials = [each for each in loaded if trials[each.study_name]]
    mode = _mode(with_trials, columns.get("score", VALUE))
    rows = [row for name, of_study in trials.items() for trial in of_study for row in _rows(name, trial)]
    if not rows:
        raise Refusal(f"there is no trial in {study or 'any study'}")
    table = pd.DataFrame(rows).assign(trial=lambda table: table["study"] + " " + table["number"].astype(str))
    defaults = {"task": "=all", "scheme": "study", "trial": "number", "score": VALUE, "status": "state"}
    return Ranked(of_steps(table, {**defaults, **columns}), mode)


def _mode(studies: list[optuna.Study], score: str) -> str | None:
    """`max` or `min`, as all of the studies say of the value that is the score."""
    for each in studies:
        if score == VALUE and len(each.directions) > 1:
            known = " or ".join(f"--column score=values.{n}" for n in range(len(each.directions)))
            raise Refusal(f"study {each.study_name!r} has {len(each.directions)} objectives: choose one, {known}")
    place = 0 if score == VALUE else int(score[7:]) if score.startswith("values.") and score[7:].isdigit() else None
    if place is None:
        return None
    ranked = {each.directions[place].name: each.study_name for each in studies if place < len(each.directions)}
    if len(ranked) > 1:
        said = " and ".join(f"{name!r} is to {direction}" for direction, name in ranked.items())
        raise Refusal(f"the studies are ranked in two senses ({said.lower()}): give one, optuna:STUDY")
    return "max" if "MAXIMIZE" in ranked else "min" if ranked else None


def _rows(study: str, trial: Any) -> list[dict[str, Any]]:
    """One row an intermediate value; one without a step where there is none."""
    nothing = float("nan")
    seconds = trial.duration.total_seconds() if trial.duration else nothing
    fixed = {"study": study, "number": trial.number, "state": trial.state.name, "seconds": seconds}
    fixed |= {f"params.{name}": value for name, value in trial.params.items()}
    fixed |= {f"user_attrs.{name}": value for name, value in trial.user_attrs.items()}
    told = trial.values if trial.state.name == "COMPLETE" and trial.values else []
    fixed |= {f"values.{n}": value for n, value in enumerate(told)}
    steps = dict(sorted(trial.intermediate_values.items())) or {nothing: nothing}
    if len(told) == 1:
        steps[list(steps)[-1]] = told[0]
    alone = ["values.0"] if len(told) < 2 else []  # its other name, for who asks for several studies
    return [{**fixed, "step": step, **dict.fromkeys([VALUE, *alone], value)} for step, value in steps.items()]


def _storage(uri: str) -> Any:
    """The storage at an address, opened without making anything in it."""
    file = Path(uri)
    if "://" not in uri and file.is_file():
        with file.open("rb") as reading:
            begins = reading.readline(1000)
        if b'"op_code"' in begins:
            return optuna.storages.JournalStorage(JournalFileBackend(uri))
        if not begins.startswith(MAGIC):
            raise Refusal(f"{uri!r} is neither a database nor a journal of Optuna's")
    refuse_other_file(uri, "Optuna storage", "studies")
    try:
        return optuna.storages.RDBStorage(uri, skip_table_creation=True)
    except Exception as error:  # a driver that is not installed, a server that is not there, an old schema
        raise _unreadable(uri, error) from error


def _unreadable(uri: str, error: Exception) -> Refusal:
    from study.tracking.store import shown

    return Refusal(f"the Optuna storage {shown(uri)} cannot be read: {shown(first_line(error.__cause__ or error))}")
