"""What is secret in the environment, or in a store's address, stands in nothing that a run writes or says."""

import shutil
import tempfile
from pathlib import Path

import pytest
from tracking_server import Server

TEXT = """
question: What does it tell?
common: {task: quadratic, task.dim: 10, batch_size: 4, epochs: 4, trials: 3, artifacts: false}
arms:
  random: {searcher: random}
  broken: {task: "./my_task.py:Broken", searcher: random, trials: 1}
"""
TASK = """
from dataclasses import dataclass

from trainables.tasks.quadratic import Quadratic


@dataclass(frozen=True)
class Broken(Quadratic):
    def prepare(self, inputs):
        raise ValueError("it fails, with a traceback")
"""
SECRETS = {
    "MLFLOW_TRACKING_USERNAME": "canary-of-a-user",
    "MLFLOW_TRACKING_PASSWORD": "canary-of-a-password",
    "AWS_SECRET_ACCESS_KEY": "canary-of-amazon",
    "RAY_AUTH_TOKEN": "canary0of0ray0" + "0" * 50,
}
IN_THE_ADDRESS = "canary-of-an-address"


@pytest.fixture
def server(tmp_path):
    """A tracking server that asks nobody for a name, so that whatever is sent is taken."""
    folder = tmp_path / "server"
    folder.mkdir()
    server = Server(folder)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def ray_folder():
    """Ray's own folder, of this test alone; short, because names of sockets are."""
    folder = Path(tempfile.mkdtemp(prefix="ls-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def holding(secrets, folder):
    """Every file that holds one of them."""
    words = [secret.encode() for secret in secrets]
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert found
    return [str(path) for path in found if any(word in path.read_bytes() for word in words)]


@pytest.mark.ray
@pytest.mark.usefixtures("one_slot")
@pytest.mark.timeout(400)
def test_a_run_writes_no_secret_anywhere(tmp_path, server, ray_folder, lr_study_process, lr_study):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "told.yaml").write_text(TEXT)
    (tmp_path / "mine" / "my_task.py").write_text(TASK)
    uri = server.uri.replace("://", f"://somebody:{IN_THE_ADDRESS}@")
    secrets = [*SECRETS.values(), IN_THE_ADDRESS]
    env = {**SECRETS, "RAY_TMPDIR": str(ray_folder), "MLFLOW_TRACKING_URI": uri}
    once = "from study.execution import failures; failures.ATTEMPTS = 1"  # one traceback is enough
    driver = lr_study_process("run", "told.yaml", "-v", "--no-check", before=once, env=env, cwd=tmp_path / "mine")
    out, err = driver.communicate(timeout=300)
    assert driver.returncode == 0, err
    assert "it fails, with a traceback" in out + err
    said = [out, err]
    for words in (["report", "told", "--record"], ["status", "told"], ["report", "untold"]):
        code, *told = lr_study(*words, env=env)
        assert code == (2 if "untold" in words else 0), told
        said += told
    assert not [line for line in "\n".join(said).splitlines() if any(secret in line for secret in secrets)]
    assert (tmp_path / "server" / "artifacts").is_dir()
    assert list(ray_folder.glob("**/*.out"))
    assert holding(secrets, tmp_path) == []
    assert holding(secrets, ray_folder) == []


def test_a_store_that_cannot_be_reached_is_told_without_its_password(lr_study):
    done = lr_study("report", "any", "--tracking-uri", f"http://somebody:{IN_THE_ADDRESS}@127.0.0.1:9")
    assert done.returncode == 2
    assert "http://…@127.0.0.1:9 cannot be reached" in done.stderr
    assert IN_THE_ADDRESS not in done.stderr
