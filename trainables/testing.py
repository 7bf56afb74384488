"""Conformance suites: what every direction, scheme and task promises, for ours and for other people's.

Inherit a suite in a test module and say what it is about; pytest does the rest:

    class TestMine(SchemeSuite):
        @pytest.fixture
        def scheme(self):
            return MyScheme(lr=0.1)
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

from trainables.components import Component, floats, slots, with_floats
from trainables.data import Data, Split
from trainables.directions import Direction
from trainables.directions.sgd import SGD
from trainables.oracle import Objective, Oracle, Tensors
from trainables.rules import Composed
from trainables.run.loop import Run
from trainables.run.own_loop import OwnLoop
from trainables.schemes import Scheme
from trainables.seeds import generator
from trainables.tasks import Task
from trainables.training import Training
from trainables.trial import Trial

T = TypeVar("T")


def copied(tree: T) -> T:
    """The same nesting with its tensors cloned, to see later that nobody wrote into it."""
    return tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, tree)


def same(left: Any, right: Any) -> bool:
    """Compare two nestings bit for bit, NaN equal to itself.

    Args:
        left: any nesting of tensors and plain values
        right: likewise

    Returns:
        True where form, types, devices and values agree.
    """
    ours, our_shape = tree_flatten(left)
    theirs, their_shape = tree_flatten(right)
    return our_shape == their_shape and all(_same_leaf(a, b) for a, b in zip(ours, theirs, strict=True))


def _same_leaf(left: Any, right: Any) -> bool:
    if isinstance(left, Tensor):
        alike = left.dtype == right.dtype and left.device == right.device and left.shape == right.shape
        return alike and torch.allclose(left, right, rtol=0, atol=0, equal_nan=True)
    return left == right or (left != left and right != right)


def two_layers(dtype: torch.dtype = torch.float64) -> Tensors:
    """Parameters of a small network, named as modules name them."""
    shapes = {"0.weight": (3, 4), "0.bias": (3,), "2.weight": (2, 3), "2.bias": (2,)}
    draws = generator("two layers")
    return {name: torch.randn(shape, generator=draws, dtype=dtype) for name, shape in shapes.items()}


def bowl(step: int, dtype: torch.dtype = torch.float64) -> Objective:
    """The loss of a mini-batch of a convex problem, another one at every step.

    Args:
        step: which mini-batch
        dtype: of the parameters

    Returns:
        A function of the parameters of `two_layers`.
    """
    draws = generator("bowl", step)
    centre = {n: torch.randn(p.shape, generator=draws, dtype=dtype) for n, p in two_layers(dtype).items()}

    def objective(params: Tensors) -> Tensor:
        return torch.stack([(params[n] - 0.1 * c).square().sum() for n, c in centre.items()]).sum()

    return objective


def noisy_bowl(step: int, dtype: torch.dtype = torch.float64) -> Oracle:
    """The oracle of a mini-batch of `bowl`.

    Args:
        step: which mini-batch
        dtype: of the parameters
    """
    return Oracle(bowl(step, dtype))


def steps(rule: Composed, count: int, dtype: torch.dtype = torch.float64) -> tuple[Tensors, Any]:
    """Parameters and state of a rule after some steps down the noisy bowl.

    Args:
        rule: begins at `two_layers`
        count: how many steps
        dtype: of the parameters
    """
    params = two_layers(dtype)
    state = rule.init(params)
    for step in range(count):
        progress = torch.tensor(step / count, dtype=torch.float64)
        _, params, state = rule.step(noisy_bowl(step, dtype), params, state, progress)
    return params, state


def check_fields(component: Component) -> None:
    """Every field is a hyper-parameter with a default that it allows, and survives being written and read."""
    for slot in slots(type(component), component.flat()).values():
        assert slot.checked(slot.default) == slot.default, f"the default of {slot.key} is not allowed"
        if slot.domain is not None:
            assert slot.default in slot.domain, f"the default of {slot.key} is outside its domain"
    assert type(component).parse(component.flat()) == component


class DirectionSuite:
    """The promises of every direction. Provide the fixture `direction`."""

    @pytest.fixture
    def direction(self) -> Direction:
        """The direction under test."""
        raise NotImplementedError("override the fixture `direction`")

    def test_fields(self, direction: Direction) -> None:
        check_fields(direction)

    def test_is_pure_and_deterministic(self, direction: Direction) -> None:
        param, grad = two_layers()["0.weight"], two_layers()["0.weight"] / 2
        state = direction.init(param)
        for _ in range(3):
            before = copied((grad, state, param))
            first = direction.apply(grad, state, param)
            assert same(before, (grad, state, param))
            assert same(first, direction.apply(grad, state, param))
            _, state = first

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_keeps_shape_and_dtype(self, direction: Direction, dtype: torch.dtype) -> None:
        param = two_layers(dtype)["0.weight"]
        state = direction.init(param)
        for _ in range(2):
            moved, after = direction.apply(param / 2, state, param)
            assert (moved.shape, moved.dtype) == (param.shape, dtype)
            assert [(t.shape, t.dtype) for t in tree_flatten(after)[0]] == [
                (t.shape, t.dtype) for t in tree_flatten(state)[0]
            ]
            state = after

    def test_descends_where_it_says_so(self, direction: Direction) -> None:
        param = two_layers()["0.weight"]
        state = direction.init(param)
        for step in range(20):
            grad = torch.randn(param.shape, generator=generator("descends", step), dtype=param.dtype)
            moved, state = direction.apply(grad, state, param)
            assert not direction.descends or (grad * moved).sum() > 0

    def test_vmap_over_its_numbers_equals_the_loop(self, direction: Direction) -> None:
        check_vmap(Composed(direction=direction))


class SchemeSuite:
    """The promises of every scheme. Provide the fixture `scheme`, and `direction` where SGD does not fit."""

    @pytest.fixture
    def scheme(self) -> Scheme:
        """The scheme under test."""
        raise NotImplementedError("override the fixture `scheme`")

    @pytest.fixture
    def direction(self) -> Direction:
        """The direction it is tried on."""
        return SGD()

    def test_fields(self, scheme: Scheme) -> None:
        check_fields(scheme)

    def test_is_pure_and_deterministic(self, scheme: Scheme, direction: Direction) -> None:
        rule, params = Composed(direction=direction, scheme=scheme), two_layers()
        state = rule.init(params)
        for step in range(4):
            progress = torch.tensor(step / 4, dtype=torch.float64)
            before = copied((params, state))
            first = rule.step(noisy_bowl(step), params, state, progress)
            assert same(before, (params, state))
            assert same(first, rule.step(noisy_bowl(step), params, state, progress))
            state = rule.after_epoch(first.state, 0.5)
            assert same(state, rule.after_epoch(first.state, 0.5))
            params = first.params

    def test_keeps_the_structure_of_its_state(self, scheme: Scheme, direction: Direction) -> None:
        rule = Composed(direction=direction, scheme=scheme)
        for dtype in (torch.float32, torch.float64):
            params, after = steps(rule, 2, dtype)
            fresh, structure = tree_flatten(rule.init(params))
            leaves, structure_after = tree_flatten(rule.after_epoch(after, 0.5))
            assert structure == structure_after
            assert [(t.shape, t.dtype) for t in fresh] == [(t.shape, t.dtype) for t in leaves]
            assert all(param.dtype == dtype for param in params.values())

    def test_resumes_bit_for_bit(self, scheme: Scheme, direction: Direction) -> None:
        rule = Composed(direction=direction, scheme=scheme)
        check_resume({"task": "quadratic", "epochs": 3.0, **rule.flat()}, interrupt=6)

    def test_extras_are_scalars(self, scheme: Scheme, direction: Direction) -> None:
        rule = Composed(direction=direction, scheme=scheme)
        _, state = steps(rule, 2)
        assert all(value.numel() == 1 for value in rule.extras(state).values())

    def test_vmap_over_its_numbers_equals_the_loop(self, scheme: Scheme, direction: Direction) -> None:
        if scheme.vmaps:
            check_vmap(Composed(direction=direction, scheme=scheme))
        else:
            assert scheme.asks, "only oracle calls are a reason not to vmap"


class TaskSuite:
    """The promises of every task. Provide the fixture `task`."""

    @pytest.fixture
    def task(self) -> Task:
        """The task under test."""
        raise NotImplementedError("override the fixture `task`")

    def test_fields(self, task: Task) -> None:
        check_fields(task)

    def test_splits_are_disjoint_and_in_range(self, task: Task) -> None:
        data = task.splits()
        assert same(data, task.data()), "data() must return the same tensors at every call"
        if data.train.inputs is data.valid.inputs and data.train.rows is not data.valid.rows:
            assert not set(data.train.rows.tolist()) & set(data.valid.rows.tolist())

    def test_is_better_than_chance_after_a_little_training(self, task: Task) -> None:
        given = {"direction": "adam", "scheme.lr": 1e-3, "batch_size": 64, "epochs": 10.0, "record_every": 10.0}
        run = Run(Trial.parse({**_named(task), **given, "evaluate_test": "never"}))
        affordable = min(int(EFFORT / max(run.flops_per_example, 1.0)), 3000)
        if affordable < 500:
            pytest.skip(f"{affordable} examples are all that {EFFORT:.0e} operations pay for")
        record = cut(run, train=affordable // 10, others=500).epoch()
        assert not record.diverged
        assert record.flops >= 0
        if task.mode == "max":
            assert record.valid_score > task.chance
        else:
            assert record.valid_score < task.chance

    def test_learns_a_few_examples_by_heart(self, task: Task) -> None:
        given = {"direction": "adam", "scheme.lr": 2e-3, "batch_size": "full", "epochs": 6, "evaluate_test": "never"}
        run = cut(Run(Trial.parse({**_named(task), **given})), train=8, others=2)
        records = list(run)
        assert records[-1].train_loss < records[0].train_loss

    def test_resumes_bit_for_bit(self, task: Task) -> None:
        check_resume({**_named(task), "batch_size": 4, "epochs": 2.0, "scheme.lr": 1e-3}, interrupt=3, rows=8)


class TrainingSuite:
    """The promises of every loop of one's own. Provide the fixture `training`.

    `keys` are those of the trial besides, as in a study file: a rate at which it learns, a batch size. The loop runs
    a few times for two epochs each, so let it be a small one.
    """

    keys: ClassVar[Mapping[str, Any]] = {"scheme.lr": 1e-3, "batch_size": 32}

    @pytest.fixture
    def training(self) -> Training:
        """The training under test."""
        raise NotImplementedError("override the fixture `training`")

    def test_fields(self, training: Training) -> None:
        check_fields(training)

    def test_its_seed_decides_everything(self, training: Training) -> None:
        assert _told(self._run(training)) == _told(self._run(training)), "draw from global generators, or session.seed"
        assert _told(self._run(training)) != _told(self._run(training, seed=1)), "its seed changes nothing"

    def test_broken_off_between_two_epochs_it_ends_with_the_same_records(self, training: Training) -> None:
        whole, first, second = (self._run(training) for _ in range(3))
        first.epoch()
        state = copied(first.state_dict())
        first.close()
        second.load_state_dict(state)
        assert _told(second) == _told(whole), "keep all that changes in session.epochs(…=…); make loaders anew an epoch"

    def test_it_is_judged_inside_of_evaluating(self, training: Training) -> None:
        rule = {"rule": "packaged", "optimizer": "schedulefree_sgd"}
        run = self._run(training, rule)
        list(run)
        assert len(run.records) == 2

    def test_a_rate_far_too_large_ends_it_as_diverged_or_worthless_and_not_as_an_error(
        self, training: Training
    ) -> None:
        run = self._run(training, {"scheme.lr": 1e20})
        assert all(math.isfinite(record.valid_score) for record in run)

    def test_costs_grow_with_every_record(self, training: Training) -> None:
        records = list(self._run(training))
        assert 0 < records[0].passes < records[1].passes
        assert 0 < records[0].steps < records[1].steps
        assert 0 < records[0].seconds < records[1].seconds

    def _run(self, training: Training, keys: Mapping[str, Any] | None = None, seed: int = 0) -> OwnLoop:
        own = {key: value for key, value in Trial(task=training).flat().items() if key.split(".")[0] == "task"}
        given = {**self.keys, **(keys or {})}
        if "rule" in given:
            given = {key: value for key, value in given.items() if not key.startswith(("scheme", "direction", "decay"))}
        return OwnLoop(Trial.parse({**own, "epochs": 2, "seed": seed, **given}))


def _told(run: OwnLoop) -> list[str]:
    """All that a training tells but the wall clock, comparable where it is NaN."""
    list(run)
    return [str({**record.flat(), "seconds": 0}) for record in run.records]


EFFORT = 1e11
"""Floating-point operations that the gradients of one test may take: seconds on one thread."""


def cut(run: Run, train: int, others: int) -> Run:
    """The run, left with the first examples of its splits.

    Args:
        run: written into
        train: how many training examples are left
        others: how many of each other split

    Returns:
        The same run.
    """
    sizes = (train, others, others)
    run.data = Data(*(Split(s.inputs, s.targets, s.rows[:n]) for s, n in zip(run.data, sizes, strict=True)))
    return run


def check_vmap(rule: Composed) -> None:
    """`torch.vmap` over all real numbers of a rule gives what a loop over them gives, to rounding."""
    numbers = {key: torch.tensor([value, value * 0.5], dtype=torch.float64) for key, value in floats(rule).items()}
    params, raw, progress = two_layers(), two_layers(), torch.tensor(0.5, dtype=torch.float64)
    state, first_batch, second_batch = rule.init(params), noisy_bowl(0), noisy_bowl(1)

    def twice(values: Tensors) -> Tensors:
        varied = with_floats(rule, values)
        first, after = varied.update(raw, params, state, progress, first_batch)
        return varied.update(raw, first, after, progress, second_batch)[0]

    batched = torch.vmap(twice)(numbers)
    for row in range(2):
        alone = twice({key: values[row] for key, values in numbers.items()})
        for name, param in alone.items():
            torch.testing.assert_close(batched[name][row], param, rtol=1e-12, atol=1e-12)


def check_resume(flat: dict[str, Any], interrupt: int, rows: int | None = None) -> None:
    """A run that is stopped and continued elsewhere ends with the same bits as one left alone.

    Args:
        flat: the trial
        interrupt: after how many steps it is stopped
        rows: how many examples of each split are left, where all of them would take long; None: all

    Raises:
        AssertionError: where a parameter, buffer, state or record differs
    """
    trial = Trial.parse(flat)
    whole, first, second = Run(trial), Run(trial), Run(trial)
    if rows is not None:
        for run in (whole, first, second):
            cut(run, rows, rows)
    for _ in whole:
        pass
    while first.steps < interrupt:
        _one_step(first)
    second.load_state_dict(copied(first.state_dict()))
    for _ in second:
        pass
    assert same(whole.params, second.params)
    assert same(whole.buffers, second.buffers)
    assert same(*(trial.rule.save(run.rule_state) for run in (whole, second)))
    assert same(_logical(whole), _logical(second))


def _one_step(run: Run) -> None:
    run.step()
    if run.steps == run.next_record:
        run.epoch()


def _logical(run: Run) -> list[dict[str, float]]:
    return [{key: value for key, value in record.flat().items() if key != "seconds"} for record in run.records]


def _named(task: Task) -> dict[str, Any]:
    return {key: value for key, value in Trial(task=task).flat().items() if key == "task" or key.startswith("task.")}
