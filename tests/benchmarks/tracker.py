"""The tracker's price: milliseconds a record, over 10,000 records into an embedded store, until all is written.

uv run python tests/benchmarks/tracker.py [records a trial]
"""

import os
import sys
import tempfile
import time

from study.plan.parse import parse
from study.tracking import Tracker
from trainables.trial import Record

RECORDS = 10_000


def main(length):
    os.chdir(tempfile.mkdtemp())
    trials = RECORDS // length
    study = parse(f"{{question: q, common: {{task: quadratic, trials: {trials}}}, arms: {{sgd: {{}}}}}}", "tracker")
    tracker = Tracker(study, "sqlite:///mlflow.db")
    search = next(study.searches())
    tracker.searches.open([search])
    began = time.perf_counter()
    for k in range(trials):
        tracker.start(search, search.key(k), search.arm.trial({"scheme.lr": 0.1}, k))
        for number in range(1, length + 1):
            tracker.log(search.key(k), number, record(number))
        tracker.finish(search.key(k), "finished", 0.5)
    handed_over = time.perf_counter() - began
    tracker.wait()
    written = time.perf_counter() - began
    print(
        f"{trials} trials of {length} records: handed over in {1e3 * handed_over / RECORDS:.3f} ms a record, "
        f"written in {1e3 * written / RECORDS:.2f} ms a record, {trials / written:.1f} trials a second"
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
