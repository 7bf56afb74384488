"""Trainings of equal shapes as one program, a lane each; every one of them ends as it would have by itself."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from trainables.components import floats, name_of
from trainables.data import Data, Tree
from trainables.oracle import Oracle, Tensors, inner
from trainables.refusal import Refusal, first_line
from trainables.run.capture import captured
from trainables.run.drawing import Drawing
from trainables.run.lanes import Gradient, Lanes, State, row, stacked
from trainables.run.loop import CHECK_EVERY, Run, Totals, our_task
from trainables.run.stopping import Rung
from trainables.seeds import seeded
from trainables.trial import Trial

TOLERANCE = {"float64": 1e-9, "float32": 1e-3, "bfloat16": 0.1}  # of a gradient, in shares of its length
IN_DOUBLE = 1e-6  # of one in double precision, of a loss that may cast
ERRORS = RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError  # of a network that does not fuse


class FusedRun:
    """The trainings that several trials describe: their steps are made together, all else by a `Run` of each.

    A lane that has ended goes on with the others and is not looked at: its place is never given away, because another
    width of the program rounds otherwise. At the beginning every lane's first gradient is held against that of its
    `Run`: a network or loss that does not fuse is refused.

    >>> given = {"task": "quadratic", "batch_size": "full", "epochs": 2}
    >>> fused = FusedRun([Trial.parse({**given, "scheme.lr": lr}) for lr in (0.5, 1.0)])
    >>> while not fused.finished:
    ...     fused.epoch()
    >>> [[record.epoch for record in lane.records] for lane in fused.lanes]
    [[1.0, 2.0], [1.0, 2.0]]
    """

    def __init__(
        self, trials: Sequence[Trial], device: str | torch.device = "cpu", bars: Sequence[Sequence[Rung]] = ()
    ) -> None:
        """Begin at the start of all trainings.

        Args:
            trials: one a lane, which differ in real numbers and seeds alone.
            device: of data and parameters.
            bars: what each must reach to go on; none where nothing is given.

        Raises:
            Refusal: in one line, where they cannot be trained together.
        """
        _refuse_unlike(trials)
        self.device = torch.device(device)
        every = list(bars) or [()] * len(trials)
        first = Run(trials[0], device, every[0])
        data = [first.data, *(_shared(first, trial) for trial in trials[1:])]
        others = zip(trials[1:], every[1:], data[1:], strict=True)
        self.lanes = (first, *(Run(trial, device, its, same) for trial, its, same in others))
        self.steps = 0
        self._drawing, self._program = Drawing(self.lanes), Lanes(self.lanes)
        self._step = captured(self._program.step, self.device)
        self._state = self._gathered()
        self._refuse_other_gradients()

    @property
    def finished(self) -> bool:
        """True where no lane has anything left to do."""
        return not self._living

    @property
    def _living(self) -> list[Run]:
        return [lane for lane in self.lanes if not lane.finished]

    # --- training ------------------------------------------------------------------------------------

    def epoch(self) -> None:
        """Train up to the next record of any lane; every lane that is due makes its own."""
        living, started = self._living, time.perf_counter()
        last, passes, examples = min(lane.next_record for lane in living), 0, 0
        with seeded(self.device, 0):
            while self.steps < last and not any(lane.diverged for lane in living):
                batches = self._drawing.batches(self.steps)
                self._state = self._step(self._state, batches, self._progress())
                self.steps += 1
                passes += len(batches)
                examples += sum(batch.size for batch in batches)
                self._look(living)
        seconds = time.perf_counter() - started
        for lane in living:
            due = lane.diverged or lane.next_record == self.steps
            lane.steps, lane.seconds = self.steps, lane.seconds + seconds / len(living)
            lane.passes, lane.example_passes = lane.passes + passes, lane.example_passes + examples
            lane.totals = lane.totals._replace(examples=lane.totals.examples + examples)
            if due:
                self._evaluate(lane)

    def rehearse(self) -> None:
        """Make one step of every lane, to see that nothing is broken."""
        with seeded(self.device, 0):
            self._state = self._step(self._state, self._drawing.batches(self.steps), self._progress())

    def gradients(self) -> Callable[[], object]:
        """One forward and backward of the next step's mini-batches in every lane, without an update; nothing changes.

        Returns:
            A function that computes them; the mini-batches have been drawn.
        """
        batches, state = self._drawing.batches(self.steps), self._state
        return lambda: [self._program.gradient(state.params, state.buffers, each) for each in batches]

    def _progress(self) -> Tensor:
        shares = [min(self.steps / lane.course.num_steps, 1.0) for lane in self.lanes]
        return torch.tensor(shares, dtype=torch.float64, device=self.device)

    def _look(self, living: Sequence[Run]) -> None:
        """See which lanes have diverged, at the steps at which each would have looked by itself."""
        looking = [lane for lane in living if self.steps % CHECK_EVERY == 0 or self.steps == lane.next_record]
        if looking:
            finite = dict(zip(self.lanes, torch.isfinite(self._state.loss).tolist(), strict=True))
            for lane in looking:
                lane.diverged = not finite[lane]

    # --- between the program and the runs ------------------------------------------------------------

    def _evaluate(self, lane: Run) -> None:
        """Let a lane's run make its record, and go on with the state of the rule that it leaves."""
        place = self.lanes.index(lane)
        self._hand_out(lane)
        lane.__dict__.setdefault("flops_per_example", self.lanes[0].flops_per_example)  # of equal shapes: counted once
        before = tree_flatten(lane.rule_state)[0]
        lane.evaluate()
        whole, form = tree_flatten(self._state.rule)
        after = tree_flatten(lane.rule_state)[0]
        changed = zip(whole, before, after, strict=True)
        rule = [every if new is old else _with_row(every, place, new) for every, old, new in changed]
        sums = (_with_row(every, place, every.new_zeros(())) for every in (self._state.loss, self._state.score))
        self._state = State(self._state.params, self._state.buffers, tree_unflatten(rule, form), *sums)

    def _hand_out(self, lane: Run) -> None:
        """Give a lane's run its state."""
        own: State = row(self._state, self.lanes.index(lane))
        lane.params, lane.buffers, lane.rule_state = own.params, own.buffers, own.rule
        lane.totals = Totals(own.loss, own.score, lane.totals.examples)

    def _gathered(self) -> State:
        """The state of all runs, side by side."""
        lanes = self.lanes
        every = [State(run.params, run.buffers, run.rule_state, run.totals.loss, run.totals.score) for run in lanes]
        return stacked(every, self.device)

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and texts only, as of a `Run`."""
        for lane in self._living:
            self._hand_out(lane)
        return {"steps": self.steps, "lanes": [lane.state_dict() for lane in self.lanes]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, which must be of the same trials in the same lanes."""
        if len(state["lanes"]) != len(self.lanes):
            raise ValueError(f"the state is of {len(state['lanes'])} lanes instead of {len(self.lanes)}")
        for lane, own in zip(self.lanes, state["lanes"], strict=True):
            lane.load_state_dict(own)
        self.steps = state["steps"]
        self._state = self._gathered()

    # --- what does not fuse --------------------------------------------------------------------------

    def _refuse_other_gradients(self) -> None:
        """Refuse a network or loss whose gradient in a lane is another than by itself.

        Where tasks differ in a number, in double precision too: one that changes little at the start may decide the
        end. A network that does not compute in it is held to its own precision alone.
        """
        task, precision = name_of(type(self.lanes[0].task)), self.lanes[0].trial.precision
        try:
            fused = self._program.gradient(self._state.params, self._state.buffers, self._drawing.first())
        except torch.OutOfMemoryError:
            raise
        except ERRORS as error:
            raise Refusal(f"task {task!r} does not fuse: {shorten(first_line(error), 160, placeholder='…')}") from error
        size = self._drawing.first().size
        # Where two logits are all but equal, a label or two may flip.
        alone = [_first_step(lane) for lane in self.lanes]
        _refuse_apart(task, alone, fused, TOLERANCE[precision], 0.0 if precision == "float64" else 2 / size)
        doubled = None
        if precision != "float64" and any(lane.task != self.lanes[0].task for lane in self.lanes):
            with suppress(*ERRORS, torch.OutOfMemoryError):
                doubled = _in_double(self.lanes)
        if doubled is not None:
            _refuse_apart(task, *doubled, IN_DOUBLE, 2 / size)


