"""Where the tests find data, and how they run the command."""

import gc
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

if (SHARED / "data").is_dir():
    os.environ.setdefault("LR_STUDY_DATA", str(SHARED / "data"))
if "LR_STUDY_DATA" in os.environ:  # tests change the directory that it may count from
    os.environ["LR_STUDY_DATA"] = str(Path(os.environ["LR_STUDY_DATA"]).expanduser().absolute())


def memory_serves(folder, least=4_000_000_000):
    """Tell if the folder, of the memory's own file system, has room for the tests' stores, and programs in it run."""
    if not os.access(folder, os.W_OK):
        return False
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize >= least and not room.f_flag & os.ST_NOEXEC


# Where bytecode is not kept, as in many containers, two hundred processes compile what they import: half of a study.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A process a core is busy already: a second thread in each would spin while it waits for the first.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's workers are of the lowest priority: beside tests that only compute, a trial of a second took ten.
os.environ.setdefault("RAY_worker_niceness", "0")

if memory_serves("/dev/shm"):  # noqa: S108 — SQLite waits for a disk at every write: twice the time of all tests of records
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")  # noqa: S108


def pytest_addoption(parser):
    chaos = parser.getgroup("chaos", "tests/cluster/test_chaos.py")
    chaos.addoption("--hours", type=float, default=0.0, help="how long to go on with rounds of faults")
    chaos.addoption("--seed", type=int, default=0, help="of the first round")
    chaos.addoption("--faults", type=int, default=None, help="of a round; all of them where this is not given")


def pytest_xdist_auto_num_workers(config):
    """The whole suite takes a process a core and one more; what somebody chose stays in this one.

    One more, as tests with a Ray, a server or a lease wait for much of their time; this one, as it starts at once.
    """
    chosen = config.option.file_or_dir or config.option.keyword or config.option.capture == "no"
    return 0 if chosen or "not slow" not in config.option.markexpr else min(4, (os.cpu_count() or 1) + 1)


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """A seventh of collecting is a search for garbage among modules, which are none."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure():
    gc.unfreeze()  # or libraries say at the end that something of theirs was left behind


def pytest_collection_modifyitems(items):
    """Files with the tests that may take longest come first: the others fit beside and after them."""
    longest = Counter()
    for item in items:
        limit = item.get_closest_marker("timeout")
        longest[item.path] = max(longest[item.path], limit.args[0] if limit else 0)
    items.sort(key=lambda item: -longest[item.path])


@pytest.fixture
def shared():
    """The folder with reference data beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, which is not here")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def _one_migration(tmp_path_factory):
    """MLflow makes the tables of a store once in this process, in two seconds; other new stores are copies of it."""
    from study.tracking import embedded

    made, make_tables = tmp_path_factory.mktemp("tables") / "mlflow.db", embedded.make_tables

    def copied(file):
        if not made.exists():
            make_tables(made)
        shutil.copyfile(made, file)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "make_tables", copied)
        yield


@pytest.fixture
def one_slot(monkeypatch):
    """A Ray that is started here has room for one trial: each further one costs a process that imports torch."""
    monkeypatch.setenv("RAY_OVERRIDE_RESOURCES", '{"CPU": 1}')


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def lr_study(tmp_path, monkeypatch, capfd):
    """Run the command `lr-study` in an empty folder, in this process: its imports take seconds."""

    def run(*arguments, env=None):
        from study.cli import main

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["lr-study", *map(str, arguments)])
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        capfd.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = ended.code
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture
def lr_study_process(tmp_path):
    """Start the command `lr-study` in an empty folder, as a process of its own; `before` is run in it first."""

    def start(*arguments, before="", env=None, cwd=tmp_path, **options):
        return subprocess.Popen(
            [sys.executable, "-c", f"{before}\nfrom study.cli import main; main()", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
            **options,
        )

    return start
