"""A real MLflow server in a process of its own, to be killed and started again."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from functools import cache
from pathlib import Path

from study.tracking import client

# MLflow's server takes seconds to import: done once, by a process that splits into a server for each line it reads.
SPLIT = """
import json, os, sys
import uvicorn
from mlflow.server.fastapi_app import app

for line in sys.stdin:
    told = json.loads(line)
    if server := os.fork():
        print(server, flush=True)
        continue
    os.environ.update(told["env"])
    os.chdir(told["folder"])
    log = os.open("server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1), os.dup2(log, 2)
    uvicorn.run(app, port=told["port"], log_level="warning")
"""
OWN = {
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_TRACKING_URI": "",
    "PYTHONWARNINGS": "ignore",
}


@cache
def splitting():
    """The process that servers are split from; it ends with this one, which holds its input."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", SPLIT], env={**os.environ, **OWN}, **pipes)


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
        env = {
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{self.folder}/mlflow.db",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
            "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(self.folder / "artifacts"),
        }
        told = json.dumps({"env": env, "folder": str(self.folder), "port": self.port})
        print(told, file=splitting().stdin, flush=True)
        self.process = int(splitting().stdout.readline())
        deadline = time.monotonic() + 90
        while not self.answers():
            assert time.monotonic() < deadline, (self.folder / "server.log").read_text()
            time.sleep(0.2)

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1) as answer:  # noqa: S310 — our own
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        """SIGKILL."""
        os.kill(self.process, 9)
