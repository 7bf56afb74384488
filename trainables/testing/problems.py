"""A small convex problem, nestings compared bit for bit, and trainings that are cut short or broken off."""

from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

from trainables.data import Data, Split
from trainables.oracle import Objective, Oracle, Tensors
from trainables.rules import Composed
from trainables.run.course import Course
from trainables.run.loop import Run
from trainables.seeds import generator
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
    run.course = Course(run.trial, run.data.train)
    return run


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
