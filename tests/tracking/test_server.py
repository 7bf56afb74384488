"""The record in an MLflow server: read as it was written, in few requests; written through its absence, in order."""

import math

import pytest
from simulated import simulate
from tracking_server import Server

from study.plan.parse import parse
from study.tracking import Tracker, read, status
from study.tracking import outbox as outbox_module
from study.tracking import reader as reader_module
from trainables.trial import Record

TEXT = "{question: q, common: {task: quadratic, trials: 4, epochs: 3}, arms: {sgd: {}}}"
PLAIN = dict.fromkeys(("train_loss", "train_score", "valid_loss", "valid_score", "lr", "passes", "flops"), 0.25)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("server"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def recorded(server):
    """Four trials, of one to four records."""
    return written(server.uri)


def written(uri):
    study = parse(TEXT, "served")
    tracker = Tracker(study, uri, {"versions": "v"})
    (search,) = study.searches()
    tracker.searches.open([search])
    for k in range(4):
        tracker.start(search, search.key(k), search.arm.trial({"scheme.lr": 0.1}, seed=k))
        for number in range(1, k + 2):
            diverged = k == 2 and number == 3
            seen = {**PLAIN, "valid_loss": math.nan if diverged else 0.1 * k + 1 / number}
            record = Record(epoch=number, steps=number, seconds=0.0, diverged=diverged, **seen)
            tracker.log(search.key(k), number, record)
        tracker.finish(search.key(k), "finished", 0.1)
    tracker.close(complete=True)
    return read("served", uri)


def test_a_server_gives_the_table_that_a_database_gives(recorded, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    beside = written(f"sqlite:///{tmp_path}/mlflow.db")
    assert recorded.drop(columns="run_id").equals(beside.drop(columns="run_id"))
    assert recorded.groupby("k").size().tolist() == [1, 2, 3, 4]
    assert recorded["valid_loss"].isna().sum() == 1


def test_it_asks_once_a_column_and_not_once_a_trial(server, recorded, monkeypatch):
    asked = []
    ask = reader_module.http_request
    monkeypatch.setattr(reader_module, "http_request", lambda *args, **rest: asked.append(rest) or ask(*args, **rest))
    read("served", server.uri)
    names = [of["params"]["metric_key"] for of in asked]
    assert len(names) == len(set(names))
    assert {"valid_score", "epoch", "diverged"} <= set(names)


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_where_an_answer_would_be_cut_off_it_asks_for_less(server, recorded, monkeypatch, most):
    monkeypatch.setattr(reader_module, "POINTS_A_REQUEST", most)
    monkeypatch.setattr(reader_module, "RUNS_A_REQUEST", 3)
    assert read("served", server.uri).equals(recorded)


def test_a_server_without_that_answer_is_asked_trial_by_trial(server, recorded, monkeypatch):
    ask = reader_module.http_request
    elsewhere = lambda host, path, *args, **rest: ask(host, f"{path}-not-there", *args, **rest)  # noqa: E731
    monkeypatch.setattr(reader_module, "http_request", elsewhere)
    assert read("served", server.uri).equals(recorded)


# --- a server that goes away ------------------------------------------------------------------------

AWAY = """
question: q
common: {task: digits_mlp, trials: 8}
arms: {sgd: {searcher: random}, tpe: {searcher: tpe, scheme.schedule: cosine}}
"""


def law(arm, trial, rng):
    """A curve that tells one trial from another."""
    return [float(x) for x in rng.uniform(0.2, 0.9, size=4)]


@pytest.fixture
def undisturbed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/undisturbed.db"
    simulate(parse(AWAY, "away"), uri, law)
    return read("away", uri)


def without_it(server, trials):
    """A law during whose trials of these numbers the server is killed, and started again after the next."""
    seen = []

    def lawful(arm, trial, rng):
        seen.append(trial)
        if len(seen) in trials:
            server.stop()
        if len(seen) - 3 in trials:
            server.start()
        return law(arm, trial, rng)

    return lawful


def test_killed_twice_during_a_study_it_has_the_same_record_afterwards(tmp_path, undisturbed, monkeypatch, capsys):
    """With room for three writes in memory: the others wait on disk."""
    monkeypatch.setattr(outbox_module, "RETRY_SECONDS", 0.1)
    monkeypatch.setattr(outbox_module, "IN_MEMORY", 3)
    server = Server(tmp_path)
    server.start()
    try:
        simulate(parse(AWAY, "away"), server.uri, without_it(server, (2, 9)))
        table = read("away", server.uri)
        assert table.drop(columns="run_id").equals(undisturbed.drop(columns="run_id"))
        assert [(of.ended, of.running) for of in status("away", server.uri)] == [(8, 0), (8, 0)]
        told = capsys.readouterr().err
        assert told.count("does not answer, the study goes on meanwhile") == told.count("answers again") >= 1
    finally:
        server.stop()
