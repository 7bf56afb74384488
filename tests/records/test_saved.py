"""A saved record says what its arms search: it is replayed and reported as the study in the store is, without code."""

import json
import shutil
import sys

import pandas as pd
import pytest
from simulated import simulate

from study.plan.parse import parse
from study.records.material import of, of_file, of_study
from study.records.saved import CONTENTS, FILE, with_study
from study.replay import read_record
from study.tracking import client
from trainables.refusal import Refusal

TASK = """
from dataclasses import dataclass

from trainables.space import Uniform, searched
from trainables.tasks.quadratic import Quadratic


@dataclass(frozen=True)
class Mine(Quadratic):
    slope: float = searched(Uniform(0.25, 0.75), default=0.5)
"""
TEXT = """
question: Whose?
baseline: late
common: {task: './saved_task.py:Mine', trials: 12}
arms: {early: {scheme.lr: {log_uniform: [0.001, 0.1]}}, late: {scheme.schedule: cosine}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store with a study of somebody's own task, whose code is gone by now; and its record, saved."""
    folder = tmp_path_factory.mktemp("saved")
    uri = f"sqlite:///{folder}/mlflow.db"
    (folder / "saved_task.py").write_text(TASK)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        client(uri)
        study = parse(TEXT, "mine", folder=folder)
        simulate(study, uri, lambda arm, trial, rng: sorted(rng.uniform(0, 2, size=3).tolist(), reverse=True))
        material = of_study("mine", uri)
    (folder / "saved_task.py").unlink()
    for name in [name for name in sys.modules if name.startswith("saved_task")]:
        del sys.modules[name]
    table = with_study(material.record, material.text, material.contents)
    table.to_csv(folder / "x.csv", index=False)
    table.to_parquet(folder / "x.parquet")
    return folder


@pytest.fixture
def uri(folder):
    """The address of that store."""
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def saved(folder, tmp_path):
    """A folder with the saved record alone, under a name that says nothing."""
    for name in ("x.csv", "x.parquet"):
        shutil.copy(folder / name, tmp_path / name)
    return tmp_path


def test_it_is_what_report_prints(folder, uri, lr_study):
    assert lr_study("report", "mine", "--epochs", "--tracking-uri", uri).stdout == (folder / "x.csv").read_text()


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_a_saved_record_is_replayed_as_the_one_in_the_store(name, uri, saved, lr_study):
    asked = ["--trials", "4", "--repetitions", "100", "--target", "0.3"]
    there = lr_study("replay", "mine", *asked, "--tracking-uri", uri)
    here = lr_study("replay", name, *asked, "--tracking-uri", f"sqlite:///{saved}/none.db")
    assert there.returncode == here.returncode == 0, (there.stderr, here.stderr)
    assert here.stdout == there.stdout
    spaces = [{arm.name: arm.space for arm in read_record(source, None, uri)[1].arms} for source in ("mine", name)]
    assert spaces[0] == spaces[1]
    assert set(spaces[0]["early"]) == {"scheme.lr", "task.slope"}


@pytest.mark.parametrize("name", ["x.csv", "x.parquet"])
def test_its_columns_are_no_hyper_parameters_and_it_knows_its_study(name, uri, saved):
    of_store, of_saved = of_study("mine", uri), of_file(saved / name)
    assert of_saved.record.columns.tolist() == of_store.record.columns.tolist()
    for field in ("name", "question", "baseline", "searched", "contents", "text"):
        assert getattr(of_saved, field) == getattr(of_store, field), field


def test_a_record_that_lost_the_row_of_an_arm_needs_its_study_file(saved, lr_study):
    table = pd.read_csv(saved / "x.csv")
    table.drop(index=table.index[table["arm"] == "late"][0]).to_csv(saved / "late.csv", index=False)
    done = lr_study("replay", "late.csv")
    assert done.returncode == 2
    assert "does not say what its arms search: name the study's file with --study" in done.stderr


@pytest.mark.parametrize("written", ["{", "[]", "3", json.dumps({"scheme.lr": {"uniform": "x"}}), '{"a": {"b": {}}}'])
def test_a_column_of_something_else_is_refused_in_one_line(written, saved, lr_study):
    table = pd.read_csv(saved / "x.csv")
    table.loc[table[CONTENTS].notna(), CONTENTS] = written
    table.to_csv(saved / "other.csv", index=False)
    done = lr_study("replay", "other.csv")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr


def test_json_has_no_column_of_the_file(uri, lr_study):
    done = lr_study("report", "mine", "--epochs", "--format", "json", "--tracking-uri", uri)
    assert not {FILE, CONTENTS} & set(json.loads(done.stdout)[0])


def test_a_folder_of_parts_is_the_record_that_one_file_is(folder, tmp_path):
    whole = pd.read_parquet(folder / "x.parquet")
    for arm, part in whole.groupby("arm"):
        part.to_parquet(tmp_path / f"{arm}.parquet")
    joined, one = of_file(tmp_path), of_file(folder / "x.parquet")
    pd.testing.assert_frame_equal(joined.record, one.record.reset_index(drop=True))
    assert (joined.name, joined.text, joined.contents) == (one.name, one.text, one.contents)
    assert of(f"{tmp_path}/", "").name == "mine"


def test_a_folder_without_tables_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"holds no \.parquet file"):
        of(f"{tmp_path}/", "")
