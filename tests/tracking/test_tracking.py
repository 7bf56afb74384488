"""The record: what is written is read back, through a real store."""

import math
import subprocess
import sys
import time

import mlflow.artifacts
import pytest
from mlflow import MlflowClient

from study.answers.summary import summarize
from study.commands import words as asked
from study.dispatch.dispatcher import Dispatcher
from study.plan.parse import parse
from study.tracking import Lease, Tracker, about, cancel, client, forget, read, status
from study.tracking import tracker as tracker_module
from trainables.refusal import Refusal
from trainables.trial import Record

TEXT = "{question: q, common: {task: quadratic, trials: 2, %s}, arms: {sgd: {}}}"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """An empty embedded store; each test uses a study of its own in it."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def record(number, **changed):
    plain = {
        "train_loss": 1 / number,
        "train_score": 0.5,
        "valid_loss": 0.1,
        "valid_score": 0.2,
        "lr": 0.1,
        "passes": 3.0,
        "flops": 0.0,
        "steps": number,
        "seconds": 0.5,
        "diverged": False,
    }
    return Record(epoch=number, **{**plain, **changed})


def started(store, name, text=TEXT % "epochs: 3"):
    study = parse(text, name)
    tracker = Tracker(study, store, {"versions": "v"})
    search = next(study.searches())
    tracker.searches.open(study.searches())
    tracker.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    return tracker, search


def test_a_trial_that_failed_before_its_first_record_is_read_back(store):
    tracker, search = started(store, "silent", TEXT % "epochs: 3, seeds: 2")
    tracker.finish(search.key(0), "failed", float("nan"), "RuntimeError: no data")
    tracker.close(complete=True)
    (row,) = read("silent", store).to_dict("records")
    assert (row["status"], row["record"], row["epoch"], row["passes"], row["planned"]) == ("failed", 0, 0.0, 0.0, 2)
    assert math.isnan(row["valid_score"])


def test_what_is_written_is_read_back(store):
    tracker, search = started(store, "roundtrip")
    key = search.key(0)
    for number in (1, 2, 3):
        tracker.log(key, number, record(number, extras={"test_score": 0.9} if number == 3 else {}))
    tracker.finish(key, "finished", 0.1 + 0.2)
    tracker.wait()
    table = read("roundtrip", store)
    assert table["epoch"].tolist() == [1, 2, 3]
    assert table["train_loss"].tolist() == [1.0, 1 / 2, 1 / 3]
    assert table["scheme.lr"].tolist() == [0.3] * 3
    assert table["task.dim"].tolist() == [10] * 3
    assert table["status"].tolist() == ["finished"] * 3
    assert math.isnan(table["test_score"][0])
    assert table["test_score"][2] == 0.9
    assert Tracker(tracker.study, store).recorded()[key].score == 0.1 + 0.2


def test_nan_stays_nan_and_infinity_becomes_it(store):
    tracker, search = started(store, "nan")
    tracker.log(search.key(0), 1, record(1, valid_loss=math.nan, diverged=True, extras={"lr_layer": -math.inf}))
    tracker.finish(search.key(0), "diverged", 2.5)
    tracker.wait()
    table = read("nan", store)
    assert math.isnan(table["valid_loss"][0])
    assert math.isnan(table["lr_layer"][0])
    assert table["diverged"][0] == 1


def test_records_logged_twice_are_read_once(store):
    tracker, search = started(store, "twice")
    for _ in range(2):
        for number in (1, 2):
            tracker.log(search.key(0), number, record(number))
        tracker.flush()
    tracker.wait()
    assert read("twice", store)["epoch"].tolist() == [1, 2]


def test_what_an_attempt_that_was_given_up_recorded_beyond_the_last_one_is_not_read(store):
    """Four records, then the machine is gone; trained anew it diverges at the second."""
    tracker, search = started(store, "given-up")
    key = search.key(0)
    scaled = {"mean_scale": 0.5}
    for number in (1, 2, 3, 4):
        tracker.log(key, number, record(number, extras=scaled))
    tracker.start(search, key, search.arm.trial({"scheme.lr": 0.3}, 7))
    for number in (1, 2):
        tracker.log(key, number, record(number, extras=scaled, diverged=number == 2))
    tracker.finish(key, "diverged", 2.5, records="2")
    tracker.wait()
    assert read("given-up", store)["diverged"].tolist() == [0, 1]
    assert len(tracker.measured(key)) == 2


def test_a_study_that_is_given_another_budget_says_how_far_it_is_of_that(store):
    started(store, "longer")[0].close(complete=False)
    Tracker(parse((TEXT % "epochs: 3").replace("trials: 2", "trials: 5"), "longer"), store)
    (search,) = status("longer", store)
    assert search.planned == 5


def test_what_is_planned_are_trials_whatever_their_seeds(store):
    started(store, "seeds", (TEXT % "epochs: 3").replace("trials: 2", "trials: 2, seeds: 3"))
    assert about("seeds", store).planned == {"sgd": 2}


def test_a_search_that_was_deleted_without_its_trials_is_refused_in_one_line(store):
    """The other search is left as it was: nothing runs."""
    two = (TEXT % "epochs: 3").replace("sgd: {}", "sgd: {}, adam: {direction: adam}")
    tracker, _ = started(store, "half-deleted", two)
    tracker.close(complete=False)
    MlflowClient(store).delete_run(tracker.searches.runs["sgd", 0])
    with pytest.raises(Refusal, match="search sgd-0 of study 'half-deleted' has been deleted in MLflow"):
        Tracker(tracker.study, store)
    assert MlflowClient(store).get_run(tracker.searches.runs["adam", 0]).info.status == "KILLED"


def test_a_search_that_was_made_twice_is_one(store):
    """The store made it, and its answer was lost: the client asked again, and trials name the second."""
    study = parse(TEXT % "epochs: 3", "made-twice")
    tracker, search = Tracker(study, store), next(study.searches())
    tracker.searches.run(search)
    unnamed = tracker.searches.runs.pop(("sgd", 0))
    time.sleep(0.01)  # the store tells runs apart by the millisecond
    tracker.searches.open([search])
    tracker.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    tracker.close(complete=False)
    used = tracker.searches.runs["sgd", 0]
    again = Tracker(study, store)
    assert again.searches.runs == {("sgd", 0): used} != {("sgd", 0): unnamed}
    assert len(status("made-twice", store)) == 1


@pytest.mark.parametrize("metric", ["lr", "steps", "valid_score", "scale"])
def test_a_record_that_is_written_while_the_table_is_read_is_in_it_whole_or_not_at_all(store, metric, monkeypatch):
    tracker, search = started(store, f"meanwhile-{metric}")
    key, inner = search.key(0), type(client(store)._tracking_client.store)
    tracker.log(key, 1, record(1, extras={"scale": 0.5}))
    tracker.flush()
    tracker.wait()
    asked = inner.get_metric_history_bulk

    def slow(self, runs, name, limit):
        points = asked(self, runs, name, limit)
        if name == metric:
            tracker.log(key, 2, record(2, extras={"scale": 0.25}))
            tracker.flush()
            tracker.wait()
        return points

    monkeypatch.setattr(inner, "get_metric_history_bulk", slow)
    assert read(tracker.study.name, store)[["epoch", "steps", "scale"]].to_numpy().tolist() == [[1, 1, 0.5]]
    again = read(tracker.study.name, store)
    assert again[["epoch", "steps", "scale"]].to_numpy().tolist() == [[1, 1, 0.5], [2, 2, 0.25]]


def test_a_trial_is_finished_only_with_its_terminal_status(store):
    tracker, search = started(store, "terminal")
    tracker.log(search.key(0), 1, record(1))
    tracker.flush()
    tracker.wait()
    assert Tracker(tracker.study, store).recorded()[search.key(0)].status is None
    tracker.finish(search.key(0), "finished", 0.2)
    tracker.wait()
    assert Tracker(tracker.study, store).recorded()[search.key(0)].status == "finished"


def test_a_second_start_takes_up_the_same_run(store):
    tracker, search = started(store, "again")
    first = tracker.recorded()[search.key(0)]
    second = Tracker(tracker.study, store)
    second.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    after = second.recorded()[search.key(0)]
    assert (after.run_id, after.attempts) == (first.run_id, 2)


def test_a_driver_that_died_before_the_parameters_is_made_good(store):
    tracker, search = started(store, "params")
    client = MlflowClient(store)
    original = client.get_run(tracker.recorded()[search.key(0)].run_id)
    client.delete_run(original.info.run_id)
    client.create_run(original.info.experiment_id, tags=original.data.tags)
    again = Tracker(tracker.study, store)
    assert Dispatcher(tracker.study, again.recorded()).next().key == search.key(0)
    again.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    again.wait()
    assert Tracker(tracker.study, store).recorded()[search.key(0)].params["scheme.lr"] == 0.3


def test_a_failed_trial_that_was_opened_again_is_drawn_anew_in_another_run(store):
    """Its parameters came of outcomes that count no more."""
    tracker, search = started(store, "given-up-on")
    key = search.key(0)
    before = tracker.recorded()[key].run_id
    tracker.finish(key, "failed", 0.0, error="ValueError: no")
    tracker.start(search, search.key(1), search.arm.trial({"scheme.lr": 0.5}, 8))  # drawn from what failed
    tracker.reopen([key])
    tracker.close(complete=False)
    again = Tracker(tracker.study, store)
    assert again.recorded() == {}
    again.start(search, key, search.arm.trial({"scheme.lr": 0.9}, 7))
    assert again.recorded()[key].run_id != before
    assert Tracker(tracker.study, store).recorded()[key].params["scheme.lr"] == 0.9


def test_an_experiment_that_others_have_begun_is_no_study(store):
    client = MlflowClient(store)
    client.create_run(client.create_experiment("theirs", "mlruns"))
    study = parse(TEXT % "epochs: 3", "theirs")
    for refused in (lambda: Tracker(study, store), lambda: Lease("theirs", store), lambda: forget("theirs", store)):
        with pytest.raises(Refusal, match="holds runs that no study has made"):
            refused()


def test_a_request_to_end_while_a_driver_takes_over_is_heard(store, monkeypatch):
    tracker, _ = started(store, "taken-over")
    tracker.close(complete=False)
    with Lease("taken-over", store) as lease:
        cancel("taken-over", store)
        monkeypatch.setattr(tracker_module, "CANCEL_SECONDS", 0.0)
        again = Tracker(tracker.study, store, ignored=lease.cancelled)
        assert again.cancelled()
        assert not Tracker(tracker.study, store).cancelled()


def test_an_orphan_of_a_repeated_create_is_removed(store):
    tracker, search = started(store, "orphan")
    client = MlflowClient(store)
    original = client.get_run(tracker.recorded()[search.key(0)].run_id)
    client.create_run(original.info.experiment_id, tags=original.data.tags)
    reopened = Tracker(tracker.study, store)
    assert reopened.recorded()[search.key(0)].run_id == original.info.run_id
    assert len(Tracker(tracker.study, store).recorded()) == 1


def test_an_interrupted_study_leaves_nothing_running(store):
    tracker, search = started(store, "interrupted")
    tracker.close(complete=False)
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("interrupted")
    assert {run.info.status for run in client.search_runs([experiment.experiment_id])} == {"KILLED"}
    assert Tracker(tracker.study, store).recorded()[search.key(0)].status is None


def test_another_study_of_that_name_is_refused_saying_what_differs(store):
    started(store, "same")
    with pytest.raises(Refusal, match=r"in arm 'sgd', epochs was 3.0, is now 4.0.*new name"):
        Tracker(parse(TEXT % "epochs: 4", "same"), store)


def test_a_longer_budget_is_the_same_study(store):
    started(store, "longer")
    Tracker(parse(TEXT.replace("trials: 2", "trials: 9") % "epochs: 3", "longer"), store)


def test_the_study_file_is_an_artifact_of_every_search(store):
    tracker, _ = started(store, "artifact")
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("artifact")
    parents = client.search_runs([experiment.experiment_id], "tags.`lr_study.kind` = 'search'")
    assert mlflow.artifacts.load_text(f"{parents[0].info.artifact_uri}/study.yaml") == tracker.study.text


def test_status_counts_what_is_recorded(store):
    tracker, search = started(store, "status")
    tracker.wait()
    (before,) = status("status", store)
    assert (before.arm, before.planned, before.ended, before.running) == ("sgd", 2, 0, 1)
    assert math.isnan(before.seconds_left)
    tracker.finish(search.key(0), "diverged", 9.0)
    tracker.wait()
    (after,) = status("status", store)
    assert (after.ended, after.failed, after.running) == (1, 0, 0)
    assert after.seconds_left >= 0


def test_a_cancellation_reaches_the_driver_that_runs_and_no_later_one(store, monkeypatch):
    monkeypatch.setattr(tracker_module, "CANCEL_SECONDS", -1.0)
    running, _ = started(store, "cancelled")
    assert not running.cancelled()
    cancel("cancelled", store)
    assert running.cancelled()
    assert not Tracker(running.study, store).cancelled()


def test_what_a_recorded_study_cost(store):
    """Two trials of three records each; the second reaches the target at its second record."""
    tracker, search = started(store, "cost")
    tracker.start(search, search.key(1), search.arm.trial({"scheme.lr": 0.4}, 8))
    for k, scores in enumerate([(2.0, 1.9, 1.8), (2.0, 0.5, 0.4)]):
        for number, score in enumerate(scores, start=1):
            tracker.log(search.key(k), number, record(number, valid_score=score, passes=10.0 * number))
        tracker.finish(search.key(k), "finished", min(scores))
    tracker.wait()
    words = {
        "target": ("1.0",),
        "chance": ("2.75",),
        "mode": "min",
        "score_at": "last",
        "learns": None,
        "column": (),
        "uri": store,
        "unit": None,
        "baseline": None,
        "budget": None,
        "tolerance": 0.0,
        "seed": 0,
        "draws": 100,
        "includes": (),
        "dearest": (),
        "rates": (),
    }
    (result,) = summarize(*asked.read_source("study:cost", words))
    assert (result.scheme, result.n, result.hits) == ("sgd", 2, 1)
    assert result.expected_trials.estimate == 1.5
    assert result.expected_cost.estimate == 30 * 1 / 2 + 20


def test_killed_while_it_makes_a_store_it_leaves_no_half_of_one(tmp_path):
    """MLflow cannot go on with some of its tables."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    making = subprocess.Popen([sys.executable, "-c", f"from study.tracking import client; client({uri!r})"])
    while not any(file.stat().st_size for file in tmp_path.glob("mlflow.db-*/mlflow.db")):
        assert making.poll() is None
        time.sleep(0.01)
    making.kill()
    making.wait()
    assert not (tmp_path / "mlflow.db").exists()
    assert len(client(uri).search_experiments()) == 1


def test_what_is_refused_changes_nothing(store):
    name, two = "refused", TEXT.replace("{sgd: {}}", "{sgd: {}, other: {epochs: %s}}")
    tracker, _ = started(store, name, two % ("epochs: 3", 3))
    tracker.close(complete=False)
    with pytest.raises(Refusal, match="in arm 'other'"):
        Tracker(parse(two % ("epochs: 3", 4), name), store)
    experiment = client(store).get_experiment_by_name(name).experiment_id
    assert {run.info.status for run in client(store).search_runs([experiment])} == {"KILLED"}


def test_a_mark_is_of_one_search_of_one_record_and_of_its_versions(store):
    (first, search), (other, _) = started(store, "marked"), started(store, "marked-too")
    again = Tracker(first.study, store, {"versions": "v"})
    newer = Tracker(first.study, store, {"versions": "w"})
    assert first.searches.mark(search) == again.searches.mark(search)
    assert len({tracker.searches.mark(search) for tracker in (first, other, newer)}) == 3
