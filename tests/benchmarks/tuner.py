"""200 trials of about a second, two at once: our runner beside bare Tune with the same training inside.

    uv run python tests/benchmarks/tuner.py [trials] [records of each]

Prints, for both, the wall time from the first start to the last end over the ideal: the same trials' uncontended
training time, divided by two. Ours writes every record into MLflow, eleven metrics each, on the same two cores; bare
Tune writes the last one, into a file.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import ray
import torch
from ray import tune

from study.execution import runner
from study.execution.progress import Progress
from study.plan.parse import parse
from trainables.run.loop import Run
from trainables.trial import Trial

TEXT = """{question: q, arms: {sgd: {}}, common:
           {task: digits_mlp, epochs: 45, record_every: %g, batch_size: 32, trials: %d, scheme.lr: 0.05}}"""


class Clock(Progress):
    """Notes when the first trial starts and when the last one ends."""

    first, last = float("inf"), 0.0

    def started(self, key):
        Clock.first = min(Clock.first, time.time())

    def ended(self, key, outcome):
        Clock.last = time.time()


def bare(config):
    """The same training as a function, reporting once a second as ours does."""
    torch.set_num_threads(1)
    started = time.time()
    run, said = Run(Trial.parse(json.loads(config["trial"]))), time.time()
    for record in run:
        if time.time() - said > 1.0 and not run.finished:
            tune.report({"score": record.valid_score})
            said = time.time()
    tune.report({"score": run.records[-1].valid_score, "started": started, "ended": time.time()})


def main(trials, records):
    os.chdir(tempfile.mkdtemp())
    torch.set_num_threads(1)  # as every trial has
    read = parse(TEXT % (45 / records, trials), "tuner")
    search = next(read.searches())
    flats = [search.arm.trial({}, search.key(k).seed).flat() for k in range(trials)]
    alone = []
    for flat in flats[:10]:
        started = time.perf_counter()
        for _ in Run(Trial.parse(flat)):
            pass
        alone.append(time.perf_counter() - started)
    ideal = sum(alone[1:]) / len(alone[1:]) * trials / 2
    print(f"one trial alone {sum(alone[1:]) / len(alone[1:]):.2f} s; ideal for {trials}: {ideal:.1f} s")

    runner.run(read, "sqlite:///mlflow.db", Path(".lr-study"), runner.Cluster(), Clock)
    ours = Clock.last - Clock.first
    print(f"lr-study: {ours:.1f} s, {ours / ideal:.2f} of the ideal")

    for name in [name for name in os.environ if name.startswith("TUNE_")]:
        del os.environ[name]  # what our runner has set; bare Tune is Tune as it comes
    with contextlib.redirect_stdout(None):
        result = tune.Tuner(
            tune.with_resources(bare, {"cpu": 1}),
            param_space={"trial": tune.grid_search([json.dumps(flat) for flat in flats])},
            tune_config=tune.TuneConfig(reuse_actors=True, trial_dirname_creator=lambda trial: trial.trial_id),
            run_config=tune.RunConfig(storage_path=f"{Path.cwd()}/bare", verbose=0),
        ).fit()
    ended = [trial.metrics for trial in result]
    theirs = max(last["ended"] for last in ended) - min(last["started"] for last in ended)
    print(f"bare Tune: {theirs:.1f} s, {theirs / ideal:.2f} of the ideal; ours / bare {ours / theirs:.2f}")
    ray.shutdown()


if __name__ == "__main__":
    main(*[int(word) for word in sys.argv[1:3]], *[200, 45][len(sys.argv) - 1 :])
