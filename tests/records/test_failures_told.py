"""Failure is seen: table, page, Markdown and `report` say how many trainings failed and why; all failed is exit 1."""

import json

import pytest

import study
from study import tracking
from study.dispatch.dispatcher import Dispatcher
from study.dispatch.outcome import Outcome
from study.plan.parse import parse
from study.records import failures
from study.reports.writing import of_file, of_study
from study.tracking import Tracker

TEXT = "{question: q, common: {task: quadratic, trials: 3, epochs: 3}, arms: {sgd: {}, cprop: {scheme: cprop}}}"
NO_MODEL, NO_KEY = "ValueError: no <b>such</b> model", "KeyError: 'x'"


def record(name, uri, errors):
    """A complete record whose trials failed with these errors, in turn; an empty one means that it finished."""
    read, left = parse(TEXT, name), list(errors)
    tracker, dispatcher = Tracker(read, uri), Dispatcher(read, {})
    tracker.searches.open(read.searches())
    while not dispatcher.done:
        search, key, trial, *_ = dispatcher.next()
        error = left.pop(0)
        status = "failed" if error else "finished"
        tracker.start(search, key, trial)
        tracker.finish(key, status, 1.0, error=error)
        dispatcher.observe(key, Outcome(status, 1.0))
    tracker.close(complete=True)


@pytest.fixture
def uri(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path}/mlflow.db"


def test_every_form_says_how_many_failed_and_counts_each_error(uri, tmp_path):
    record("some", uri, [NO_MODEL, NO_KEY, "", NO_MODEL, "", ""])
    material = of_study("some", uri)
    assert failures.failure_lines(material.record)[0] == "3 of 6 trainings failed:"
    written = study.page(material, tmp_path / "page")
    texts = {form: study.report(material, form) for form in ("text", "markdown")}
    texts |= {path.name: path.read_text() for path in written.files if path.name in ("report.html", "report.md")}
    for name, text in texts.items():
        assert "3 of 6 trainings failed:" in text, name
        assert f"1 × {NO_KEY}" in text.replace("&#39;", "'"), name
        assert "2 × ValueError: no " in text, name
        assert "<b>such" not in text or name == "text"
    told = json.loads((tmp_path / "page" / "report.json").read_text())["failed"]
    assert told == failures.failure_lines(material.record)


def test_a_saved_record_says_so_too(uri, tmp_path):
    record("saved", uri, [NO_KEY] * 2 + [""] * 4)
    study.read("saved", tracking_uri=uri).to_csv(tmp_path / "saved.csv", index=False)
    assert failures.failure_lines(of_file(tmp_path / "saved.csv").record) == [
        "2 of 6 trainings failed:",
        f"2 × {NO_KEY} (arms cprop, sgd)",
    ]


def test_a_record_without_failures_has_no_word_of_them(uri):
    record("fine", uri, [""] * 6)
    table = tracking.read("fine", uri)
    assert "error" not in table
    assert failures.failure_lines(table) == []
    assert not failures.all_failed(table)


def test_of_many_different_errors_the_rest_is_counted(uri):
    record("many", uri, [f"ValueError: {number}" for number in range(6)])
    lines = failures.failure_lines(tracking.read("many", uri))
    assert len(lines) == 1 + failures.SHOWN + 1
    assert lines[-1] == "1 × 1 other errors"


@pytest.mark.parametrize(("errors", "code"), [([NO_KEY] * 6, 1), ([NO_KEY] * 5 + [""], 0)])
def test_a_study_in_which_every_trial_failed_exits_1(errors, code, lr_study, tmp_path):
    record("gone", f"sqlite:///{tmp_path}/mlflow.db", errors)
    (tmp_path / "gone.yaml").write_text(TEXT)
    done = lr_study("run", "gone.yaml", "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db")
    assert done.returncode == code, done.stderr
    assert ("error: every trial of gone failed" in done.stderr) == (code == 1)
    assert f"{sum(map(bool, errors))} of 6 trainings failed:" in done.stdout
