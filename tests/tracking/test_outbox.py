"""What waits for a store that does not answer is written once, in order, and is bounded."""

import http.server
import resource
import threading
import time

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES
from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2

from study.plan.parse import parse
from study.tracking import Tracker, outbox
from study.tracking.outbox import Backlog, Outbox
from study.tracking.store import is_away, trial_runs, without_retries

TEXT = "{question: q, common: {task: quadratic, trials: 2, epochs: 3}, arms: {sgd: {}}}"


def answered(status):
    """The error of a server of files that answers with this."""
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status} Client Error", response=response)


class Gone(OSError):
    """The store does not answer."""


class Store:
    """Keeps what it is given; answers as it is told to."""

    def __init__(self):
        self.kept = []
        self.answers = True
        self.failures = []  # raised one by one, before anything else is looked at

    def __call__(self, item):
        if self.failures:
            raise self.failures.pop(0)
        if not self.answers:
            raise Gone
        self.kept.append(item)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(outbox, "RETRY_SECONDS", 0.01)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def said():
    return []


@pytest.fixture
def box(store, said):
    return Outbox(store, is_away, said.append)


def test_nobody_waits_for_a_store_that_is_slow(said):
    held, kept = threading.Event(), []

    def slow(item):
        assert held.wait(10)
        kept.append(item)

    box = Outbox(slow, is_away, said.append)
    for item in range(5):
        box.put(item)
    assert kept == []
    held.set()
    assert box.wait(10)
    assert kept == list(range(5))
    assert box.answers
    assert not said


def test_where_nothing_waits_no_thread_is_left(box, store):
    box.put(0)
    assert box.wait(10)
    while "outbox" in [thread.name for thread in threading.enumerate()]:
        time.sleep(0.01)
    box.put(1)
    assert box.wait(10)
    assert store.kept == [0, 1]


def test_what_waits_is_written_in_order_when_the_store_answers_again(box, store, said, monkeypatch):
    monkeypatch.setattr(outbox, "IN_MEMORY", 4)
    store.answers = False
    for item in range(50):
        box.put(item)
    assert not box.wait(0.1)
    assert not box.answers
    assert store.kept == []
    store.answers = True
    assert box.wait(10)
    box.put(50)
    assert box.wait(10)
    assert store.kept == list(range(51))
    assert len(said) == 2
    assert "answers again" in said[1]


@given(st.lists(st.sampled_from(["put", "put", "put", "go", "come", "pause"]), max_size=60))
@settings(deadline=None, max_examples=60)
def test_whenever_it_goes_and_comes_nothing_is_lost_doubled_or_out_of_order(events):
    store = Store()
    box, put = Outbox(store, is_away, lambda line: None), 0
    for event in events:
        if event == "put":
            box.put(put)
            put += 1
        elif event == "pause":
            time.sleep(0.005)
        else:
            store.answers = event == "come"
    store.answers = True
    assert box.wait(10)
    assert store.kept == list(range(put))


@pytest.mark.parametrize("before", [[], [Gone()]], ids=["at once", "after it was away"])
def test_a_write_that_is_wrong_is_not_tried_again_and_raised_to_everybody(box, store, before):
    store.failures = [*before, ValueError("not a number")]
    box.put(0)
    for then in (lambda: box.wait(10), lambda: box.put(1), lambda: box.wait(10)):
        with pytest.raises(ValueError, match="not a number"):
            then()
    assert store.kept == []


def test_where_there_is_no_more_room_the_one_who_writes_waits(box, store, monkeypatch):
    monkeypatch.setattr(outbox, "IN_MEMORY", 2)
    monkeypatch.setattr(outbox, "ON_DISK", 100)
    store.answers = False
    threading.Timer(0.3, lambda: setattr(store, "answers", True)).start()
    before = time.monotonic()
    for item in range(200):
        box.put(item)
    assert time.monotonic() - before > 0.25
    assert box.wait(10)
    assert store.kept == list(range(200))


def test_a_full_disk_is_no_room(monkeypatch):
    """A limit on the size of files stands in for it: a part of the fourth fits, and nothing comes twice or is lost."""
    monkeypatch.setattr(outbox, "IN_MEMORY", 1)
    backlog, items = Backlog(), [f"{number}" * 1000 for number in range(6)]
    assert all(backlog.append(item) for item in items[:3])
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2500, unlimited[1]))
    try:
        assert not backlog.append(items[3])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert all(backlog.append(item) for item in items[3:])
    taken = []
    while len(backlog):
        taken.append(backlog.first())
        backlog.pop()
    assert taken == items


@pytest.mark.parametrize(
    ("code", "away"),
    [
        ("TEMPORARILY_UNAVAILABLE", True),
        ("INTERNAL_ERROR", True),
        ("REQUEST_LIMIT_EXCEEDED", True),
        ("INVALID_PARAMETER_VALUE", False),
        ("RESOURCE_DOES_NOT_EXIST", False),
        ("PERMISSION_DENIED", False),
        ("UNAUTHENTICATED", False),
    ],
)
def test_the_store_is_away_where_it_fails_and_not_where_it_refuses(code, away):
    assert is_away(MlflowException("no", error_code=getattr(databricks_pb2, code))) == away


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (ConnectionError(), True),
        (OSError(28, "full"), True),
        (FileNotFoundError(), False),
        (answered(502), True),
        (answered(413), False),
        (answered(403), False),
    ],
)
def test_a_file_that_is_not_there_or_not_taken_is_not_waited_for(error, away):
    assert is_away(error) == away


