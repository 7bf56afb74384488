"""Time that a session or a callback adds to a loop of the user's: the same optimizer on both sides, one thread.

    LR_STUDY_DATA=… uv run python tests/benchmarks/session.py [rounds]

An epoch of `mnist_mlp` over tensors, plain and inside of a `Training`, and of our own `Run`; an epoch of Hugging Face's
`Trainer` with and without the callback; a report. Interleaved; median [min, max] of the ratios of each round.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from trainables.directions.momentum import Momentum
from trainables.optimizer import SchemeOptimizer
from trainables.rules import Composed
from trainables.run.loop import Run
from trainables.run.own_loop import OwnLoop
from trainables.schemes.fixed import Fixed
from trainables.tasks.mnist_mlp import MnistMLP
from trainables.training import Training
from trainables.trial import Trial

TASK = MnistMLP()
DATA = TASK.data().train
RULE = Composed(direction=Momentum(), scheme=Fixed(lr=0.01))
BATCH, ROWS = 128, 12_800


def epoch(model, optimizer):
    for rows in DATA.rows[:ROWS].split(BATCH):
        optimizer.zero_grad()
        outputs = model(TASK.prepare(DATA.inputs[rows]))
        functional.cross_entropy(outputs, DATA.targets[rows]).backward()
        optimizer.step()


@dataclass(frozen=True)
class Loop(Training):
    metric, mode, chance = "accuracy", "max", 0.1

    def train(self, session):
        model = TASK.model()
        optimizer = session.optimizer(model, steps_per_epoch=ROWS // BATCH)
        for _ in session.epochs(model=model, optimizer=optimizer):
            epoch(model, optimizer)
            session.report(0.5)


@dataclass(frozen=True)
class Nothing(Training):
    metric, mode, chance = "accuracy", "max", 0.1

    def train(self, session):
        weight = torch.nn.Parameter(torch.zeros(()))
        optimizer = session.optimizer([weight])
        weight.grad = torch.zeros(())
        for _ in session.epochs():
            optimizer.step()
            session.report(0.5)


def timed(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def plain_epochs():
    model = TASK.model()
    optimizer = SchemeOptimizer(model, RULE.scheme, RULE.direction)
    while True:
        yield timed(lambda: epoch(model, optimizer))


def session_epochs(task, **given):
    run = OwnLoop(Trial(task=task, rule=RULE, epochs=1e6, **given))
    while True:
        yield timed(run.epoch)


def our_epochs():
    run = Run(Trial(task=TASK, rule=RULE, batch_size=BATCH, epochs=1e6, evaluate_test="never"))
    while True:
        yield timed(lambda: [run.step() for _ in range(ROWS // BATCH)])


def hugging_face_epochs(reports):
    """The times of single epochs of a `Trainer`, without evaluation's own: from one epoch's begin to its end."""
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback

    from trainables.integrations.hugging_face import Reporting, arguments, optimizers

    texts = [{"input_ids": torch.randint(100, (32,)), "labels": torch.tensor(i % 2)} for i in range(256)]
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    spent = []

    class Clock(TrainerCallback):
        def on_epoch_begin(self, *args, **parts):
            self.began = time.perf_counter()

        def on_epoch_end(self, *args, **parts):
            spent.append(time.perf_counter() - self.began)

    def loop(session):
        model = BertForSequenceClassification(BertConfig(vocab_size=100, **sizes))
        optimizer = session.optimizer(model) if reports else SchemeOptimizer(model, RULE.scheme, RULE.direction)
        given = {"save_strategy": "no", "logging_strategy": "no", "eval_strategy": "epoch" if reports else "no"}
        Trainer(
            model,
            arguments(session, **given),
            train_dataset=texts,
            eval_dataset=texts[:8],
            compute_metrics=lambda of: {"accuracy": 0.5},
            optimizers=optimizers(optimizer),
            callbacks=[Clock(), *([Reporting(session, "eval_accuracy")] if reports else [])],
        ).train()

    @dataclass(frozen=True)
    class Tuned(Training):
        metric, mode, chance = "accuracy", "max", 0.5

        def train(self, session):
            loop(session)

    run = OwnLoop(Trial(task=Tuned(), rule=RULE, batch_size=16, epochs=6), folder=Path(tempfile.mkdtemp()))
    try:
        list(run)
    except ValueError:  # without reports a training is none; it has trained all the same
        if reports:
            raise
    return spent[1:]


def told(name, above, below):
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    print(f"{name:58} {statistics.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]", flush=True)


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    torch.set_num_threads(1)
    sides = {"plain": plain_epochs(), "session": session_epochs(Loop(), batch_size=BATCH), "ours": our_epochs()}
    spent = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, times in sides.items():
            seconds = next(times)
            if turn:  # the first warms up
                spent[name].append(seconds)
    told("an epoch inside of a session over a plain loop", spent["session"], spent["plain"])
    told("an epoch of Run over a plain loop", spent["ours"], spent["plain"])
    reports = session_epochs(Nothing())
    each = statistics.median([next(reports) for _ in range(2000)][100:])
    print(f"{'a step of nothing and a report, taken':58} {1e3 * each:.3f} ms")
    with_callback, without = [], []
    for _ in range(3):
        with_callback += hugging_face_epochs(reports=True)
        without += hugging_face_epochs(reports=False)
    told("an epoch of Trainer with our callback over one without", with_callback, without)


if __name__ == "__main__":
    main()
