"""One training, resumable at any step: seeds, batches, evaluation, divergence, timing."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from trainables.components import name_of
from trainables.data import Data, Split, Tree, detached, first, picked
from trainables.minibatch import FORWARD, Minibatch, Objective, Tensors
from trainables.oracle import Oracle
from trainables.plugins import untrusted
from trainables.refusal import Refusal
from trainables.run import artifacts
from trainables.run import scale_invariance as spheres
from trainables.run.course import Batch, Course
from trainables.run.flops import Flops
from trainables.run.memory import keep_freed_memory
from trainables.run.names import check_name
from trainables.run.predictor import Predictor, Scores
from trainables.run.stopping import Rung, best_score, stopped_at
from trainables.seeds import seed_all, seed_globally, seed_of, seeded
from trainables.tasks import Task
from trainables.trial import Record, Trial, finite_or_nan
from trainables.updates.flat import owned

CHECK_EVERY = 16  # steps between two looks at the loss for divergence: a fixed number, so that costs are exact
REFRESH_BATCHES = 50  # what the authors of schedule-free optimizers advise for BatchNorm's statistics


class Totals(NamedTuple):
    """The sums since the last record, on the device, over examples."""

    loss: Tensor
    score: Tensor
    examples: int


class Run:
    """The training that a `Trial` describes, one `Record` at a time.

    Everything random comes from the trial's seed and the place in the training, so the state is only what
    `state_dict()` holds: a run continued from it gives the same bits as one never interrupted. Where `bars` are given,
    it ends after the record at which its validation score has fallen short of one.

    >>> run = Run(Trial.parse({"task": "quadratic", "batch_size": "full", "scheme.lr": 1.0, "epochs": 2}))
    >>> [record.epoch for record in run]
    [1.0, 2.0]
    """

    def __init__(
        self, trial: Trial, device: str | torch.device = "cpu", bars: Sequence[Rung] = (), data: Data | None = None
    ) -> None:
        """Begin at the start of the training.

        Args:
            trial: by our loop.
            device: of data and parameters.
            bars: what it must reach to go on.
            data: of the trial's task, where it lies on the device already.
        """
        keep_freed_memory()
        self.trial, self.device, self.bars = trial, torch.device(device), tuple(bars)
        self.task = our_task(trial)
        self._of_others = not type(self.task).__module__.startswith("trainables.")
        self.data = _on_device(self.task.splits(), self.device) if data is None else data
        self.course = Course(trial, self.data.train)
        self.predictor = Predictor(self.task, trial.precision, self.device, seed_of(trial.seed, "init"))
        self.params, self.buffers = self.predictor.start()
        self.rule_state = self._owned(trial.rule.begin(self.params, self.predictor.model))
        self._step = trial.rule.compiled() if trial.compile else trial.rule.step
        self.steps, self.passes, self.example_passes, self.seconds = 0, 0.0, 0.0, 0.0
        self.diverged = self.stopped = False
        self.records: list[Record] = []
        self._best: tuple[float, Tensors, Tensors] | None = None
        self.totals = self._nothing()
        self._kept = artifacts.Kept([], {}, 0)
        self._turned = spheres.still(self._scale_invariant(), self.device) if trial.scale_invariance else None

    @property
    def next_record(self) -> int:
        """The number of steps at which the next record is due."""
        return self.course.due(len(self.records))

    @property
    def finished(self) -> bool:
        """True where there is nothing left to do."""
        return self.diverged or self.stopped or self.steps >= self.course.num_steps

    @property
    def best_score(self) -> float:
        """The best validation score so far; the task's chance level where there is none, or the run diverged."""
        if self._best is None or self.diverged:
            return self.task.chance
        return self._best[0]

    def __iter__(self) -> Iterator[Record]:
        while not self.finished:
            yield self.epoch()

    # --- training ------------------------------------------------------------------------------------

    def epoch(self) -> Record:
        """Train up to the next record, evaluate, and return the record."""
        last = self.next_record
        started = time.perf_counter()
        with seeded(self.device, 0):
            while self.steps < last and not self.diverged:
                self.step()
        self.seconds += time.perf_counter() - started
        return self.evaluate()

    def evaluate(self) -> Record:
        """Make the record of this moment, and begin the sums of the next one."""
        with self._seeded_evaluation():
            self.records.append(self._record())
        self.totals = self._nothing()
        return self.records[-1]

    def rehearse(self) -> None:
        """Make one step, to see that nothing of the trial is broken."""
        self.step()
        self._told_by_the_rule()

    def step(self) -> None:
        """One step of the rule on the next mini-batch, or on as many as it accumulates."""
        batches = self.course.batches(self.steps)
        outputs: list[list[Tree]] = [[] for _ in batches]
        minibatches = list(map(self._minibatch, batches, outputs, range(len(batches))))
        size = sum(batch.size for batch in batches)
        oracle = Oracle.over(minibatches, [batch.size / size for batch in batches], self.trial.gradient_clip)
        progress = torch.tensor(self.steps / self.course.num_steps, dtype=torch.float64)
        before = self.params if self._turned is None else self._owned(self.params)
        loss, self.params, self.rule_state = self._step(oracle, self.params, self.rule_state, progress)
        if self._turned is not None:
            self._turned = spheres.turned(self._turned, before, self.params)
        score = self.totals.score
        for batch, (predicted,) in zip(batches, outputs, strict=True):
            score = score + batch.size * self.score(predicted, batch.targets)
        self.totals = Totals(self.totals.loss + size * loss, score, self.totals.examples + size)
        self.steps += 1
        self.passes += oracle.passes
        self.example_passes += sum(each.passes * batch.size for each, batch in zip(minibatches, batches, strict=True))
        if self.steps % CHECK_EVERY == 0 or self.steps == self.next_record:
            self.diverged = not bool(torch.isfinite(self.totals.loss))

    def score(self, outputs: Tree, targets: Tree) -> Tensor | float:
        """The score of a mini-batch: none where the task asks for that of a whole split, of which it is no part.

        Args:
            outputs: of the network
            targets: of the batch
        """
        return math.nan if self.task.whole_split else self.task.score(outputs, targets)

    def _minibatch(self, batch: Batch, outputs: list[Tree], place: int) -> Minibatch:
        """The batch as the oracle takes it; `place` is its own among those of one step."""

        def part(share: float) -> Objective:
            some = math.ceil(share * batch.size)
            return self.objective(first(batch.inputs, some), first(batch.targets, some), outputs, place)

        return Minibatch(self.objective(batch.inputs, batch.targets, outputs, place), part)

    def objective(self, inputs: Tree, targets: Tree, outputs: list[Tree] | None = None, place: int = 0) -> Objective:
        """The loss of a batch of the next step; only its first call moves the buffers and leaves its outputs behind.

        Args:
            inputs: as stored
            targets: one an example
            outputs: empty, takes those of the network; None, or where some are there already, nothing is moved or left
            place: of the mini-batch among those of the step
        """
        noise = self.course.noise(self.steps, place)
        before: list[Tensors] = []  # the buffers that the mini-batch before it leaves, once it has been asked

        def objective(params: Tensors) -> Tensor:
            if not before:
                before.append(self.buffers)
            buffers = {name: buffer.clone() for name, buffer in before[0].items()}
            predicted = self._predicted(params, buffers, inputs, noise)
            if outputs is not None and not outputs:
                self.buffers = buffers
                outputs.append(detached(predicted))
            return self.task.loss(predicted, targets)

        return objective

    def _predicted(self, params: Tensors, buffers: Tensors, inputs: Tree, noise: int) -> Tree:
        """The outputs of the network in training; `buffers` are written into."""
        # The global generators, because other people's modules (nn.Dropout) draw from no other;
        # `epoch` gives the caller's back. Seeded anew, every call sees the same noise.
        self.seed_step(noise)
        own = tree_map_only(Tensor, torch.clone, inputs) if self._of_others else inputs  # they may write into it
        return self.predictor(params, buffers, self.task.augment(own))

    def seed_step(self, noise: int) -> None:
        """Seed the generators that a step draws from: Python's and numpy's too where the task is other people's."""
        (seed_all if self._of_others else seed_globally)(self.device, noise)

    # --- the record ----------------------------------------------------------------------------------

    def _record(self) -> Record:
        task, totals = self.task, self.totals
        params = self.trial.rule.evaluated(self.params, self.rule_state)
        buffers = self._buffers_of(params)
        labels: list[Tensor] | None = [] if self.trial.artifacts else None
        valid = self.predictor.scores(params, buffers, self.data.valid, labels)
        if labels is not None:
            self._kept = artifacts.kept(self._kept, labels, params, late=2 * self.steps > self.course.num_steps)
        self.diverged = self.diverged or not (math.isfinite(valid.loss) or not len(self.data.valid))
        if self.diverged:
            valid = Scores(math.nan, task.chance)
        elif len(self.data.valid):
            self._keep_best(valid.score, params, buffers)
            self.rule_state = self.trial.rule.after_epoch(self.rule_state, self._sign * valid.score)
            self.stopped = self._falls_short([*(record.valid_score for record in self.records), valid.score])
        extras = self._told_by_the_rule()
        if self._turned is not None:
            extras |= spheres.extras(self._turned, self.params, self.trial.rule, extras["lr"])
            self._turned = spheres.still(self._turned.squares, self.device)
        return Record(
            epoch=self.steps / self.course.steps_per_epoch,
            train_loss=finite_or_nan(totals.loss / totals.examples),
            train_score=finite_or_nan(totals.score / totals.examples),
            valid_loss=valid.loss,
            valid_score=valid.score,
            lr=finite_or_nan(extras.pop("lr")),
            passes=self.passes,
            flops=self.flops_per_example * self.example_passes,
            steps=self.steps,
            seconds=self.seconds,
            diverged=self.diverged,
            extras=extras | self._tested(params, buffers),
        )

    def _told_by_the_rule(self) -> dict[str, float]:
        """The rate, and what the rule adds to a record, under names that a record can have."""
        extras = {name: float(value) for name, value in self.trial.rule.extras(self.rule_state).items()}
        for name in extras:
            if name != "lr":
                check_name(name, "a rule's extras")
        return extras

    @property
    def _sign(self) -> int:
        """The sign that turns scores into higher is better."""
        return 1 if self.task.mode == "max" else -1

    def _falls_short(self, scores: Sequence[float]) -> bool:
        """True where the validation scores so far end the training before its last step."""
        signed = [self._sign * score for score in scores]
        return self.steps < self.course.num_steps and stopped_at(self.bars, signed) is not None

    def _scale_invariant(self) -> list[str]:
        """The scale-invariant parameters at the start, found on the first batch."""
        inputs, targets, _ = self.course.batches(self.steps)[0]
        with seeded(self.device, 0):
            return spheres.invariant(self.objective(inputs, targets), self.params)

    def _keep_best(self, score: float, params: Tensors, buffers: Tensors) -> None:
        before = [] if self._best is None else [self._best[0]]
        if score == score and best_score([score, *before], self.task.mode) not in before:  # a NaN is no score
            self._best = (score, self._owned(params), buffers)

    def _owned(self, state: Any) -> Any:
        """The same tensors where nobody else writes: a compiled step writes over what it is given."""
        return tree_map_only(Tensor, torch.clone, state) if self.trial.compile else state

    def _tested(self, params: Tensors, buffers: Tensors) -> dict[str, float]:
        """The test scores: of the best parameters at the end, or of the present ones at every record."""
        when = self.trial.evaluate_test
        if when == "never" or (when == "end" and not self.finished):
            return {}
        if when == "end" and self._best:
            _, params, buffers = self._best
        elif self.diverged:
            return {"test_loss": math.nan, "test_score": self.task.chance}
        test = self.predictor.scores(params, buffers, self.data.test)
        return {"test_loss": test.loss, "test_score": test.score}

    def _buffers_of(self, params: Tensors) -> Tensors:
        """The buffers to evaluate with: where `params` are not those trained with, BatchNorm's are averaged anew.

        The batches are drawn for this purpose; each is charged as the forward pass that it is.
        """
        if params is self.params or not self.predictor.norms or self.diverged:
            return self.buffers
        batches = self.course.refreshing(self.steps, REFRESH_BATCHES)
        self.passes += FORWARD * len(batches)
        self.example_passes += FORWARD * sum(map(len, batches))
        inputs = (picked(self.data.train.inputs, batch) for batch in batches)
        noise = seed_of(self.trial.seed, "refresh noise", self.steps)
        return self.predictor.refreshed(params, self.buffers, inputs, noise)

    def scored(self, params: Tensors) -> Scores:
        """Validation loss and score of any parameters, BatchNorm's statistics averaged anew for them."""
        with self._seeded_evaluation():
            return self.predictor.scores(params, self._buffers_of(params), self.data.valid)

    def _seeded_evaluation(self) -> AbstractContextManager[None]:
        """The generators as an evaluation at this step finds them: a network may draw there too."""
        return seeded(self.device, seed_of(self.trial.seed, "evaluation", self.steps))

    def artifacts(self) -> Tensors:
        """The arrays that a trial with `artifacts: true` leaves behind (trainables/run/artifacts.py)."""
        return artifacts.named(self._kept, self.trial.rule.evaluated(self.params, self.rule_state))

    @cached_property
    def flops_per_example(self) -> float:
        """Floating-point operations of one gradient, an example, counted as it starts, wherever it goes on."""
        inputs, targets, size = self.course.first()
        params, buffers = self.predictor.start()

        def objective(params: Tensors) -> Tensor:
            return self.task.loss(self._predicted(params, buffers, inputs, self.course.noise(0, 0)), targets)

        with Flops() as counted, seeded(self.device, 0):
            Oracle(objective).gradient(params)
        return counted.total / size

    def _nothing(self) -> Totals:
        zero = torch.zeros((), dtype=torch.float64, device=self.device)
        return Totals(zero, zero, 0)

    # --- the state -----------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and texts only: `torch.save` it, and read it with `weights_only=True`."""
        state = {
            "trial": untrusted(self.trial.flat()),
            "params": self.params,
            "buffers": self.buffers,
            "rule": self.trial.rule.save(self.rule_state),
            "totals": list(self.totals),
            "turned": None if self._turned is None else list(self._turned),
            "kept": list(self._kept),
            "best": None if self._best is None else list(self._best),
            "counts": [self.steps, self.passes, self.example_passes, self.seconds, self.diverged],
            "records": [record.flat() for record in self.records],
        }
        return tree_map_only(Tensor, owned, state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, which must be of the same trial."""
        if state["trial"] != self.trial.flat():
            raise ValueError(f"the state is of another trial: {state['trial']} instead of {self.trial.flat()}")
        self.params, self.buffers = self._owned(self._here(state["params"])), self._here(state["buffers"])
        self.rule_state = self._owned(self.trial.rule.load(self.params, state["rule"]))
        loss, score, examples = state["totals"]
        self.totals = Totals(loss.to(self.device), score.to(self.device), examples)
        if self._turned is not None:
            squares, steps = state["turned"]
            self._turned = spheres.Turned(self._here(squares), steps)
        labels, mean, count = state["kept"]
        self._kept = artifacts.Kept(labels, self._here(mean), count)
        if state["best"]:
            score, params, buffers = state["best"]
            self._best = (score, self._here(params), self._here(buffers))
        self.steps, self.passes, self.example_passes, self.seconds, self.diverged = state["counts"]
        self.records = [Record.parse(record) for record in state["records"]]
        self.stopped = self._falls_short([record.valid_score for record in self.records]) and not self.diverged

    def _here(self, tensors: Tensors) -> Tensors:
        return {name: tensor.to(self.device) for name, tensor in tensors.items()}


def our_task(trial: Trial) -> Task:
    """The task of a trial that our loop trains; a loop of the user's is refused."""
    if not isinstance(trial.task, Task):
        raise Refusal(f"{name_of(type(trial.task))} has a loop of its own: this needs a task that ours trains")
    return trial.task


def _on_device(data: Data, device: torch.device) -> Data:
    return Data(*(Split(*tree_map_only(Tensor, lambda leaf: leaf.to(device), tuple(split))) for split in data))
