"""What every trial adds to the driver's memory under Tune: a study of many short ones, watched from outside.

    uv run python tests/benchmarks/growth.py [trials]

Prints the driver's resident memory beside the number of runs that MLflow has as finished, and its slope.
"""

import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

TEXT = "{question: q, common: {task: quadratic, epochs: 3, trials: %d}, arms: {sgd: {}}}"
READ = "file:mlflow.db?mode=ro"
COUNT = "SELECT count(*) FROM runs WHERE status = 'FINISHED'"
FIRST = 100  # trials until which imports and first times still show


def main(trials):
    os.chdir(tempfile.mkdtemp())
    Path("growth.yaml").write_text(TEXT % trials, encoding="utf-8")
    command = [sys.executable, "-c", "from study.cli import main; main()", "run", "growth.yaml"]
    driver = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen = []
    while driver.poll() is None:
        time.sleep(2)
        with (
            contextlib.suppress(psutil.Error, sqlite3.Error),
            contextlib.closing(sqlite3.connect(READ, uri=True)) as store,
        ):
            seen.append((store.execute(COUNT).fetchone()[0], driver.memory_info().rss / 1e6))
    ended, held = np.array([each for each in seen if FIRST <= each[0] < trials]).T
    for place in np.unique(np.linspace(0, len(ended) - 1, 5).astype(int)):
        print(f"{ended[place]:.0f} trials: {held[place]:.0f} MB")
    print(f"{1000 * np.polyfit(ended, held, 1)[0]:.0f} kB a trial")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
