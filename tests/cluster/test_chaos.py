"""A study through everything that can happen to it in days: it ends, and with the table of one that was left alone.

`pytest -m chaos` runs one round: every fault once, in an order and at moments that follow from `--seed`; or the first
of them, as many as `--faults` says. With `--hours 8` round follows round, each with the next seed.
"""

import contextlib
import random
import re
import time
from collections.abc import Callable

import psutil
import pytest
from laboratory import ROOT
from test_cluster import TRACKING, lab, only_here, same_table, text_of, user  # noqa: F401 — the fixtures

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(0)]

STUDY = """
question: Does it survive everything?
common: {task: "./my_task.py:Bowl", epochs: 12, batch_size: 4, trials: 20}
arms:
  random: {searcher: random}
  tpe: {searcher: tpe, parallel: 4, direction: momentum, scheme.schedule: cosine}
  adam: {searcher: tpe, parallel: 4, direction: adam, scheme: plateau}
"""
NUM_TRIALS = 60
OUTAGE_SECONDS = 30
ROUND_SECONDS = 2400


class Chaos:
    """A study under way, what happens to it, and who starts it again."""

    def __init__(self, user, name, seed):  # noqa: F811
        self.user, self.lab, self.name = user, user.lab, name
        self.chance = random.Random(seed)
        self.log = user.lab.folder / f"{name}-{seed}.log"
        self.told = []
        self.deadline = time.monotonic() + ROUND_SECONDS
        self.submit()

    def say(self, line):
        self.told.append(line)
        print(f"{time.strftime('%X')} {line}", flush=True)

    def submit(self):
        command = f"cd {ROOT}; {self.user.submit(f'run {self.name}.yaml --storage {self.lab.storage}')}"
        self.before = self.log.stat().st_size if self.log.exists() else 0
        self.driver = self.lab.laptop.start(command, self.log, **self.user.environment)

    def wait_until(self, true: Callable[[], object], what: str):
        while not true():
            assert time.monotonic() < self.deadline, (what, self.told, text_of(self.log)[-3000:])
            time.sleep(0.5)

    def training(self, host):
        return self.lab.processes(host, "ray::ResourceTrainable")

    def under_way(self):
        """Until trials run on a worker; who was ended is started again."""

        def running():
            if self.driver.poll() is not None and not self.is_complete():
                self.say(f"driver ended with {self.driver.returncode}, submitted again")
                self.submit()
            of_this_driver = text_of(self.log, self.before)
            trains = any(self.training(host) for host in ("one", "two"))
            return self.is_complete() or (trains and re.search(r"[1-9]\d* running", of_this_driver))

        self.wait_until(running, "no trial runs")
        time.sleep(self.chance.uniform(2, 8))

    def is_complete(self):
        return self.driver.poll() == 0

    # --- what can happen --------------------------------------------------------------------------------

    def a_worker_process_dies(self):
        found = [process for host in ("one", "two") for process in self.training(host)]
        if found:
            self.chance.choice(found).kill()

    def a_worker_node_dies_and_comes_back(self):
        name = self.chance.choice(["one", "two"])
        self.lab.nodes[name].kill()
        time.sleep(self.chance.uniform(0, 10))
        self.lab.switch_on(name)

    def the_driver_dies(self):
        found = self.lab.processes("head", f"lr-study run {self.name}")
        assert found or self.driver.poll() is not None, (self.told, text_of(self.log)[-3000:])
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.wait_until(lambda: self.driver.poll() is not None, "ray submit does not see that its command has died")

    def the_head_dies_and_is_brought_up_again(self):
        self.lab.nodes["head"].kill()
        self.wait_until(lambda: self.driver.poll() is not None, "ray submit does not see that the head has died")
        time.sleep(self.chance.uniform(0, 5))
        self.lab.switch_on("head")
        done = self.user.types(f"ray up -y {self.user.config}", 400)
        assert done.returncode == 0, done.output

    def a_worker_is_cut_off(self):
        name = self.chance.choice(["one", "two"])
        self.lab.cable(name, "down")
        time.sleep(OUTAGE_SECONDS)
        self.lab.cable(name, "up")

    def postgres_is_away(self):
        self.lab.postgres("stop")
        time.sleep(OUTAGE_SECONDS)
        self.lab.postgres("start")

    def mlflow_is_away(self):
        self.lab.kill_mlflow()
        time.sleep(OUTAGE_SECONDS)
        self.lab.start_mlflow()

    def the_storage_is_full(self):
        full = self.lab.shared / "full"
        with full.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:  # without a buffer, which there might be no room for in the end
                file.write(bytes(2**16))
        time.sleep(OUTAGE_SECONDS / 2)
        full.unlink()


