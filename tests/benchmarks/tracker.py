"""The tracker's price on the driver: milliseconds a record, over 10,000 records into an embedded store.

uv run python tests/benchmarks/tracker.py [records a trial]
"""

import os
import sys
import tempfile
import time

from study.spec import parse
from study.tracking import Tracker
from trainables.trial import Record

RECORDS = 10_000


def main(length):
    os.chdir(tempfile.mkdtemp())
    trials = RECORDS // length
    study = parse(f"{{question: q, common: {{task: quadratic, trials: {trials}}}, arms: {{sgd: {{}}}}}}", "tracker")
    tracker = Tracker(study, "sqlite:///mlflow.db")
    search = next(study.searches())
    tracker.open_searches([search])
    logging = starting = ending = 0.0
    for k in range(trials):
        before = time.perf_counter()
        tracker.start(search, search.key(k), search.arm.trial({"scheme.lr": 0.1}, k))
        started = time.perf_counter()
        for number in range(1, length + 1):
            tracker.log(search.key(k), number, record(number))
        logged = time.perf_counter()
        tracker.finish(search.key(k), "finished", 0.5)
        ended = time.perf_counter()
        starting, logging, ending = starting + started - before, logging + logged - started, ending + ended - logged
    print(f"{trials} trials of {length} records: {1e3 * (logging + ending) / RECORDS:.2f} ms a record")
    print(
        f"{1e3 * starting / trials:.1f} ms to start a trial, {1e3 * ending / trials:.1f} ms to end it with its records"
    )


def record(number):
    return Record(
        epoch=number,
        train_loss=0.5,
        train_score=0.5,
        valid_loss=0.5,
        valid_score=0.5,
        lr=0.1,
        passes=number * 10.0,
        flops=1e9 * number,
        steps=number * 10,
        seconds=0.1,
        diverged=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