def _refuse_apart(task: str, alone: Sequence[Gradient], fused: Gradient, tolerance: float, flips: float) -> None:
    """Refuse lanes of which one has another first gradient, loss, statistic or score than by itself.

    Args:
        task: its name.
        alone: what each lane has by itself.
        fused: what they have together.
        tolerance: in shares of the length of what is compared.
        flips: by how much a score may differ besides.
    """
    for place, own in enumerate(alone):
        for (what, ours), theirs in zip(_parts(own).items(), _parts(row(fused, place)).values(), strict=True):
            apart = inner(*[{name: theirs[name] - value for name, value in ours.items()}] * 2).sqrt()
            if apart > tolerance * inner(ours, ours).sqrt() + (flips if what == "score" else 0.0):
                raise Refusal(
                    f"task {task!r} does not fuse: lane {place} has another {what} than by itself; a number that its "
                    "network, loss or score depends on must not differ between trials"
                )


def _in_double(lanes: Sequence[Run]) -> tuple[list[Gradient], Gradient]:
    """The first gradients of the same lanes in double precision, on the same data: of each by itself, and together."""
    made = tuple(Run(replace(lane.trial, precision="float64"), lane.device, (), lane.data) for lane in lanes)
    every = [State(run.params, run.buffers, run.rule_state, run.totals.loss, run.totals.score) for run in made]
    state = stacked(every, made[0].device)
    fused = Lanes(made).gradient(state.params, state.buffers, Drawing(made).first())
    return [_first_step(lane) for lane in made], fused