FAULTS = [
    Chaos.a_worker_process_dies,
    Chaos.a_worker_node_dies_and_comes_back,
    Chaos.the_driver_dies,
    Chaos.the_head_dies_and_is_brought_up_again,
    Chaos.a_worker_is_cut_off,
    Chaos.postgres_is_away,
    Chaos.mlflow_is_away,
    Chaos.the_storage_is_full,
]


@pytest.fixture(scope="module")
def nap(pytestconfig):
    """Longer where more faults are to come: with .004 for all eight, a study was over before the sixth (seed 2)."""
    return 0.003 + 0.0006 * len(FAULTS[: pytestconfig.getoption("--faults")])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The table of the study on this machine alone, without the naps."""
    return only_here(tmp_path_factory.mktemp("undisturbed"), "chaos", STUDY)


@pytest.fixture(scope="module")
def prepared(user):  # noqa: F811
    """The user, whose study stands on the head, and whose trials take a while."""
    (user.mine / "chaos.yaml").write_text(STUDY)
    for file in ("chaos.yaml", "my_task.py"):
        done = user.types(f"ray rsync-up {user.config} {user.mine}/{file} '~/lr-study/{file}'")
        assert done.returncode == 0, done.output
    return user


def check_nothing_is_left(user, runs):  # noqa: F811
    """Every trial once, nothing running, no file and no process of a trial."""
    assert len(runs) == runs["tags.lr_study.key"].nunique() == NUM_TRIALS
    assert set(runs["status"]) == {"FINISHED"}
    files = {path.relative_to(user.lab.shared).parts[0] for path in user.lab.shared.rglob("*") if path.is_file()}
    assert files == {"reports"}
    time.sleep(10)
    for host in ("head", "one", "two"):
        assert not user.lab.processes(host, "ray::ResourceTrainable")
        assert not user.lab.processes(host, "lr-study run")


def check_no_gap(table):
    for _, trial in table.groupby(["arm", "repetition", "k"]):
        assert trial["record"].tolist() == list(range(1, len(trial) + 1))


def a_round(user, undisturbed, seed, most):  # noqa: F811
    chaos = Chaos(user, "chaos", seed)
    faults = FAULTS.copy()
    chaos.chance.shuffle(faults)
    for fault in faults[:most]:
        chaos.under_way()
        assert not chaos.is_complete(), f"the study was over before {fault.__name__}"
        chaos.say(fault.__name__)
        fault(chaos)
    chaos.under_way()
    chaos.wait_until(lambda: chaos.driver.poll() is not None, "the study does not end")
    assert chaos.driver.returncode == 0, text_of(chaos.log)[-3000:]
    table = user.table("chaos")
    same_table(undisturbed, table)
    check_no_gap(table)
    check_nothing_is_left(user, user.trials("chaos"))


def test_a_study_survives_every_fault_at_a_random_moment(prepared, undisturbed, pytestconfig):
    seed, until = pytestconfig.getoption("--seed"), time.monotonic() + 3600 * pytestconfig.getoption("--hours")
    most = pytestconfig.getoption("--faults")
    a_round(prepared, undisturbed, seed, most)
    while time.monotonic() < until:
        seed += 1
        prepared.renames("chaos", f"chaos-{seed}")
        a_round(prepared, undisturbed, seed, most)
