"""A study can be forgotten; one of which nothing has succeeded starts anew; two stores may share a folder."""

import io
from pathlib import Path

import pytest
from mlflow import MlflowClient

import study
from study import tracking
from study.execution import runner
from study.execution.progress import Progress
from study.execution.settings import Cluster
from study.plan.parse import parse
from study.tracking import Lease, OtherContents, Tracker
from trainables.refusal import Refusal

TEXT = "{question: q, common: {task: quadratic, trials: 1, epochs: %d}, arms: {sgd: {}}}"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One store for all: a new one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


def recorded(name, uri, status, storage=None):
    """A study with one trial that ended, a file beside its run, its page and a checkpoint."""
    read = parse(TEXT % 3, name)
    (search,) = read.searches()
    tracker = Tracker(read, uri)
    tracker.searches.open([search])
    storage = storage or Path("storage").resolve()
    tracker.remember_storage(storage)
    tracker.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    tracker.finish(search.key(0), status, 0.5)
    tracker.close(complete=True)
    for folder in (storage / tracker.searches.folder(search.key(0)), storage / "reports" / name):
        folder.mkdir(parents=True)
        (folder / "file").touch()
    return tracker


def files(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def test_nothing_of_a_forgotten_study_is_left_but_what_mlflow_can_restore(uri):
    recorded("gone", uri, "finished")
    assert files("storage")
    assert files(".lr-study/artifacts")
    kept = study.forget("gone", tracking_uri=uri)
    assert files("storage") == files(".lr-study/artifacts") == []
    with pytest.raises(Refusal, match="unknown study"):
        tracking.read("gone", uri)
    assert kept.startswith("gone@20")
    assert MlflowClient(uri).get_experiment_by_name(kept).lifecycle_stage == "deleted"
    recorded("gone", uri, "finished")  # its name is free again
    assert len(tracking.read("gone", uri)) == 1


def test_a_study_that_runs_is_not_forgotten(uri, monkeypatch):
    recorded("runs", uri, "finished")
    with Lease("runs", uri), pytest.raises(Refusal, match="is being run by"):
        study.forget("runs", tracking_uri=uri)
    assert len(tracking.read("runs", uri)) == 1


def test_the_command_asks_and_yes_answers(uri, lr_study, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    recorded("asked", uri, "finished")
    words = "forget", "asked", "--tracking-uri", uri
    assert lr_study(*words).returncode == 130  # there is nobody to answer
    assert len(tracking.read("asked", uri)) == 1
    done = lr_study(*words, "--yes")
    assert done.returncode == 0, done.stderr
    assert "forgot asked" in done.stderr
    assert lr_study(*words, "--yes").returncode == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--arm", "nope"], "unknown arm 'nope'"),
        (["--address", "127.0.0.1:nowhere"], "127.0.0.1:nowhere"),
        (["--gpus", "99"], "a trial needs 1 CPU and 99 GPU, no node has more than"),
        (["--storage", "/proc/nowhere"], "--storage /proc/nowhere cannot be written"),
        (["--cpus", "1", "--address", "127.0.0.1:1"], "--cpus 1 is for a Ray that starts here"),
    ],
)
def test_what_could_not_run_again_is_not_forgotten(more, said, uri, lr_study):
    recorded("quickstart", uri, "finished")
    done = lr_study("run", "quickstart", "--fresh", "--yes", "--tracking-uri", uri, *more)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert len(tracking.read("quickstart", uri)) == 1


def test_where_nobody_can_be_asked_fresh_deletes_nothing_and_names_what_answers(uri, lr_study, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    recorded("quickstart", uri, "finished")
    done = lr_study("run", "quickstart", "--fresh", "--tracking-uri", uri)
    assert (done.returncode, "--fresh needs --yes" in done.stderr) == (130, True)
    assert len(tracking.read("quickstart", uri)) == 1


@pytest.mark.parametrize(("status", "anew"), [("failed", True), ("finished", False), ("diverged", False)])
def test_only_a_study_of_which_nothing_has_succeeded_starts_anew_when_its_file_changes(status, anew, uri, capsys):
    recorded(f"changed-{status}", uri, status)
    now = parse(TEXT % 4, f"changed-{status}")
    with Lease(now.name, uri) as lease:
        asked = runner.RunOptions(now, now, uri, Path("storage"), Cluster(), Progress, False)
        if anew:
            tracker = runner._tracker(asked, lambda key: None, lease)
            assert tracker.recorded() == {}
            assert "it starts anew" in capsys.readouterr().err
        else:
            with pytest.raises(OtherContents, match=r"epochs was 3.0, is now 4.0.*--fresh"):
                runner._tracker(asked, lambda key: None, lease)


def test_two_stores_that_share_a_folder_have_checkpoints_of_their_own(uri, tmp_path):
    here, there = recorded("twice", uri, "finished"), f"sqlite:///{tmp_path}/other.db"
    other = recorded("twice", there, "finished", storage=tmp_path / "elsewhere")
    (search,) = here.study.searches()
    assert here.searches.folder(search.key(0)) != other.searches.folder(search.key(0))
    assert here.searches.own_name != other.searches.own_name
    study.forget("twice", tracking_uri=there, storage=Path("storage"))
    assert [file for file in files("storage") if "checkpoints" in file.parts]


def test_the_page_goes_where_the_study_ran(uri):
    recorded("paged", uri, "finished")
    assert study.page("paged", tracking_uri=uri).path == Path("storage/reports/paged/report.html").resolve()
