"""Ctrl-C, `cancel` and `status`, on a real Ray: a study ends when it is told to, and says how to go on."""

import contextlib
import os
import re
import signal
import sqlite3
import time

import pytest

from study.tracking import client

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

TEXT = """
question: Does it end when it is told to?
common: {task: quadratic, task.dim: 50, batch_size: 4, epochs: 40, trials: 200}
arms:
  random: {searcher: random}
"""
AT_ONCE = """
from study.reports import live
live.LEAST_SECONDS = live.SHARE = live.LivePage.__init__.__kwdefaults__["first"] = 1
"""
GOES_ON = "interrupted; `lr-study run long.yaml` goes on"


def statuses(folder):
    """Of every search and trial; read past MLflow, whose clients would all make a new file's tables at once."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{folder}/mlflow.db?mode=ro", uri=True)) as store:
            return {status for (status,) in store.execute("SELECT status FROM runs")}
    except sqlite3.OperationalError:  # there is no file yet, or nothing in it
        return set()


@pytest.fixture
def driver(request, tmp_path, one_slot, lr_study_process):
    """A study that would take long, some of its trials ended and others running; a process group as in a terminal."""
    (tmp_path / "long.yaml").write_text(TEXT)
    client(f"sqlite:///{tmp_path}/mlflow.db")
    process = lr_study_process("run", "long.yaml", process_group=0, before=getattr(request, "param", ""))
    try:
        deadline = time.monotonic() + 200
        while not {"FINISHED", "RUNNING"} <= statuses(tmp_path):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ctrl_c(process):
    """What a terminal does: SIGINT to the whole group."""
    os.killpg(process.pid, signal.SIGINT)


def test_ctrl_c_ends_it_cleanly_and_says_how_to_go_on(driver, tmp_path):
    ctrl_c(driver)
    _, err = driver.communicate(timeout=180)
    assert driver.returncode == 130, err
    assert GOES_ON in err
    assert "Traceback" not in err
    assert "The page, rewritten while trials run:  .lr-study/reports/long/report.html\n" in err
    assert statuses(tmp_path) == {"FINISHED", "KILLED"}


def test_ctrl_c_twice_ends_it_at_once(driver):
    ctrl_c(driver)
    time.sleep(0.2)
    if driver.poll() is None:
        ctrl_c(driver)
    _, err = driver.communicate(timeout=60)
    assert driver.returncode == 130, err
    assert "Traceback" not in err


def ended(page):
    """The trials that had ended when the page was written; none where it is not there yet."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return {int(number) for number in re.findall(r"long · (\d+) of 200 trials have ended</h1>", text)}


@pytest.mark.parametrize("driver", [AT_ONCE], indirect=True, ids=["with a page that does not wait"])
def test_the_page_is_rewritten_meanwhile_and_status_and_cancel_work_from_another_process(driver, tmp_path, lr_study):
    page, seen, deadline = tmp_path / ".lr-study" / "reports" / "long" / "report.html", set(), time.monotonic() + 200
    while len(seen) < 2:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline, seen
        seen |= ended(page)
        time.sleep(0.1)
    assert max(seen) < 200
    told = lr_study("status", "long")
    assert told.returncode == 0, told.stderr
    line = r"random repetition 0: [1-9]\d*/200 trials, [1-9]\d* running, [\d:]+ left\n"
    assert re.fullmatch(line, told.stdout), told.stdout
    asked = lr_study("cancel", "long")
    assert asked.returncode == 0, asked.stderr
    assert "asked long to end" in asked.stdout
    _, err = driver.communicate(timeout=180)
    assert driver.returncode == 130, err
    assert GOES_ON in err
    assert statuses(tmp_path) == {"FINISHED", "KILLED"}
