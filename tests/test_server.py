"""The record in an MLflow server: read as it was written, in few requests, whoever cuts the answers short."""

import math
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from study.spec import parse
from study.tracking import Tracker, read
from study.tracking import reader as reader_module
from trainables.trial import Record

TEXT = "{question: q, common: {task: quadratic, trials: 4, epochs: 3}, arms: {sgd: {}}}"
PLAIN = dict.fromkeys(("train_loss", "train_score", "valid_loss", "valid_score", "lr", "passes", "flops"), 0.25)


class Server:
    """MLflow on a port of its own, with a database in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"

    def start(self):
        words = [
            "--port",
            str(self.port),
            "--workers",
            "1",
            "--backend-store-uri",
            f"sqlite:///{self.folder}/mlflow.db",
        ]
        words += ["--artifacts-destination", str(self.folder / "artifacts")]
        own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [sys.executable, "-m", "mlflow", "server", *words]
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, env={**os.environ, **own}, cwd=self.folder, stdout=log, stderr=log, process_group=0
            )
        deadline = time.monotonic() + 90
        while not self.answers():
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1) as answer:  # noqa: S310 — our own
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        """SIGKILL to all its processes."""
        os.killpg(self.process.pid, 9)
        self.process.wait()


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
    tracker.open_searches([search])
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
