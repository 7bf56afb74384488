"""The driver at the size of a long study: Searcher, Tracker and reconciler over simulated trials, without Ray.

uv run --group server python tests/benchmarks/scale.py random [trials] [--sqlite]
uv run --group server python tests/benchmarks/scale.py tpe [trials]

10,000 trials of 50 records, 500 of them outstanding: trials a second until all is written into PostgreSQL (one of its
own, on a free port of the loopback), the driver's memory on the way, and how long a restart takes to its first new
suggestion. `tpe` runs searches of 100 trials, five at once in each; `long-tpe` a single search.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path

import psutil

from study.dispatch.dispatcher import Dispatcher
from study.dispatch.outcome import Outcome
from study.plan.parse import parse
from study.tracking import Tracker
from trainables.trial import Record

RECORDS, OUTSTANDING = 50, 500
STUDIES = {
    "random": "{question: q, common: {task: quadratic, epochs: 50, trials: %d}, arms: {sgd: {}}}",
    "tpe": "{question: q, common: {task: quadratic, epochs: 50, searcher: tpe, parallel: 5, trials: 100, "
    "repetitions: %d}, arms: {sgd: {}}}",
    "long-tpe": "{question: q, common: {task: quadratic, epochs: 50, searcher: tpe, parallel: 500, trials: %d}, "
    "arms: {sgd: {}}}",
}


@contextlib.contextmanager
def postgres():
    """The address of a new PostgreSQL of our own, in a folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="lr-study-scale-", dir="/var/tmp"))
    shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))

    def run(line):
        words = ["runuser", "-u", "postgres", "--", "bash", "-c", f"cd {folder}; {programs}/{line} >/dev/null"]
        subprocess.run(words, check=True)

    run(f"initdb -A trust -U mlflow -D {folder}/data")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    run(f"pg_ctl -w -D {folder}/data -l {folder}/log -o '{options}' start")
    try:
        run(f"createdb -h 127.0.0.1 -p {port} -U mlflow mlflow")
        yield f"postgresql://mlflow@127.0.0.1:{port}/mlflow"
    finally:
        run(f"pg_ctl -m immediate -D {folder}/data stop")
        shutil.rmtree(folder, ignore_errors=True)


def record(number, score):
    """What an epoch of a trial tells."""
    plain = {"train_loss": 0.5, "train_score": 0.5, "valid_loss": 0.5, "lr": 0.1, "flops": 1e9, "seconds": 0.1}
    return Record(epoch=number, valid_score=score, passes=number * 10.0, steps=number * 10, diverged=False, **plain)


def megabytes():
    return psutil.Process().memory_info().rss / 1e6


def drive(study, uri, until):
    """Run the study as the runner does, up to so many trials; says how it goes."""
    began = time.perf_counter()
    tracker = Tracker(study, uri)
    dispatcher = Dispatcher(study, tracker.recorded())
    ended = before = dispatcher.num_ended
    outstanding = deque()
    tracker.searches.open(study.searches())
    if ended:
        assert dispatcher.next() is not None
        print(f"restarted after {ended} trials: {time.perf_counter() - began:.1f} s to the first new suggestion")
        return
    while ended < until:
        while len(outstanding) < OUTSTANDING and (assignment := dispatcher.next()) is not None:
            tracker.start(assignment.search, assignment.key, assignment.trial)
            outstanding.append(assignment)
        done = outstanding.popleft()
        score = abs(hash(done.key)) % 1000 / 1000
        for number in range(1, RECORDS + 1):
            tracker.log(done.key, number, record(number, score))
        tracker.finish(done.key, "finished", score)
        dispatcher.observe(done.key, Outcome("finished", score))
        ended += 1
        if ended % 1000 == 0 or ended == until:
            seconds = time.perf_counter() - began
            print(f"{ended} trials told in {seconds:.0f} s; the driver holds {megabytes():.0f} MB", flush=True)
    tracker.wait()
    seconds = time.perf_counter() - began
    print(f"all written after {seconds:.0f} s: {(ended - before) / seconds:.1f} trials a second; {megabytes():.0f} MB")


def main(searcher, trials, *, sqlite):
    os.chdir(tempfile.mkdtemp())
    study = parse(STUDIES[searcher] % (trials // 100 if searcher == "tpe" else trials), "scale")
    place = contextlib.nullcontext(f"sqlite:///{Path.cwd()}/mlflow.db") if sqlite else postgres()
    with place as uri:
        drive(study, uri, trials - OUTSTANDING)
        drive(study, uri, 0)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--sqlite"]
    main(words[0], int(words[1]) if len(words) > 1 else 10_000, sqlite="--sqlite" in sys.argv)
