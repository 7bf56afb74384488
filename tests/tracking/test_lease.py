"""One driver a study: the second is refused while the first lives, and takes over when it is dead."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from tracking_server import Server

from study.plan.key import Key
from study.plan.parse import parse
from study.tracking import Lease, Tracker, lease, read
from trainables.refusal import Refusal

TEXT = "{question: q, common: {task: quadratic, trials: 2, epochs: 3}, arms: {sgd: {}}}"
HOLD = """
import sys, time
from study.tracking import Lease
with Lease(*sys.argv[1:]):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch, tmp_path):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(lease, "DEAD_SECONDS", 1.0)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    """One store for all: a new one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def name(request):
    """A study of one test."""
    return request.node.name


@pytest.fixture
def unknown_process(monkeypatch):
    """As seen from another machine: there is nothing but the beat."""
    monkeypatch.setattr(lease, "_place", lambda: f"elsewhere-{time.monotonic_ns()}")


@pytest.fixture
def driver(name, uri):
    """Another process, which holds the lease."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, name, uri], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def active(name, uri):
    """The numbers of its leases that nobody has given back."""
    names = [of.name for of in MlflowClient(uri).search_experiments()]
    return sorted(int(of.rpartition("/")[2]) for of in names if of.startswith(f"lr_study.lease/{name}/"))


def test_who_has_no_name_in_a_container_is_told_by_number(monkeypatch):
    def nameless():
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(lease.getpass, "getuser", nameless)
    assert lease._me().who.startswith(f"user {os.getuid()} on ")


def test_the_second_is_refused_while_the_first_lives_and_told_who_it_is(name, uri):
    with Lease(name, uri), pytest.raises(Refusal, match=rf"{name!r} is being run by .* process {os.getpid()}: "):
        Lease(name, uri)
    with Lease(name, uri):
        assert active(name, uri) == [2]
    assert active(name, uri) == []


def test_two_studies_have_nothing_to_do_with_each_other(name, uri):
    with Lease(name, uri), Lease(f"{name}-too", uri):
        assert active(name, uri) == active(f"{name}-too", uri) == [1]


def test_a_driver_that_was_killed_is_known_to_be_dead_at_once_on_its_own_machine(name, uri, driver, monkeypatch):
    monkeypatch.setattr(lease, "DEAD_SECONDS", 100.0)
    with pytest.raises(Refusal, match=f"process {driver.pid}"):
        Lease(name, uri)
    driver.kill()
    driver.wait()
    before = time.monotonic()
    with Lease(name, uri):
        assert time.monotonic() - before < 10
        assert active(name, uri) == [2]


def test_elsewhere_it_is_dead_when_its_beat_has_stopped_for_long_enough(name, uri, driver, unknown_process, capsys):
    driver.send_signal(signal.SIGSTOP)
    before = time.monotonic()
    with Lease(name, uri):
        assert time.monotonic() - before > 1.0
    assert "may be running this study: looking for up to 1 s" in capsys.readouterr().err


def test_one_that_was_taken_for_dead_writes_no_more(name, uri, unknown_process):
    """Cut off for a while, it comes back when another driver has its study."""
    study = parse(TEXT, name)
    (search,) = study.searches()
    first = Lease(name, uri)  # nobody keeps it: it does not beat
    tracker = Tracker(study, uri, check=first.check)
    tracker.searches.open([search])
    tracker.start(search, search.key(0), search.arm.trial({"scheme.lr": 0.3}, 7))
    with Lease(name, uri):
        time.sleep(0.3)
        with pytest.raises(Refusal, match=f"another driver has taken over {name!r}"):  # noqa: PT012 — at one or the other
            tracker.finish(search.key(0), "finished", 0.5)
            tracker.wait()
        assert Tracker(study, uri).recorded()[Key(name, "sgd", 0, 0, 0)].status is None


def test_of_two_that_take_over_at_once_one_is_refused(name, uri, unknown_process):
    Lease(name, uri)  # of one that died
    got, refused = [], []
    together = threading.Barrier(2)

    def take():
        together.wait()
        try:
            got.append(Lease(name, uri))
        except Refusal as refusal:
            refused.append(str(refusal))

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 1)
    assert "another driver" in refused[0]


def test_one_that_died_while_it_took_over_leaves_nothing_behind(name, uri, unknown_process, monkeypatch):
    first = Lease(name, uri)
    with monkeypatch.context() as dies:
        dies.setattr(MlflowClient, "delete_experiment", lambda *_: sys.exit())
        with pytest.raises(SystemExit):
            Lease(name, uri)
    assert len(active(name, uri)) == 2
    with Lease(name, uri):
        assert active(name, uri) == [3]
        with pytest.raises(lease.Taken):
            first.beat()


def test_leases_are_no_studies(name, uri):
    with Lease(name, uri), pytest.raises(Refusal) as refused:
        read(f"{name}x", uri)
    assert f"did you mean {name!r}?" in str(refused.value)
    assert "lr_study.lease" not in str(refused.value)


def test_it_survives_the_absence_of_the_store(name, tmp_path):
    server = Server(tmp_path)
    server.start()
    try:
        with Lease(name, server.uri) as held:
            server.stop()
            time.sleep(0.5)
            with pytest.raises(Exception, match="failed with exception"):  # as a write of that moment
                held.check()
            server.start()
            held.check()
            with pytest.raises(Refusal, match="being run by"):
                Lease(name, server.uri)
        assert active(name, server.uri) == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.stop()


def test_only_another_driver_is_called_one(name, uri, monkeypatch):
    """What else a store refuses, it says itself; without what stands in its address."""

    def refuses(self, *arguments):
        raise MlflowException("no more experiments for http://me:secret@store", PERMISSION_DENIED)

    with Lease(name, uri) as held:
        monkeypatch.setattr(MlflowClient, "set_experiment_tag", refuses)
        with pytest.raises(Refusal, match=r"refuses the lease.*: no more experiments for http://…@store") as told:
            held.beat()
        assert not isinstance(told.value, lease.Taken)
        held._keep()  # as its thread does: it ends without a word, the next write has said it
        monkeypatch.undo()
    monkeypatch.setattr(MlflowClient, "create_experiment", refuses)
    with pytest.raises(Refusal, match=r"refuses the lease"):
        Lease(name, uri)