def _refuse_unlike(trials: Sequence[Trial]) -> None:
    """Refuse trials that differ in anything but real numbers and seeds."""
    shapes = [{key: v for key, v in trial.flat().items() if key not in floats(trial)} for trial in trials]
    for shape in shapes[1:]:
        for key, value in shapes[0].items():
            if key != "seed" and shape.get(key, value) != value:
                raise Refusal(f"trials of one group must have the same {key}, got {value!r} and {shape[key]!r}")


def _shared(first: Run, trial: Trial) -> Data:
    """The data of the first lane, where they are those of another trial."""
    if trial.task != first.task:
        ours, theirs = (tree_flatten(our_task(each).splits())[0] for each in (first.trial, trial))
        if not all(one is other for one, other in zip(ours, theirs, strict=True)):
            raise Refusal(f"task {name_of(type(first.task))!r} does not fuse: its trials have other data")
    return first.data


def _first_step(lane: Run) -> Gradient:
    """The gradient at the start by the lane's own run, on the first mini-batch of the training data."""
    inputs, targets, _ = lane.course.first()
    outputs, before = list[Tree](), lane.buffers
    with seeded(lane.device, 0):
        loss, raw = Oracle(lane.objective(inputs, targets, outputs)).gradient(lane.params)
    after, lane.buffers = lane.buffers, before
    return Gradient(raw, loss, after, torch.as_tensor(lane.score(outputs[0], targets)))


def _parts(found: Gradient) -> dict[str, Tensors]:
    """The parts in which two lanes are compared, by name; statistics that count are none."""
    statistics = {name: buffer for name, buffer in found.buffers.items() if buffer.is_floating_point()}
    parts = {"gradient": found.raw, "loss": {"": found.loss}, "statistic": statistics, "score": {"": found.score}}
    return {what: {name: each.detach().double() for name, each in part.items()} for what, part in parts.items() if part}


def _with_row(every: Tensor, place: int, value: Tensor) -> Tensor:
    """A copy with another row."""
    copy = every.clone()
    copy[place] = value
    return copy
