"""A study on several hosts, as a user types it: `ray up`, `ray submit`, `ray job submit`; and a host that dies."""

import contextlib
import os
import re
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import ray
import yaml
from laboratory import ADDRESSES, ROOT, Laboratory, folder_of_its_own, missing
from napping import TASK

import study

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

STUDY = """
question: Does it run on every host?
common: {task: "./my_task.py:Bowl", epochs: 8, batch_size: 4, trials: 8}
arms:
  random: {searcher: random}
  tpe: {searcher: tpe, parallel: 4, direction: momentum, scheme.schedule: cosine}
  adam: {searcher: tpe, parallel: 4, direction: adam, scheme: plateau}
"""
TRACKING = {
    "MLFLOW_TRACKING_URI": f"http://{ADDRESSES['store']}:5000",
    "MLFLOW_TRACKING_USERNAME": "admin",
    "MLFLOW_TRACKING_PASSWORD": "of-the-laboratory",
}
WALL_CLOCK = ["run_id", "seconds"]


class User(NamedTuple):
    """Somebody at the laptop, with a cluster."""

    lab: Laboratory
    config: Path  # local.yaml with the addresses filled in
    mine: Path  # the folder with a study and a task

    @property
    def environment(self):
        """What the laptop's shell exports."""
        path = f"{ROOT}/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {**TRACKING, "PATH": path, "RAY_AUTH_MODE": "token", "PYTHONUNBUFFERED": "1"}

    def types(self, command, timeout=600.0, folder=ROOT):
        """Run a command line on the laptop."""
        return self.lab.laptop.run(f"cd {folder}; {command}", timeout, **self.environment)

    def submit(self, words):
        """The command line of `ray submit`, from the project's folder."""
        return f"ray submit {self.config} cluster/submit.py -- {words}"

    def job(self, words):
        """The command line of `ray job submit`, from one's own folder."""
        return f"ray job submit --address http://{ADDRESSES['head']}:8265 --working-dir . -- {words}"

    def table(self, name):
        """The table of a study, read on the laptop."""
        file = self.lab.folder / "table.pkl"
        uri = TRACKING["MLFLOW_TRACKING_URI"]
        read = f"import study; study.read('{name}', tracking_uri='{uri}').to_pickle('{file}')"
        done = self.types(f'python -c "{read}"')
        assert done.returncode == 0, done.output
        return pd.read_pickle(file)  # noqa: S301 — our own

    def trials(self, name):
        """Status and tags of every trial of a study."""
        file = self.lab.folder / "trials.pkl"
        found = f"mlflow.search_runs(experiment_names=['{name}'])"
        done = self.types(f"python -c \"import mlflow; {found}.to_pickle('{file}')\"")
        assert done.returncode == 0, done.output
        runs = pd.read_pickle(file)  # noqa: S301 — our own
        return runs[runs["tags.lr_study.kind"] == "trial"]

    def renames(self, name, new):
        """So that the same study can be run once more, with the same keys and seeds."""
        code = f"import mlflow; c = mlflow.MlflowClient(); e = c.get_experiment_by_name('{name}').experiment_id"
        done = self.types(f"python -c \"{code}; c.rename_experiment(e, '{new}')\"")
        assert done.returncode == 0, done.output


@pytest.fixture(scope="module")
def lab():
    """The machines, with MLflow on one of them."""
    if reason := missing():
        pytest.skip(reason)
    with contextlib.closing(Laboratory(folder_of_its_own())) as laboratory:
        laboratory.serve(TRACKING)
        yield laboratory


@pytest.fixture(scope="module")
def nap():
    """How long every forward pass of a trial sleeps, in seconds."""
    return 0.004


