"""A page that stands already is not made again; one whose record, options or files are others is."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT
from simulated import bowl, simulate

from study import page, tracking
from study.plan.parse import parse
from study.records.material import of_study
from study.reports import kept
from study.reports.writing import ReportOptions

TEXT = "{question: q, common: {task: digits_mlp, epochs: 6, trials: 8}, arms: {sgd: {}, adam: {direction: adam}}}"
AGAIN = """
import json, sys
from study.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""
UNNEEDED = {"ray", "jinja2", "vl_convert", "sklearn"}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one complete study."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    simulate(parse(TEXT, "kept"), uri, lambda _, trial, rng: bowl(-1, 0.7)(trial, rng))
    return uri


@pytest.fixture(scope="module")
def first(store, tmp_path_factory):
    """Its page, as `run` writes it."""
    storage = tmp_path_factory.mktemp("storage")
    return page("kept", kept.folder_of(storage, "kept"), tracking_uri=store, record=True)


def contents(written):
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in written.files}


def test_a_complete_study_is_run_again_without_ray_its_data_or_a_drawing_and_its_page_stays(store, first, tmp_path):
    before, file = contents(first), tmp_path / "kept.yaml"
    file.write_text(TEXT)
    words = "run", file, "--tracking-uri", store, "--storage", first.path.parents[2]
    done = subprocess.run([sys.executable, "-c", AGAIN, *words], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "report.html (unchanged)" in done.stderr
    assert first.sentences[0] in done.stdout
    assert not UNNEEDED & set(json.loads(done.stdout.splitlines()[-1]))
    assert contents(first) == before
    assert page("kept", first.path.parent, tracking_uri=store) == first._replace(unchanged=True)


def test_a_page_made_anew_has_the_same_bytes(store, first, tmp_path):
    anew = page("kept", tmp_path, tracking_uri=store)
    assert not anew.unchanged
    assert {name: text for name, (text, _) in contents(anew).items()} == {
        name: text for name, (text, _) in contents(first).items()
    }


def test_a_file_that_was_changed_is_written_again(store, first):
    before = first.path.read_bytes()
    first.path.write_text("mine")
    assert not page("kept", first.path.parent, tracking_uri=store).unchanged
    assert first.path.read_bytes() == before


def test_the_key_follows_record_options_and_program(store, monkeypatch):
    material, asked = of_study("kept", store), ReportOptions()
    key = kept.key_of(material, asked)
    assert kept.key_of(of_study("kept", store), ReportOptions()) == key
    record = material.record.copy()
    record.loc[0, "valid_score"] += 1e-12
    others = [
        kept.key_of(type(material)(**{**vars(material), "record": record}), asked),
        kept.key_of(type(material)(**{**vars(material), "planned": {**material.planned, "sgd": 9}}), asked),
        kept.key_of(material, ReportOptions(unit="steps")),
        kept.key_of(material, ReportOptions(draws=500)),
    ]
    monkeypatch.setattr(kept, "_program", lambda: b"another")
    assert len({key, *others, kept.key_of(material, asked)}) == 6


def test_a_store_has_an_unchanged_page_once(store, first, monkeypatch):
    told = []
    monkeypatch.setattr(tracking, "publish", lambda *_: told.append(1))
    for _ in range(2):
        page("kept", first.path.parent, tracking_uri=store, record=True)
    assert len(told) <= 1
    told.clear()
    first.path.write_text("mine")
    for _ in range(2):
        page("kept", first.path.parent, tracking_uri=store, record=True)
    assert told == [1]


def test_what_lies_beside_a_page_and_is_no_key_is_passed_over(store, first):
    for text in ("", "[]", json.dumps({"key": 1})):
        (first.path.parent / kept.FILE).write_text(text)
        assert kept.find(first.path.parent, "any") is None
