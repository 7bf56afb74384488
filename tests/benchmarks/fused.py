"""Trials an hour: one process a trial, four processes at once, and K trials as one program; memory, and the profile.

    LR_STUDY_DATA=… uv run python tests/benchmarks/fused.py [--task mnist_mlp …] [--rule momentum …] [--width 8 32 …]
        [--rounds 3] [--steps 100] [--profile]

On the GPU where there is one (LR_STUDY_CUDA_GRAPHS=1 records its steps), else on the CPU with one thread a process. A
trial is ten epochs in mini-batches of 128, judged after each; timed are `--steps` steps and a record, interleaved over
the rounds, and the trial is told from them.
"""

import argparse
import multiprocessing
import resource
import statistics
import time

import torch

from trainables.run.fused import FusedRun
from trainables.run.loop import Run
from trainables.trial import Trial

TASKS = {
    "mnist_mlp": {"task": "mnist_mlp"},
    "mnist_lenet5": {"task": "mnist_lenet5"},
    "fashion_mlp_norm": {"task": "fashion_mlp_norm"},
    "digits_mlp": {"task": "digits_mlp"},  # an MLP of 64
}
RULES = {
    "momentum": {"direction": "momentum"},
    "cprop": {"direction": "momentum", "scheme": "cprop"},
    "hypergradient": {"scheme": "hypergradient", "scheme.beta": 1e-4},
}
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
EPOCHS, PROCESSES = 10, 4


def trial(task, rule, lane=0):
    rate = {"scheme.lr": 1e-3 * (1 + lane / 100), "seed": lane}
    common = {"epochs": EPOCHS, "batch_size": 128, "evaluate_test": "never"}
    return Trial.parse({**common, **TASKS[task], **RULES[rule], **rate})


def synchronised():
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def timed(call, times):
    started = synchronised()
    for _ in range(times):
        call()
    return (synchronised() - started) / times


class Alone:
    """One training by itself."""

    def __init__(self, task, rule):
        self.run, self.width = Run(trial(task, rule), DEVICE), 1
        self.run.step()

    def seconds(self, steps):
        """Seconds of one trial."""
        step = timed(self.run.step, steps)
        judged = timed(lambda: self.run.predictor.scores(self.run.params, self.run.buffers, self.run.data.valid), 1)
        return step * self.run.course.num_steps + judged * EPOCHS


class Fused:
    """K trainings as one program."""

    def __init__(self, task, rule, width):
        self.run, self.width = FusedRun([trial(task, rule, lane) for lane in range(width)], DEVICE), width
        self.run.rehearse()

    def seconds(self, steps):
        """Seconds of all of them; they are judged one after the other."""
        lane = self.run.lanes[0]
        judged = timed(lambda: lane.predictor.scores(lane.params, lane.buffers, lane.data.valid), 1)
        return timed(self.run.rehearse, steps) * lane.course.num_steps + judged * EPOCHS * self.width


def one_of_several(task, rule, steps, rounds, barrier, told):
    torch.set_num_threads(1)
    alone = Alone(task, rule)
    for _ in range(rounds):
        barrier.wait()
        told.put(alone.seconds(steps))


def several(task, rule, steps, rounds):
    """Trials an hour of four processes that share the device, in each round."""
    spawned = multiprocessing.get_context("spawn")
    barrier, told = spawned.Barrier(PROCESSES), spawned.Queue()
    arguments = (task, rule, steps, rounds, barrier, told)
    workers = [spawned.Process(target=one_of_several, args=arguments) for _ in range(PROCESSES)]
    for worker in workers:
        worker.start()
    found = [told.get() for _ in range(PROCESSES * rounds)]
    for worker in workers:
        worker.join()
    rates = [3600 / seconds for seconds in found]
    return [sum(rates[start : start + PROCESSES]) for start in range(0, len(rates), PROCESSES)]


def memory():
    """The largest memory so far, in MB: of the GPU, or of this process."""
    if DEVICE.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def told(name, rates, base, note=""):
    ratios = sorted(rate / one for rate, one in zip(rates, base, strict=True))
    median = statistics.median(rates)
    print(
        f"  {name:16} {median:10.1f} an hour {statistics.median(ratios):7.2f} [{ratios[0]:.2f}, {ratios[-1]:.2f}]{note}"
    )


def measure(task, rule, widths, rounds, steps):
    print(f"{task}, {rule}: trials an hour; over one process: median [min, max] of {rounds} rounds")
    ways, notes = {"one process": Alone(task, rule)}, {"one process": ""}
    for width in widths:
        ways[f"fuse: {width}"] = Fused(task, rule, width)
        notes[f"fuse: {width}"] = f"  {memory():,.0f} MB at most so far"
    rates = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(
                3600 * way.width / way.seconds(max(1, steps // way.width) if DEVICE.type == "cpu" else steps)
            )
    for name, found in rates.items():
        told(name, found, rates["one process"], notes[name])
    told(f"{PROCESSES} processes", several(task, rule, steps, rounds), rates["one process"])


def profile(task, rule, width):
    """Print where one step of the widest group spends its time, operation by operation."""
    fused = Fused(task, rule, width).run
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if DEVICE.type == "cuda" else []
    with torch.profiler.profile(activities=activities) as seen:
        fused.rehearse()
        synchronised()
    print(seen.key_averages().table(sort_by=f"self_{DEVICE.type}_time_total", row_limit=12))


def main():
    asked = argparse.ArgumentParser()
    asked.add_argument("--task", nargs="+", default=["mnist_mlp", "mnist_lenet5", "fashion_mlp_norm"], choices=TASKS)
    asked.add_argument("--rule", nargs="+", default=list(RULES), choices=RULES)
    asked.add_argument("--width", nargs="+", type=int, default=[1, 8, 32, 128])
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--steps", type=int, default=100)
    asked.add_argument("--profile", action="store_true")
    given = asked.parse_args()
    torch.set_num_threads(1)
    print(torch.cuda.get_device_name() if DEVICE.type == "cuda" else "CPU, one thread a process", torch.__version__)
    for task in given.task:
        for rule in given.rule:
            measure(task, rule, given.width, given.rounds, given.steps)
            if given.profile:
                profile(task, rule, max(given.width))


if __name__ == "__main__":
    main()
