"""Optuna storages and MLflow experiments as other people leave them: counted as they are meant, or refused."""

import pandas as pd
import pytest

from study.answers.summary import summarize
from study.commands.words import read_source
from study.records.foreign import of_steps
from trainables.refusal import Refusal

WORDS = {
    "column": (), "uri": None, "learns": False, "mode": None, "target": (), "chance": (), "score_at": "last",
    "dearest": (), "rates": (),
    "includes": (), "baseline": None, "budget": None, "tolerance": 0.0, "unit": None, "seed": 0, "draws": 200,
}  # fmt: skip
ACC = ("score=metrics.acc", "scheme=params.optimizer")


def answers(source, **words):
    """Read a source as `lr-study cost` does; the results by scheme."""
    table, options = read_source(source, {**WORDS, **words})
    return {result.scheme: result for result in summarize(table, options)}


def refused(source, **words):
    """The one line in which a table is refused."""
    with pytest.raises(Refusal) as refusal:
        answers(source, **words)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.fixture(scope="module")
def optuna_folder(tmp_path_factory):
    """Studies of two directions, of two objectives, of steps from 0, one of which a trial failed early; a journal."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    folder = tmp_path_factory.mktemp("optuna")
    made, failed = optuna.trial.create_trial, optuna.trial.TrialState.FAIL

    def study(name, file, direction="maximize", **more):
        more = more or {"direction": direction}
        return optuna.create_study(study_name=name, storage=f"sqlite:///{folder}/{file}.db", **more)

    for name, direction in (("loss", "minimize"), ("accuracy", "maximize")):
        of_direction = study(name, "directions", direction)
        for value in (0.1, 0.5, 0.9):
            of_direction.add_trial(made(value=value))
    study("empty", "directions", "minimize")
    two = study("two", "objectives", directions=["maximize", "minimize"])
    for value in (0.1, 0.5, 0.9):
        two.add_trial(made(values=[value, 1 - value]))
    steps = study("steps", "steps")
    steps.add_trial(made(value=0.9, intermediate_values={0: 0.1, 1: 0.5, 2: 0.9}))
    steps.add_trial(made(state=failed, intermediate_values={0: 0.1}))
    sparse = study("sparse", "sparse")
    for value in (0.9, 0.2):
        sparse.add_trial(made(value=value, intermediate_values={49: 0.1, 99: 0.0}))
    silent = study("silent", "silent")
    silent.add_trial(made(value=0.9, intermediate_values={1: 0.1, 2: 0.9}))
    silent.add_trial(made(value=0.9))
    silent.add_trial(made(state=failed))
    early = study("early", "early")
    kinds = {"optimizer": optuna.distributions.CategoricalDistribution(["sgd", "adam"])}
    for value in (0.1, 0.5):
        early.add_trial(made(value=value, params={"optimizer": "sgd"}, distributions=kinds))
    early.add_trial(made(state=failed))
    early.ask()
    journal = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "journal.log")))
    optuna.create_study(study_name="j", storage=journal).add_trial(made(value=0.5))
    return folder


def test_studies_of_two_directions_are_refused_together_and_ranked_alone(optuna_folder):
    uri = f"sqlite:///{optuna_folder}/directions.db"
    assert "ranked in two senses ('loss' is to minimize and 'accuracy' is to maximize)" in refused("optuna:", uri=uri)
    assert answers("optuna:loss", uri=uri)["loss"].expected_best[3] == pytest.approx(0.1)
    assert answers("optuna:accuracy", uri=uri)["accuracy"].expected_best[3] == pytest.approx(0.9)
    assert "the study itself says min: leave --mode max out" in refused("optuna:loss", uri=uri, mode="max")


def test_one_of_several_objectives_is_chosen_and_has_its_own_direction(optuna_folder):
    uri = f"sqlite:///{optuna_folder}/objectives.db"
    assert "study 'two' has 2 objectives: choose one, --column score=values.0 or" in refused("optuna:two", uri=uri)
    for place, best in ((0, 0.9), (1, 0.1)):
        chosen = answers("optuna:two", uri=uri, column=(f"score=values.{place}",))["two"]
        assert chosen.expected_best[3] == pytest.approx(best)


def test_steps_from_zero_are_epochs_from_one(optuna_folder):
    """Three epochs up to the hit, and one of the trial that failed."""
    found = answers("optuna:steps", uri=f"sqlite:///{optuna_folder}/steps.db", target=("0.8",), chance=("0",))["steps"]
    assert (found.expected_cost.estimate, found.expected_cost.unit) == (1 / 2 + 3, "epochs")


def test_steps_far_apart_are_called_steps(optuna_folder):
    found = answers("optuna:sparse", uri=f"sqlite:///{optuna_folder}/sparse.db", target=("0.8",))["sparse"]
    assert (found.expected_cost.estimate, found.expected_cost.unit) == (99 / 2 + 99, "steps")


def test_a_trial_without_a_step_beside_others_with_steps_is_not_free(optuna_folder):
    uri = f"sqlite:///{optuna_folder}/silent.db"
    assert "trial silent 1 finished and told no step, as others did" in refused("optuna:silent", uri=uri)
    found = answers("optuna:silent", uri=uri, column=("cost==7",), chance=("0",))["silent"]
    assert (found.n, found.expected_best[3]) == (3, 0.9)


def test_a_trial_that_failed_before_it_was_given_a_scheme_is_left_out_and_said_to_be(optuna_folder):
    uri = f"sqlite:///{optuna_folder}/early.db"
    found = answers("optuna:early", uri=uri, column=("scheme=params.optimizer",))["sgd"]
    assert found.n == 2
    assert "trials left out, because they were lost before they were given a scheme: 1" in found.notes
    assert "trials left out, because they are still running: 1" in found.notes
    assert answers("optuna:early", uri=uri, chance=("0",))["early"].n == 3


def test_a_journal_is_read_and_another_file_is_refused_in_one_line(optuna_folder, tmp_path):
    assert answers("optuna:j", uri=f"{optuna_folder}/journal.log")["j"].expected_best == {1: 0.5}
    other = tmp_path / "other.log"
    other.write_text("no journal\n")
    assert "is neither a database nor a journal" in refused("optuna:", uri=str(other))
    assert f"give --uri sqlite:///{optuna_folder}/early.db" in refused("optuna:", uri=f"{optuna_folder}/early.db")
    line = refused("optuna:", uri="postgresql://me:secret@127.0.0.1:9/nothing")
    assert "cannot be read" in line
    assert "secret" not in line


@pytest.fixture(scope="module")
def mlflow_store(tmp_path_factory):
    """Experiments with a metric that has no step, with parents, with steps from 0, with few steps; one deleted."""
    from mlflow import MlflowClient

    from study.tracking import embedded

    uri = f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"
    embedded.make(uri)
    client = MlflowClient(tracking_uri=uri)

    def run(experiment, points, parent=None, end="FINISHED", optimizer="sgd"):
        made = client.create_run(experiment, tags={"mlflow.parentRunId": parent} if parent else None).info.run_id
        if optimizer:
            client.log_param(made, "optimizer", optimizer)
        for step, score in points.items():
            client.log_metric(made, "acc", score, step=step)
        if end:
            client.set_terminated(made, end)
        return made

    def experiment(name):
        return client.create_experiment(name, artifact_location="unused")

    final, steps, sparse, gone = (experiment(name) for name in ("final-only", "steps", "sparse", "gone"))
    for score in (0.2, 0.6, 0.9):
        run(final, {0: score})
        run(steps, {0: 0.1, 1: score})
        run(sparse, {49: 0.1, 99: score})
    run(steps, {}, end="FAILED")
    run(steps, {}, end="FAILED", optimizer=None)
    run(steps, {0: 0.1}, end=None)
    for name, parents in (("nested", {"optimizer": None}), ("nested-best", {})):
        nested = experiment(name)
        parent = run(nested, {} if parents else {2: 0.9}, **parents)
        for score in (0.2, 0.6, 0.9):
            run(nested, {1: score / 2, 2: score}, parent)
    run(gone, {0: 0.5})
    client.delete_experiment(gone)
    return uri


def test_a_trial_costs_one_trial_where_nothing_else_is_known(mlflow_store):
    found = answers("mlflow:final-only", uri=mlflow_store, column=ACC, target=("0.5",))["sgd"]
    assert (found.expected_cost.estimate, found.expected_cost.unit) == (4 / 3, "trials")


def test_runs_that_others_name_as_their_parent_are_no_trials(mlflow_store):
    for name in ("nested", "nested-best"):
        found = answers(f"mlflow:{name}", uri=mlflow_store, column=ACC, target=("0.5",))["sgd"]
        assert (found.n, found.hits) == (3, 2)
        assert found.expected_cost.estimate == 2 / 3 + 2
        assert "runs left out, because others name them as their parent: 1" in found.notes


def test_runs_are_charged_for_their_steps_and_left_out_where_they_cannot_be_counted(mlflow_store):
    found = answers("mlflow:steps", uri=mlflow_store, column=ACC, target=("0.8",), chance=("0",))["sgd"]
    assert (found.n, found.hits, found.expected_cost.estimate) == (4, 1, (2 + 2 + 0) / 3 * 3 / 2 + 2)
    for note in (
        "trials left out, because they were lost before they were given a scheme: 1",
        "trials left out, because they are still running: 1",
        "trials that were lost before their first score, and so cost nothing here: 1",
    ):
        assert note in found.notes
    sparse = answers("mlflow:sparse", uri=mlflow_store, column=ACC, target=("0.8",))["sgd"].expected_cost
    assert (sparse.estimate, sparse.unit) == (2 * 99 / 2 + 99, "steps")


def test_a_deleted_experiment_is_called_deleted_and_its_page_is_kept(mlflow_store, tmp_path, lr_study):
    assert "experiment 'gone' is deleted in" in refused("mlflow:gone", uri=mlflow_store, column=ACC)
    page = tmp_path / "page" / "report.html"
    page.parent.mkdir()
    page.write_text("of before")
    for words in (("report", "gone", "--output", page.parent), ("status", "gone")):
        done = lr_study(*words, "--tracking-uri", mlflow_store)
        assert done.returncode == 2, done.stderr
        assert "study 'gone' is deleted in" in done.stderr
    assert page.read_text() == "of before"


def test_an_unknown_metric_is_refused_with_the_nearest(mlflow_store):
    words = {"uri": mlflow_store, "column": ("score=metrics.accu", "scheme=params.optimizer")}
    assert "unknown metric 'metrics.accu': did you mean 'metrics.acc'?" in refused("mlflow:final-only", **words)


def test_a_store_of_another_kind_is_refused_and_stays_as_it_is(mlflow_store, optuna_folder, tmp_path, monkeypatch):
    """Both programs would make their tables in whatever they are asked to read."""
    early = optuna_folder / "early.db"
    before = early.read_bytes()
    assert "is no MLflow store" in refused("mlflow:x", uri=f"sqlite:///{early}", column=ACC)
    assert early.read_bytes() == before
    assert "is no Optuna storage" in refused("optuna:", uri=mlflow_store)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "there is no database 'mlflow.db'" in refused("mlflow:x", column=ACC)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("steps", "unit"), [([1, 101, 201], "steps"), ([0, 100], "steps"), ([1, 2, 3], "epochs"), ([0, 1], "epochs")]
)
def test_steps_are_epochs_where_they_follow_one_another_wherever_they_begin(steps, unit):
    rows = pd.DataFrame({"step": steps, "trial": 0, "state": "FINISHED", "score": 0.5, "scheme": "a", "task": "t"})
    assert of_steps(rows, {}).unit == unit
