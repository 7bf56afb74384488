"""MLflow's pages: an address that answers when it is printed, on this machine alone; a real server."""

import json
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from contextlib import closing

import pytest
from simulated import bowl, simulate

from study.plan.parse import parse
from study.tracking import Tracker, pages
from trainables.refusal import Refusal

TEXT = "{question: q, common: {task: digits_mlp, trials: 2}, arms: {sgd: {}, nesterov: {direction: nesterov}}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store with two studies: `first` ran before `last`; `planned`, the newest, has no trial."""
    folder = tmp_path_factory.mktemp("ui")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        curve = bowl(-1.0, 0.8)
        for name in ("first", "last"):
            simulate(parse(TEXT, name), f"sqlite:///{folder}/mlflow.db", lambda _, trial, rng: curve(trial, rng))
        planned = Tracker(parse(TEXT, "planned"), f"sqlite:///{folder}/mlflow.db")
        planned.searches.open(planned.study.searches())
    return folder


@pytest.fixture
def port():
    """One that nobody listens on."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def ui(folder, lr_study_process):
    """Start the command; ended with its server if a test has not done so."""
    started = []

    def start(*words):
        started.append(lr_study_process("ui", *words, cwd=folder))
        return started[-1]

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=30)


def test_an_address_is_printed_when_it_answers_and_opens_the_study(ui, port, folder):
    page = folder / ".lr-study" / "reports" / "first" / "report.html"
    page.parent.mkdir(parents=True)
    shown = ui("first", "--port", port, "--page")
    line = shown.stdout.readline().strip()  # nothing is waited for after this
    base, _, place = line.partition("/#/")
    assert base == f"http://127.0.0.1:{port}"
    with urllib.request.urlopen(f"{base}/health", timeout=10) as answer:  # noqa: S310 — our own
        assert answer.status == 200
    number, view = place.split("/")[1], place.partition("viewStateShareKey=")[2]
    asked = f"{base}/api/2.0/mlflow/experiments/get?experiment_id={number}"
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 — our own
        experiment = json.load(answer)["experiment"]
    tags = {tag["key"]: tag["value"] for tag in experiment["tags"]}
    assert experiment["name"] == "first"
    assert json.loads(json.loads(tags[f"mlflow.sharedViewState.{view}"])["state"])["groupBy"]
    served = shown.stdout.readline().strip()
    assert served == f"http://127.0.0.1:{port + 1}/first"
    for text in ("one", "another"):  # as it is rewritten while the study runs
        page.write_text(text)
        with urllib.request.urlopen(served, timeout=10) as answer:  # noqa: S310 — our own
            assert answer.read().decode() == text
    for other in ("", "last", "lost"):  # none, one without a page, no study
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port + 1}/{other}", timeout=10)
    for each in (port, port + 1):
        assert not listens("127.0.0.2", each)  # as it would where it listened on every address of this machine
    shown.send_signal(signal.SIGINT)
    rest, said = shown.communicate(timeout=30)
    assert (shown.returncode, rest) == (0, "")
    assert said.splitlines()[1:] == ["MLflow's server is starting …", "Ctrl-C ends it"]
    assert said.startswith("first has no page yet")
    assert not listens("127.0.0.1", port)
    assert not listens("127.0.0.1", port + 1)


def listens(address, port):
    with closing(socket.socket()) as trying:
        trying.settimeout(2)
        return trying.connect_ex((address, port)) == 0


class Interrupted(Exception):
    """Raised where a signal is handled, as KeyboardInterrupt is."""


@pytest.mark.parametrize("server", [True, False], ids=["server", "pages alone"])
def test_a_signal_that_wakes_no_call_ends_the_wait_too(server):
    """One that comes between Python's look for signals and the call that waits; here: one that another thread takes."""

    def handled(*_):
        raise Interrupted

    before = signal.signal(signal.SIGUSR2, handled)
    with subprocess.Popen(["/bin/sleep", "20"]) as sleeping, tempfile.TemporaryFile() as log:
        other = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGUSR2))
        threading.Timer(0.3, other.start).start()
        try:
            with pytest.raises(Interrupted):
                pages._wait_for_end(sleeping, log) if server else pages.wait()
            assert sleeping.poll() is None
        finally:
            signal.signal(signal.SIGUSR2, before)
            sleeping.kill()


def test_a_port_that_is_taken_is_refused_at_once(folder, lr_study):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = lr_study("ui", "--port", port, "--tracking-uri", f"sqlite:///{folder}/mlflow.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(
        f"error: 127.0.0.1:{port} cannot be listened on (Address already in use)"
    )


def test_a_server_that_dies_says_why_in_one_line(folder, port, monkeypatch):
    monkeypatch.setattr(pages, "OWN", {"PYTHONHOME": "/nowhere"})
    with pytest.raises(Refusal, match=r"^MLflow's server ended: .*[Ee]rror.*$"), pages.serving("sqlite:///x.db", port):
        pass


def test_without_a_name_the_study_that_ran_last_is_opened(folder, monkeypatch):
    monkeypatch.chdir(folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    assert pages.address(None, uri) == pages.address("last", uri) != pages.address("first", uri)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("lost", "--page"), "'lost'"),
        (("first", "--host", "0.0.0.0"), "say --page too"),  # noqa: S104 — refused
        (("first", "--page", "--host", "203.0.113.1"), "pages cannot be served on 203.0.113.1:"),
    ],
    ids=["no study", "no page", "no such address"],
)
def test_a_page_that_cannot_be_served_is_refused_before_a_server_starts(lr_study, folder, words, why):
    done = lr_study("ui", *words, "--tracking-uri", f"sqlite:///{folder}/mlflow.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert "starting" not in done.stderr


def test_a_study_or_store_that_is_not_there_is_refused_and_none_is_made(folder, tmp_path, lr_study):
    done = lr_study("ui", "lost", "--tracking-uri", f"sqlite:///{folder}/mlflow.db")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'lost'" in done.stderr
    done = lr_study("ui")
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
