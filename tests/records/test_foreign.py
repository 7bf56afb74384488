"""Records that we did not write: Optuna storages and MLflow experiments."""

import math
import shlex
import subprocess
import sys

import pandas as pd
import pytest

from study.answers.summary import summarize
from study.commands.words import read_source
from study.records.foreign import experiments, storages
from trainables.refusal import Refusal

WORDS = {
    "column": (), "uri": None, "learns": None, "mode": None, "target": (), "chance": (), "score_at": "last",
    "dearest": (), "rates": (),
    "includes": (), "baseline": None, "budget": None, "tolerance": 0.0, "unit": None, "seed": 0, "draws": 200,
}  # fmt: skip


@pytest.fixture(scope="module")
def optuna_storage(tmp_path_factory):
    """Two studies: `plain` of three complete trials and one that failed, `curves` with a pruned one."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    uri = f"sqlite:///{tmp_path_factory.mktemp('optuna')}/optuna.db"
    lr = optuna.distributions.FloatDistribution(1e-3, 1e1)
    made = optuna.trial.create_trial
    plain = optuna.create_study(study_name="plain", storage=uri, direction="minimize")
    for value, rate in ((0.3, 0.01), (0.1, 0.1), (0.2, 1.0)):
        plain.add_trial(made(value=value, params={"lr": rate}, distributions={"lr": lr}))
    plain.add_trial(made(state=optuna.trial.TrialState.FAIL))
    curves = optuna.create_study(study_name="curves", storage=uri, direction="minimize")
    curves.add_trial(made(value=0.1, intermediate_values={1: 0.5, 2: 0.2, 3: 0.15}))
    curves.add_trial(made(state=optuna.trial.TrialState.PRUNED, intermediate_values={1: 0.6}))
    return uri


def test_an_optuna_study_with_its_direction_and_failures(optuna_storage):
    words = {**WORDS, "uri": optuna_storage, "column": ("lr=params.lr",), "learns": False}
    table, options = read_source("optuna:plain", {**words, "target": ("0.15",), "chance": ("0.9",)})
    assert options.question.mode == "min"
    result = summarize(table, options)[0]
    assert (result.scheme, result.n, result.hits) == ("plain", 4, 1)
    assert result.expected_trials.estimate == 5 / 2
    assert result.expected_best[1] == pytest.approx((0.3 + 0.1 + 0.2 + 0.9) / 4)
    assert table["lr"].tolist()[:3] == [0.01, 0.1, 1.0]


def test_intermediate_values_are_epochs_and_the_last_is_the_value(optuna_storage):
    table = storages.read_storage("curves", optuna_storage, {}).given.table
    assert table["score"].tolist() == [0.5, 0.2, 0.1, 0.6]
    assert table["epoch"].tolist() == [1, 2, 3, 1]
    assert table["status"].tolist() == ["finished"] * 3 + ["stopped"]


def test_an_optuna_storage_is_taken_to_learn_unless_told_otherwise(optuna_storage):
    _, options = read_source("optuna:plain", {**WORDS, "uri": optuna_storage})
    assert options.question.learns is True


def test_what_is_not_there_is_refused_and_nothing_is_created(optuna_storage, tmp_path):
    with pytest.raises(Refusal, match=r"unknown study 'plane': did you mean 'plain'"):
        storages.read_storage("plane", optuna_storage, {})
    for reader in (storages.read_storage, experiments.read_experiment):
        with pytest.raises(Refusal, match="there is no database"):
            reader("x", f"sqlite:///{tmp_path}/none.db", {"score": "metrics.x"})
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore")  # MLflow's own, of its file store
def test_a_folder_of_mlflows_file_store_is_refused_with_the_command_that_copies_it(tmp_path, monkeypatch):
    from mlflow import MlflowClient

    with monkeypatch.context() as patched:
        patched.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        MlflowClient(tracking_uri=f"{tmp_path}/mlruns").create_experiment("theirs")
    said = r"no more: `(.*)` copies it into a database; then give --uri sqlite:///FILE"
    commands = set()
    for prefix in ("", "file://"):
        with pytest.raises(Refusal, match=said) as told:
            experiments.read_experiment("theirs", f"{prefix}{tmp_path}/mlruns", {"score": "metrics.accuracy"})
        commands.add(str(told.value).split("`")[1].replace("FILE", f"{tmp_path}/copied.db"))
    (command,) = commands
    subprocess.run([sys.executable, "-m", *shlex.split(command)], check=True, capture_output=True)
    copied = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/copied.db")
    assert copied.get_experiment_by_name("theirs") is not None


def test_any_other_folder_is_refused_as_one(tmp_path):
    for reader in (storages.read_storage, experiments.read_experiment):
        with pytest.raises(Refusal, match=r"is a folder and no (MLflow store|Optuna storage): give --uri"):
            reader("x", str(tmp_path), {"score": "metrics.x"})


@pytest.mark.filterwarnings("ignore")  # MLflow's own, while it creates its database
def test_a_foreign_mlflow_experiment_with_mapped_columns(tmp_path):
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param, RunTag

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("theirs", artifact_location=str(tmp_path))
    for optimizer, curve, end in (
        ("sgd", [0.2, 0.5], "FINISHED"),
        ("adam", [0.4, 0.9], "FINISHED"),
        ("adam", [0.3], "FAILED"),
        ("adam", [0.3], None),
    ):
        run = client.create_run(experiment)
        points = [Metric("acc", value, 0, step) for step, value in enumerate([*curve[:-1], 0.0, curve[-1]], 1)]
        points[-1] = Metric("acc", curve[-1], 1, len(curve))  # the last point of a step that was logged twice
        client.log_batch(run.info.run_id, points, [Param("opt", optimizer)], [RunTag("host", "a")])
        if end:
            client.set_terminated(run.info.run_id, end)
    columns = ("score=metrics.acc", "scheme=params.opt")
    words = {**WORDS, "uri": uri, "column": columns, "target": ("0.8",), "chance": ("0.1",)}
    table, options = read_source("mlflow:theirs", words)
    results = {result.scheme: result for result in summarize(table, options)}
    assert {name: (result.n, result.hits) for name, result in results.items()} == {
        "sgd": (1, 0),
        "adam": (2, 1),
    }
    assert results["adam"].expected_cost.estimate == 1 / 2 + 2  # the failed run's epoch, and two up to the target
    assert results["adam"].task == "theirs"
    with pytest.raises(Refusal, match="unknown experiment 'their': did you mean 'theirs'"):
        experiments.read_experiment("their", uri, {"score": "metrics.acc"})
    with pytest.raises(Refusal, match="--column score=metrics"):
        experiments.read_experiment("theirs", uri, {})


def test_a_loss_that_mlflow_was_told_is_infinite_is_infinite(tmp_path):
    """Its databases keep the largest number there is in its place."""
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = MlflowClient(uri)
    experiment = client.create_experiment("theirs")
    for loss in (0.3, math.inf, -math.inf):
        run = client.create_run(experiment)
        client.log_metric(run.info.run_id, "loss", loss)
        client.set_terminated(run.info.run_id)
    table = experiments.read_experiment("theirs", uri, {"score": "metrics.loss", "scheme": "=one"}).table
    assert table["score"].tolist() == [0.3, math.inf, -math.inf]


def test_the_value_of_a_study_of_one_objective_is_values_0_too(optuna_storage):
    for study in ("plain", "curves"):
        one, other = (
            storages.read_storage(study, optuna_storage, {"score": name}).given.table for name in ("value", "values.0")
        )
        pd.testing.assert_frame_equal(one, other)