def test_a_run_that_was_made_without_an_answer_is_found_and_not_made_twice(tmp_path, monkeypatch):
    """The worst moment to go away: the store has made the run, and its answer is lost."""
    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    study = parse(TEXT, "lost")
    tracker = Tracker(study, uri)
    (search,) = study.searches()
    tracker.searches.open([search])
    create, lost = MlflowClient.create_run, []

    def without_answer(self, *args, **rest):
        run = create(self, *args, **rest)
        if len(lost) < 1:
            lost.append(run)
            raise ConnectionError("the answer is lost")
        return run

    monkeypatch.setattr(MlflowClient, "create_run", without_answer)
    tracker.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    tracker.finish(search.key(0), "finished", 0.5)
    tracker.close(complete=True)
    client = MlflowClient(uri)
    found, surplus = trial_runs(client, client.get_experiment_by_name("lost").experiment_id)
    assert [run.info.run_id for run in found.values()] == [lost[0].info.run_id]
    assert not surplus
    assert found[search.key(0)].data.params["scheme.lr"] == "0.3"


def test_a_file_that_the_store_refuses_costs_neither_its_trial_nor_the_study(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    study = parse(TEXT, "refused")
    tracker = Tracker(study, f"sqlite:///{tmp_path}/mlflow.db")
    (search,) = study.searches()
    tracker.searches.open([search])

    def refuse(self, *args):
        raise answered(413)

    monkeypatch.setattr(MlflowClient, "log_artifact", refuse)
    tracker.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    (tmp_path / "big.npz").write_bytes(b"0")
    tracker.keep(search.key(0), tmp_path / "big.npz")
    tracker.finish(search.key(0), "finished", 0.5)
    tracker.close(complete=True)
    assert Tracker(study, tracker.uri).recorded()[search.key(0)].status == "finished"
    assert "the store does not take big.npz: 413 Client Error" in capsys.readouterr().err


def test_an_end_is_acknowledged_only_when_the_store_has_it(tmp_path, monkeypatch):
    """For it is then that the checkpoint goes."""
    monkeypatch.chdir(tmp_path)
    study, told = parse(TEXT, "ends"), []
    tracker = Tracker(study, f"sqlite:///{tmp_path}/mlflow.db", recorded=told.append)
    (search,) = study.searches()
    tracker.searches.open([search])
    tracker.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    tracker.start(search, search.key(1), search.arm.trial({"scheme.lr": 0.4}, 8))
    away = threading.Event()
    away.set()
    end = MlflowClient.set_terminated

    def unless_away(self, *args):
        if away.is_set():
            raise ConnectionError("away")
        return end(self, *args)

    monkeypatch.setattr(MlflowClient, "set_terminated", unless_away)
    tracker.finish(search.key(0), "finished", 0.5)
    assert not tracker.wait(0.2)
    assert told == []
    away.clear()
    tracker.close(complete=False)
    assert told == [search.key(0)]  # the other one is left open, to be gone on with


def test_one_thread_does_not_retry_and_the_others_keep_the_clients_own_patience():
    inside, go = threading.Barrier(2, timeout=10), threading.Event()
    here, seen = MLFLOW_HTTP_REQUEST_MAX_RETRIES.get(), []

    def beats():
        with without_retries(), without_retries():
            inside.wait()
            go.wait(10)
            seen.append(MLFLOW_HTTP_REQUEST_MAX_RETRIES.get())
        seen.append(MLFLOW_HTTP_REQUEST_MAX_RETRIES.get())

    thread = threading.Thread(target=beats)
    thread.start()
    inside.wait()
    assert MLFLOW_HTTP_REQUEST_MAX_RETRIES.get() == here > 0
    go.set()
    thread.join(10)
    assert seen == [0, here]


class Once503(http.server.BaseHTTPRequestHandler):
    """Says 503 to the first request, and an empty page to every other."""

    asked = 0

    def do_POST(self):
        type(self).asked += 1
        body = b'{"experiments": []}'
        self.send_response(503 if type(self).asked == 1 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def test_a_call_of_the_main_thread_outlives_one_503_while_the_lease_beats(monkeypatch):
    """A heartbeat asks once, in its own thread; what the main thread asks meanwhile is asked again."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Once503)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stop, beating = threading.Event(), threading.Event()

    def beats():
        with without_retries():
            beating.set()
            stop.wait(60)

    thread = threading.Thread(target=beats)
    thread.start()
    beating.wait(10)
    try:
        assert MlflowClient(f"http://127.0.0.1:{server.server_port}").search_experiments() == []
        assert Once503.asked == 2
    finally:
        stop.set()
        thread.join()
        server.shutdown()
        server.server_close()


def test_what_a_trial_measured_is_not_waited_for_where_the_store_is_away(tmp_path, monkeypatch):
    """Tune's callback asks for it: a control starts later, and nothing else waits."""
    monkeypatch.chdir(tmp_path)
    study = parse(TEXT, "away")
    tracker = Tracker(study, f"sqlite:///{tmp_path}/mlflow.db")
    (search,) = study.searches()
    tracker.searches.open([search])
    tracker.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    assert tracker.measured(search.key(0)) is not None
    history = MlflowClient.get_metric_history

    def away(self, *args):
        raise ConnectionError("away")

    monkeypatch.setattr(MlflowClient, "get_metric_history", away)
    assert tracker.measured(search.key(0)) is None
    monkeypatch.setattr(MlflowClient, "get_metric_history", history)
    monkeypatch.setattr(MlflowClient, "set_terminated", away)
    tracker.finish(search.key(0), "finished", 0.5)
    before = time.monotonic()
    assert tracker.measured(search.key(0)) is None
    assert time.monotonic() - before < 5
    monkeypatch.undo()
