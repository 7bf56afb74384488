"""A real MLflow server in a process of its own, to be stopped and started again."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from study.tracking import client


class Server:
    """MLflow on a port of its own, with a database in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        client(f"sqlite:///{folder}/mlflow.db")  # else its tables are made, in two seconds, when it starts
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
