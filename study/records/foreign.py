"""Other people's records, as tables: MLflow experiments and Optuna storages that we did not write."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from study.records.table import KNOWN, Given, given
from trainables.refusal import Refusal, unknown

UNFINISHED = {"RUNNING", "SCHEDULED", "WAITING"}


def read_mlflow(experiment: str, uri: str | None, columns: Mapping[str, str]) -> Given:
    """The validated table of an MLflow experiment: one row per run and step of the metric mapped to `score`.

    columns: our name → `metrics.x`, `params.x`, `tags.x`, or `=text`. Unless mapped, the task is the
    experiment, the trial its run's place in time, the epoch the metric's step, the status the run's. Runs
    that still run are left out.
    """
    from mlflow import MlflowClient

    _refuse_missing_file(uri)
    if not columns.get("score", "").startswith("metrics."):
        raise Refusal("say which metric is the score: --column score=metrics.NAME")
    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise unknown("experiment", experiment, [each.name for each in client.search_experiments()])
    runs, token = [], None
    while token is None or token:
        page = client.search_runs([found.experiment_id], order_by=["start_time", "run_id"], page_token=token)
        runs, token = [*runs, *page], page.token or ""
    metrics = {name.removeprefix("metrics.") for name in columns.values() if name.startswith("metrics.")}
    rows = []
    for place, run in enumerate(run for run in runs if run.info.status not in UNFINISHED):
        rows += _rows_of_run(client, run, place, metrics, columns["score"].removeprefix("metrics."))
    if not rows:
        raise Refusal(f"the experiment {experiment!r} has no finished run")
    defaults = {"task": f"={experiment}", "trial": "place", "epoch": "step", "status": "state"}
    return given(pd.DataFrame(rows), {**defaults, **columns})


def _rows_of_run(client: Any, run: Any, place: int, metrics: set[str], score: str) -> list[dict[str, Any]]:
    """One row a step of the score; of points with the same step the last counts, as MLflow keeps them all."""
    history = {
        name: {point.step: point.value for point in client.get_metric_history(run.info.run_id, name)}
        for name in metrics
    }
    fixed = {"place": place, "state": run.info.status}
    fixed |= {f"params.{name}": value for name, value in run.data.params.items()}
    fixed |= {f"tags.{name}": value for name, value in run.data.tags.items()}
    steps = sorted(history[score]) or [0]
    return [
        {
            **fixed,
            "step": step,
            **{f"metrics.{name}": history[name].get(step, float("nan")) for name in metrics},
        }
        for step in steps
    ]


def read_optuna(study: str, uri: str | None, columns: Mapping[str, str]) -> Given:
    """The validated table of one Optuna study, or of all in the storage where no name is given.

    columns: our name → `params.x`, `user_attrs.x`, `study`, `seconds`, or `=text`. Unless mapped, each study
    is a scheme and the storage one task. A trial has one row an intermediate value, the last being its value.
    """
    import optuna

    if uri is None:
        raise Refusal("say where the Optuna storage is: --uri sqlite:///FILE")
    _refuse_missing_file(uri)
    names = optuna.get_all_study_names(uri)
    if study and study not in names:
        raise unknown("study", study, names)
    rows = []
    for name in [study] if study else names:
        loaded = optuna.load_study(study_name=name, storage=uri)
        for trial in loaded.get_trials(deepcopy=False):
            if trial.state.name not in UNFINISHED:
                rows += _rows_of_trial(name, trial)
    if not rows:
        raise Refusal(f"there is no finished trial in {study or 'any study'}")
    table = pd.DataFrame(rows)
    if not table["step"].to_numpy().any():
        table = table.drop(columns="step")
    defaults = {"task": "=all", "scheme": "study", "trial": "number", "score": "value", "status": "state"}
    defaults |= {"epoch": "step"} if "step" in table else {}
    return given(table, {**defaults, **columns})


def _rows_of_trial(study: str, trial: Any) -> list[dict[str, Any]]:
    seconds = trial.duration.total_seconds() if trial.duration else float("nan")
    fixed = {"study": study, "number": trial.number, "state": trial.state.name, "seconds": seconds}
    fixed |= {f"params.{name}": value for name, value in trial.params.items()}
    fixed |= {f"user_attrs.{name}": value for name, value in trial.user_attrs.items()}
    values = dict(sorted(trial.intermediate_values.items())) or {0: float("nan")}
    if trial.state.name == "COMPLETE" and trial.values:
        values[max(values)] = trial.values[0]
    return [{**fixed, "step": step, "value": value} for step, value in values.items()]


def direction(study: str, uri: str) -> str:
    """`max` or `min`, as the first of the Optuna studies says."""
    import optuna

    name = study or optuna.get_all_study_names(uri)[0]
    loaded = optuna.load_study(study_name=name, storage=uri)
    return "max" if loaded.directions[0].name == "MAXIMIZE" else "min"


def mapping(pairs: tuple[str, ...]) -> dict[str, str]:
    """Our column → theirs, from words like `score=metrics.accuracy` and `task==digits`.

    >>> mapping(("score=metrics.accuracy", "task==digits"))
    {'score': 'metrics.accuracy', 'task': '=digits'}
    """
    columns = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not equals or not theirs:
            raise Refusal(f"--column takes OURS=THEIRS, got {pair!r}")
        if ours not in KNOWN:
            raise unknown("column", ours, KNOWN)
        columns[ours] = theirs
    return columns


def _refuse_missing_file(uri: str | None) -> None:
    """MLflow and Optuna would create the database that they are asked to read."""
    if uri and uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise Refusal(f"there is no database {uri.removeprefix('sqlite:///')!r}: give --uri sqlite:///FILE")
