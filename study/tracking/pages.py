"""MLflow's own pages of a store: their addresses, and a server that shows them on this machine alone."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from typing import IO, NoReturn, TypeAlias

from study.tracking import embedded, view
from study.tracking.store import client, find_study, shown
from trainables.refusal import Refusal

LOOPBACK = "127.0.0.1"
PORT = 5000
START_SECONDS = 120.0  # a machine under load takes 20
END_SECONDS = 5.0
LOOK_SECONDS = 0.2
OWN = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # jobs of its own, which nothing here asks for
Server: TypeAlias = subprocess.Popen[bytes]


def pages_of(uri: str, port: int = PORT) -> str:
    """The address of the pages of a store, without a user name and password.

    Args:
        uri: of the store. A server has pages of its own.
        port: of the server that shows an embedded store.
    """
    return shown(uri).replace("…@", "").rstrip("/") if uri.startswith("http") else f"http://{LOOPBACK}:{port}"


def address(study: str | None, uri: str, port: int = PORT) -> str:
    """The address that opens a study in MLflow's pages: its trials by arm, the best first.

    Args:
        study: its name; without one, the study of the trial that started last.
        uri: of the store, which is not made where it is not there.
        port: as for `pages_of`.

    Raises:
        Refusal: where the store or the study is not there.
    """
    study = study or latest(uri)
    if study is None:
        return pages_of(uri, port)
    store, number = find_study(study, uri)
    return view.view_address(pages_of(uri, port), store.get_experiment(number))


@contextmanager
def serving(uri: str, port: int = PORT) -> Iterator[Callable[[], None]]:
    """Show an embedded store on this machine's loopback; ends with its server ended.

    Args:
        uri: of the store.
        port: to listen on.

    Yields:
        A function that waits until the server ends; by then it has answered.

    Raises:
        Refusal: where the port is taken, or the server ends by itself; with its own words.
    """
    _refuse_taken(port)
    words = ["--host", LOOPBACK, "--port", str(port), "--workers", "1", "--artifacts-destination", ".lr-study"]
    command = [sys.executable, "-m", "mlflow", "server", *words, "--uvicorn-opts", "--log-level warning"]
    known = {**os.environ, **OWN, "MLFLOW_BACKEND_STORE_URI": uri}  # no argument: everybody can read those
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(  # noqa: S603 — MLflow's, by this Python
            command, env=known, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait_for_answer(server, port, log)
            yield lambda: _wait_for_end(server, log)
        finally:
            _end(server)


def wait() -> NoReturn:
    """Wait for a signal; not in pause(), which one that comes just before it would not wake."""
    while True:
        time.sleep(LOOK_SECONDS)


def latest(uri: str) -> str | None:
    """The name of the study of the trial that started last; None where none has started.

    Raises:
        Refusal: where the store is not there.
    """
    embedded.refuse_missing(uri)
    store = client(uri)
    every = {experiment.experiment_id: experiment.name for experiment in store.search_experiments()}
    runs = store.search_runs(list(every), view.TRIALS, max_results=1, order_by=["attributes.start_time DESC"])
    return every[runs[0].info.experiment_id] if runs else None


def _refuse_taken(port: int) -> None:
    with closing(socket.socket()) as trying:
        trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            trying.bind((LOOPBACK, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise Refusal(f"{LOOPBACK}:{port} cannot be listened on ({reason}): give another --port") from error


def _wait_for_answer(server: Server, port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if server.poll() is not None:
            raise _ended(log)
        if time.monotonic() > deadline:
            raise Refusal(f"MLflow's server does not answer after {START_SECONDS:.0f} s{_last_words(log)}")
        time.sleep(LOOK_SECONDS)


def _wait_for_end(server: Server, log: IO[bytes]) -> None:
    """Look again and again: a signal that comes just before wait() would not wake it."""
    while server.poll() is None:
        time.sleep(LOOK_SECONDS)
    raise _ended(log)


def _answers(port: int) -> bool:
    """Ask without the proxies that urllib would take from the environment."""
    with closing(HTTPConnection(LOOPBACK, port, timeout=2)) as asking, suppress(OSError, HTTPException):
        asking.request("GET", "/health")
        return asking.getresponse().status == 200
    return False


def _ended(log: IO[bytes]) -> Refusal:
    return Refusal(f"MLflow's server ended{_last_words(log)}")


def _last_words(log: IO[bytes]) -> str:
    """The last line in which it told an error, else its last."""
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.lower()] or lines
    return f": {shown(told[-1])}" if told else ""


def _end(server: Server) -> None:
    """End the server with the processes that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(END_SECONDS)
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
