"""The laboratory: processes are found in it; whatever ends it, nothing of it is left, nor seen outside."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
from conftest import ROOT
from laboratory import ADDRESSES, Laboratory, folder_of_its_own, missing

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

HOLD = """
import contextlib, sys, time
from pathlib import Path
from laboratory import Laboratory
with contextlib.closing(Laboratory(Path(sys.argv[1]))) as lab:
    lab.laptop.run(f"ping -c 1 {lab.nodes['two'].address} || true")
    print("ready", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def folder():
    if reason := missing():
        pytest.skip(reason)
    made = folder_of_its_own()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def before(folder):
    return network()


@pytest.fixture
def holder(folder):
    """A process that holds a laboratory, all its nodes up."""
    own = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, env=own)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def network():
    """Links, addresses and routes of this machine."""
    told = [
        subprocess.run(["ip", "-oneline", kind], capture_output=True, text=True, check=True).stdout
        for kind in ("link", "address", "route")
    ]
    assert not any(address in text for address in ADDRESSES.values() for text in told)
    return told


def descendants(process):
    return psutil.Process(process.pid).children(recursive=True)


def test_the_machines_own_network_is_as_it_was(before, holder):
    assert network() == before
    holder.send_signal(signal.SIGINT)
    holder.communicate(timeout=90)
    assert network() == before


def test_ctrl_c_ends_every_process_and_removes_the_folder(holder, folder):
    inside = descendants(holder)
    assert len(inside) > 2 * len(ADDRESSES)  # of every node an outer and a first process, and sshd
    holder.send_signal(signal.SIGINT)
    holder.communicate(timeout=90)
    assert all_gone(inside)
    assert not folder.exists()


def test_killed_it_takes_everything_along_and_the_next_one_removes_its_folder(holder, folder):
    inside = descendants(holder)
    holder.kill()
    holder.communicate(timeout=90)
    assert all_gone(inside)
    assert folder.exists()
    theirs = folder.with_name(folder.name.replace(f"-{os.getpid()}-", f"-{holder.pid}-"))
    folder.rename(theirs)  # as if the process that is dead had made it
    shutil.rmtree(folder_of_its_own())
    assert not theirs.exists()


def test_processes_are_found_in_their_own_machine_alone_whoever_started_them(folder):
    with contextlib.closing(Laboratory(folder)) as laboratory:
        for name in ("one", "two"):
            laboratory.nodes[name].start("exec -a somebody sleep 60", folder / f"{name}.log")
        laboratory.nodes["two"].run("setsid bash -c 'exec -a somebody sleep 60' &")  # its parent is gone
        deadline = time.monotonic() + 20
        found = {}
        while found != {"head": 0, "one": 1, "two": 2} and time.monotonic() < deadline:
            found = {name: len(laboratory.processes(name, "somebody 60")) for name in ("head", "one", "two")}
            time.sleep(0.2)
        assert found == {"head": 0, "one": 1, "two": 2}


def all_gone(processes):
    _, alive = psutil.wait_procs(processes, timeout=20)
    return not alive