@pytest.fixture(scope="module")
def user(lab, nap):
    """The user, after cluster/README.md up to and with `ray up`."""
    home, mine = lab.laptop.home, lab.laptop.home / "mine"
    for name in (".ssh", ".lr-study", "mine"):
        (home / name).mkdir()
    shutil.copy(lab.folder / "user", home / ".ssh" / "id_ed25519")
    # Trials are short here, and a host is to die within one.
    fast = {"LR_STUDY_CHECKPOINT_SECONDS": "0.5", "NAP": nap}
    lines = [f"{name}={value}\n" for name, value in {**TRACKING, **fast}.items()]
    (home / ".lr-study" / "environment").write_text("".join(lines))
    (mine / "wide.yaml").write_text(STUDY)
    (mine / "my_task.py").write_text(TASK)
    config = yaml.safe_load((ROOT / "cluster" / "local.yaml").read_text())
    config["provider"] |= {"head_ip": ADDRESSES["head"], "worker_ips": [ADDRESSES["one"], ADDRESSES["two"]]}
    config["auth"]["ssh_user"] = "root"
    (home / "local.yaml").write_text(yaml.safe_dump(config))
    somebody = User(lab, home / "local.yaml", mine)
    lab.wait_for(f"curl -sf http://{ADDRESSES['store']}:5000/health")
    assert somebody.types("ray get-auth-token --generate").returncode == 0
    done = somebody.types(f"ray up -y {somebody.config}")
    assert done.returncode == 0, done.output
    return somebody


@pytest.fixture(scope="module")
def one_machine(tmp_path_factory):
    """The table of the study, run on this machine alone."""
    return only_here(tmp_path_factory.mktemp("one_machine"), "wide", STUDY)


def only_here(folder, name, text):
    (folder / f"{name}.yaml").write_text(text)
    (folder / "my_task.py").write_text(TASK)
    uri = f"sqlite:///{folder}/mlflow.db"
    with contextlib.chdir(folder):
        assert study.run(f"{name}.yaml", tracking_uri=uri, storage=folder)
    ray.shutdown()
    return study.read(name, tracking_uri=uri)


def started(user, command, log):
    """A driver on its way: some of its trials have ended, others run."""
    process = user.lab.laptop.start(f"cd {ROOT}; {command}", log, **user.environment)
    deadline = time.monotonic() + 180
    while not re.search(r"\b[1-9]\d*/300 trials, [1-9]\d* running", text_of(log)):
        assert process.poll() is None, text_of(log)
        assert time.monotonic() < deadline, text_of(log)
        time.sleep(0.2)
    return process


