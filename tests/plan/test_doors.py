"""What others wrote stays what it is: no name leaves its folder, no file that is read is executed."""

import contextlib
import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from study import tracking
from study.plan.key import checked_name
from study.plan.parse import load as load_study
from study.plan.parse import parse
from study.reports import writing as pages
from study.tracking import Tracker
from study.tracking.artifacts import read_artifacts
from trainables.ray_trainable import load
from trainables.refusal import Refusal
from trainables.run import artifacts
from trainables.run.loop import Run
from trainables.trial import Trial

NAMES = [
    "..",
    ".",
    "",
    "../up",
    "../../../../up",
    "/absolute",
    "a/b",
    "a\\b",
    "a\0b",
    "a\nb",
    "-option",
    "~",
    "$HOME",
    "x" * 10_000,
    "<script>alert(1)</script>",
]
ids = pytest.mark.parametrize("name", NAMES, ids=lambda name: repr(name[:20]))
TEXT = "{question: q, common: {task: quadratic, trials: 1}, arms: {%s: {}}}"


class Executed:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.fixture
def mark(tmp_path):
    """The folder that something makes if it is executed."""
    mark = tmp_path / "executed"
    yield mark
    assert not mark.exists()


def files(folder):
    return {path.relative_to(folder).parts[0] for path in folder.rglob("*")}


# --- names ---------------------------------------------------------------------------------------------------


@ids
def test_an_arm_or_a_study_of_that_name_is_refused_in_one_short_line(name):
    for refused in (
        lambda: parse(TEXT % repr(name).replace("'", '"'), "doors"),
        lambda: checked_name("study", name),
    ):
        with pytest.raises(Refusal) as told:
            refused()
        assert len(str(told.value)) < 500
        assert "\n" not in str(told.value)


@ids
def test_a_page_stays_in_its_folder(name, tmp_path):
    place = pages.folder_of(tmp_path / "here", name)
    assert place.parent == tmp_path / "here" / "reports" or name == ""
    assert not {"..", "."} & set(place.relative_to(tmp_path).parts)


@ids
def test_so_do_the_files_of_a_record_whose_arms_others_named(name, tmp_path):
    """A record may come as a file from anybody."""
    plain = {"seconds": 1.0, "diverged": 0, "status": "finished", "mode": "max", "metric": "accuracy", "chance": 0.1}
    plain |= {"repetition": 0, "seed_number": 0, "searcher": "random", "record": 1, "epoch": 1.0, "passes": 10.0}
    plain |= {"train_loss": 1.0, "flops": 1.0, "steps": 10, "lr": 0.1, "test_score": 0.5, "scheme": "fixed"}
    rows = [
        {"arm": name, "task": "digits_mlp", "k": k, "run_id": str(k), "scheme.lr": 10.0**-k, "valid_score": k / 10}
        for k in range(3)
    ]
    pd.DataFrame([row | plain for row in rows]).to_parquet(tmp_path / "theirs.parquet")
    why = {"": "not be empty", "a\0b": "be printed", "a\nb": "be printed"}.get(name)
    with pytest.raises(Refusal, match=why) if why else contextlib.nullcontext():
        pages.write(pages.of_file(tmp_path / "theirs.parquet"), tmp_path / "page")
    assert files(tmp_path) <= {"theirs.parquet", "page"}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A study with a trial in a store, the store's address, and the trial's run in it."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    study = parse(TEXT % "sgd", "keys")
    tracker = Tracker(study, uri)
    (search,) = study.searches()
    tracker.searches.open([search])
    tracker.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    return study, uri, tracker.recorded()[search.key(0)].run_id


@pytest.mark.parametrize(
    "path", ["../../../0/3/0", "/etc/x/0/0/0", "a/b/0/0", "a/b/0/0/0/0", "a/b/0/0/-1", "a/../0/0/0", ""]
)
def test_a_trial_in_the_store_whose_key_leaves_its_folder_is_refused(path, recorded, tmp_path, monkeypatch):
    """Its checkpoint is removed by its key when a driver starts, and others may write into a store."""
    monkeypatch.chdir(tmp_path)
    study, uri, run = recorded
    MlflowClient(uri).set_tag(run, "lr_study.key", path)
    with pytest.raises(Refusal, match="is not the key of a trial"):
        Tracker(study, uri)
    with pytest.raises(Refusal, match="is not the key of a trial"):
        tracking.read("keys", uri)


# --- study files ---------------------------------------------------------------------------------------------

BOMB = "a: &a [x]\n" + "".join(
    f"{one}: &{one} [*{below}, *{below}]\n" for below, one in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "[" * 400_000,
        "{" * 400_000,
        "- " * 400_000,
        "question: " + "9" * 5_000,
        "question: 2024-13-45",
        "question: !!python/object/apply:os.mkdir [%s]",
        "question: !!python/name:os.system",
        "? [question]\n: q",
        "x" * 999_999,
    ],
    ids=["bomb", "lists", "maps", "dashes", "number", "date", "call", "name", "key", "word"],
)
def test_a_study_file_that_is_none_is_refused_in_one_line(text, mark):
    with pytest.raises(Refusal) as told:
        parse(text.replace("%s", str(mark)), "bomb")
    assert "\n" not in str(told.value)


@pytest.mark.timeout(30)
def test_a_study_file_of_100_megabytes_is_not_even_read(tmp_path):
    file = tmp_path / "large.yaml"
    with file.open("wb") as large:
        large.truncate(100 * 2**20)
    with pytest.raises(Refusal, match="has 104,857,600 bytes, at most 1,000,000 are read"):
        load_study(str(file))


# --- what is read is not executed ----------------------------------------------------------------------------


def test_a_checkpoint_is_not_executed(tmp_path, mark, capsys):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    torch.save({"params": Executed(mark)}, folder / "run.pt")
    (folder / "before.pt").write_bytes(pickle.dumps(Executed(mark), protocol=2))
    assert not load(lambda: Run(Trial.parse({"task": "quadratic"}), "cpu"), folder, "").records
    assert capsys.readouterr().err.count("is not used: Weights only load failed") == 2


def test_what_a_trial_left_behind_is_not_executed(tmp_path, mark, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "{question: q, common: {task: digits_mlp, artifacts: true, trials: 1}, arms: {sgd: {}}}"
    study, uri = parse(text, "left"), f"sqlite:///{tmp_path}/mlflow.db"
    (search,) = study.searches()
    tracker = Tracker(study, uri)
    tracker.searches.open([search])
    tracker.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    array = io.BytesIO()
    np.save(array, np.array([Executed(mark)], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / artifacts.FILE, "w") as file:
        file.writestr("labels.npy", array.getvalue())
    tracker.keep(search.key(0), tmp_path / artifacts.FILE)
    tracker.finish(search.key(0), "finished", 0.5)
    tracker.close(complete=True)
    with pytest.raises(Refusal, match="cannot be read"):
        list(read_artifacts("left", uri, artifacts.FILE))


@pytest.mark.parametrize("name", ["table.csv", "table.parquet", "table.db", "table.pkl", "table.json"])
@pytest.mark.parametrize("command", ["report", "cost", "replay"])
def test_a_table_is_not_executed(command, name, tmp_path, mark, lr_study):
    (tmp_path / name).write_bytes(pickle.dumps(Executed(mark)))
    done = lr_study(command, name)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
