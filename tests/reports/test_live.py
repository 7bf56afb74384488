"""A page while its study runs: it says how far that is, stands in nobody's way, and the last one is like any other."""

import threading
import time

import pytest
from simulated import bowl, simulate

from study import page
from study.plan.parse import parse
from study.reports.live import LivePage

TEXT = "{question: q, common: {task: digits_mlp, epochs: 6, trials: 8}, arms: {sgd: {}, adam: {direction: adam}}}"


def law(_, trial, rng):
    return bowl(-1, 0.7)(trial, rng)


@pytest.fixture
def store(tmp_path):
    """A store with a study that is under way."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    simulate(parse(TEXT, "half"), uri, law, most=10)
    return uri


def test_it_is_written_meanwhile_and_says_how_far_the_study_is(store, tmp_path, capfd):
    path = tmp_path / "reports" / "half" / "report.html"
    with LivePage("half", tmp_path, store, first=0.01):
        deadline = time.monotonic() + 100
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert capfd.readouterr().err == f"The page, rewritten while trials run:  {path}\n"
    assert "half · 10 of 16 trials have ended</h1>" in path.read_text(encoding="utf-8")
    simulate(parse(TEXT, "half"), store, law)
    last = page("half", path.parent, tracking_uri=store)
    alone = page("half", tmp_path / "alone", tracking_uri=store)
    assert not last.unchanged
    assert {file.name: file.read_bytes() for file in last.files} == {
        file.name: file.read_bytes() for file in alone.files
    }
    assert "trials have ended</h1>" not in path.read_text(encoding="utf-8")


def test_who_leaves_ends_the_writing_at_once_and_one_that_fails_ends_nothing(tmp_path):
    before = threading.active_count()
    with LivePage("none", tmp_path, f"sqlite:///{tmp_path}/none.db", first=0.01):
        time.sleep(0.3)
        started = time.monotonic()
    assert time.monotonic() - started < 10
    assert threading.active_count() == before
    assert not list(tmp_path.iterdir())