def text_of(log, start=0):
    """What a terminal showed, from a byte on, without what moves a cursor."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", log.read_bytes()[start:].decode(errors="replace"))


def same_table(left, right):
    pd.testing.assert_frame_equal(left.drop(columns=WALL_CLOCK), right.drop(columns=WALL_CLOCK), check_exact=True)


def test_both_workers_join(user):
    deadline = time.monotonic() + 120
    while "3 local.cluster.node" not in (done := user.types(f"ray exec {user.config} 'ray status'")).output:
        assert time.monotonic() < deadline, done.output[-2000:]
        time.sleep(1)


def test_what_listens_beyond_the_private_net_is_rays_own(user):
    """It is so behind its token, as cluster/README.md says; what we start has one address."""
    found = set()
    for node in (user.lab.laptop, *user.lab.nodes.values()):
        for line in node.run("ss -ltnpH").output.splitlines():
            host = line.split()[3].rpartition(":")[0].strip("[]").partition("%")[0].removeprefix("::ffff:")
            (pid, *_) = re.findall(r"pid=(\d+)", line)
            command = node.run(f"tr '\\0' ' ' </proc/{pid}/cmdline").output
            found.add(next((word for word in ("sshd", "mlflow", "postgres") if word in command), "Ray"))
            if host not in ("127.0.0.1", "::1", node.address):
                assert re.search(r"gcs_server|raylet|ray::|/ray/", command), (node.name, line, command)
    assert found == {"sshd", "mlflow", "postgres", "Ray"}


def test_ray_submit_runs_a_study_of_ones_own_on_both_workers(user, one_machine):
    for file in ("wide.yaml", "my_task.py"):
        done = user.types(f"ray rsync-up {user.config} {user.mine}/{file} '~/lr-study/{file}'")
        assert done.returncode == 0, done.output
    done = user.types(user.submit(f"run wide.yaml --storage {user.lab.storage}"))
    assert done.returncode == 0, done.output
    same_table(one_machine, user.table("wide"))
    trials = user.trials("wide")
    assert len(trials) == 24
    assert set(trials["tags.lr_study.host"]) == {"one", "two"}
    assert set(trials["status"]) == {"FINISHED"}


def test_ray_submit_fails_where_the_command_fails(user):
    done = user.types(user.submit("run there_is_no_such_study"))
    assert done.returncode == 1, done.output
    assert "unknown study 'there_is_no_such_study'" in done.output


def test_ray_job_submit_runs_it_from_the_folder_that_it_ships(user, one_machine):
    user.renames("wide", "submitted")
    done = user.types(user.job(f"lr-study run wide.yaml --storage {user.lab.storage}"), folder=user.mine)
    assert done.returncode == 0, done.output
    same_table(one_machine, user.table("wide"))
    assert set(user.trials("wide")["tags.lr_study.host"]) == {"one", "two"}


def test_ray_job_submit_fails_where_the_command_fails_and_tells_its_exit_code(user):
    done = user.types(user.job("lr-study run there_is_no_such_study"), folder=user.mine)
    assert done.returncode == 1, done.output
    assert "unknown study 'there_is_no_such_study'" in done.output
    assert "exit code 2" in done.output


def test_without_the_token_nobody_gets_in(user):
    command = user.job("true").replace("ray ", "RAY_AUTH_TOKEN=a-wrong-one ray ", 1)
    done = user.types(command, folder=user.mine)
    assert done.returncode != 0
    assert "oken" in done.output


def goes_on(user):
    """The last line of a study that was interrupted on the head."""
    return f"interrupted; `lr-study run wide.yaml --trials 100 --storage {user.lab.storage} --address auto` goes on"


def test_ctrl_c_reaches_the_head_through_ray_submit(user):
    """As in a terminal: the key travels through ssh to the driver, which ends cleanly and says how to go on."""
    user.renames("wide", "job")
    log, keys = user.lab.folder / "ctrl_c.log", user.lab.folder / "keys"
    os.mkfifo(keys)
    words = user.submit(f"run wide.yaml --trials 100 --storage {user.lab.storage}")
    driver = started(user, f"script --quiet --flush --return --command '{words}' /dev/null <>{keys}", log)
    keys.write_bytes(b"\x03")
    assert driver.wait(120) == 1, text_of(log)
    assert goes_on(user) in text_of(log)
    assert "Traceback" not in text_of(log)
    assert set(user.trials("wide")["status"]) == {"FINISHED", "KILLED"}


def test_cancelled_from_the_laptop_it_ends_on_the_head(user):
    log = user.lab.folder / "cancelled.log"
    driver = started(user, user.submit(f"run wide.yaml --trials 100 --storage {user.lab.storage}"), log)
    told = user.types("lr-study status wide").output
    assert re.search(r"random repetition 0: \d+/100 trials, \d running, \S+ left", told), told
    assert user.types("lr-study cancel wide").returncode == 0
    assert driver.wait(120) == 1, text_of(log)
    assert goes_on(user) in text_of(log)
    assert set(user.trials("wide")["status"]) == {"FINISHED", "KILLED"}


def test_trials_of_a_host_that_dies_continue_on_the_other(user, one_machine):
    user.renames("wide", "interrupted")
    shutil.rmtree(user.lab.shared / "checkpoints")
    command = f"cd {ROOT}; {user.submit(f'run wide.yaml --storage {user.lab.storage}')}"
    log = user.lab.folder / "killed.log"
    driver = user.lab.laptop.start(command, log, **user.environment)
    deadline = time.monotonic() + 120
    while len(list(user.lab.shared.glob("checkpoints/**/run.pt"))) < 4:  # all that runs at once is under way
        assert driver.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    user.lab.nodes["one"].kill()
    assert driver.wait(300) == 0, log.read_text()
    same_table(one_machine, user.table("wide"))
    trials = user.trials("wide")
    again = trials[trials["tags.lr_study.attempts"].astype(int) > 1]
    assert len(again) > 0
    assert set(again["tags.lr_study.host"]) == {"two"}
