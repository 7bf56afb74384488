"""Data: the splits that a task trains and is judged on; datasets, networks and augmentations beside them."""

from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map_only

from trainables.refusal import Refusal

Tree: TypeAlias = Any
"""A tensor, or any nesting of tuples, lists and dicts of tensors: what `torch.utils._pytree` opens, model outputs of
other people's packages among it."""


class Split(NamedTuple):
    """Rows of a data set: those of `inputs` and `targets` that `rows` names."""

    inputs: Tree  # of tensors (num_rows, …) as stored, uint8 for images; in memory or mapped into it
    targets: Tree  # of tensors (num_rows, …)
    rows: Tensor  # (num_examples,) int64

    def __len__(self) -> int:
        return len(self.rows)

    def at(self, rows: Tensor) -> tuple[Tree, Tree]:
        """Inputs and targets of these rows of the data set, copied."""
        return picked(self.inputs, rows), picked(self.targets, rows)


class Data(NamedTuple):
    """The three splits: to train on, to choose on, and to tell the choice's worth on."""

    train: Split
    valid: Split
    test: Split


def picked(tree: Tree, rows: Tensor) -> Tree:
    """These rows of every tensor.

    Args:
        tree: a nesting of tensors, equally many rows each
        rows: (n,) their numbers, of an integer type

    Returns:
        The same nesting, copies of n rows each.

    >>> picked({"a": torch.tensor([1, 2, 3]), "b": (torch.eye(3),)}, torch.tensor([2]))
    {'a': tensor([3]), 'b': (tensor([[0., 0., 1.]]),)}
    """
    if isinstance(tree, Tensor):  # the common case, at the price of no nesting
        return tree.index_select(0, rows)
    return tree_map_only(Tensor, lambda leaf: leaf.index_select(0, rows), tree)


def first(tree: Tree, size: int) -> Tree:
    """The first rows of every tensor, as views.

    Args:
        tree: a nesting of tensors
        size: how many rows
    """
    return tree[:size] if isinstance(tree, Tensor) else tree_map_only(Tensor, lambda leaf: leaf[:size], tree)


def floating(tree: Tree, dtype: torch.dtype) -> Tree:
    """The same in this type where it holds real numbers; what is counted stays as it is.

    Args:
        tree: a nesting of tensors
        dtype: of real numbers

    >>> floating((torch.ones(1), torch.ones(1, dtype=torch.int64)), torch.float64)
    (tensor([1.], dtype=torch.float64), tensor([1]))
    """
    if isinstance(tree, Tensor):
        return tree.to(dtype) if tree.is_floating_point() else tree
    return tree_map_only(Tensor, lambda leaf: leaf.to(dtype) if leaf.is_floating_point() else leaf, tree)


def detached(outputs: Tree) -> Tree:
    """The outputs of a model, cut off from their graph; refused where no tensor is found in them."""
    if isinstance(outputs, Tensor):
        return outputs.detach()
    if not any(isinstance(leaf, Tensor) for leaf in tree_flatten(outputs)[0]):
        raise Refusal(
            f"the model returns {_kind(outputs)}, in which no tensor is found: return tensors in tuples, lists or "
            "dicts, or tell torch of the class with torch.utils._pytree.register_pytree_node"
        )
    return tree_map_only(Tensor, Tensor.detach, outputs)


def check_data(data: object, task: str) -> Data:
    """Pass on the data of a task; what our loop cannot take is refused in one line.

    Args:
        data: what `data()` has returned
        task: its name

    Raises:
        Refusal: it is no `Data` of `Split`s, or a split has something else than tensors of as many rows.
    """
    remedy = (
        "data() returns Data(train, valid, test), each a Split(inputs, targets, rows) of tensors; what has loaders or "
        "a loop of its own is a Training, no Task"
    )
    if not isinstance(data, Data):
        raise Refusal(f"task {task!r}: got {_kind(data)}: {remedy}")
    for name, split in data._asdict().items():
        if not isinstance(split, Split):
            raise Refusal(f"task {task!r}: got {_kind(split)} for {name}: {remedy}")
        leaves = tree_flatten((split.inputs, split.targets))[0]
        for leaf in leaves:
            if not isinstance(leaf, Tensor) or not leaf.ndim:
                raise Refusal(f"task {task!r}: got {_kind(leaf)} in the {name} split: {remedy}")
        if len({len(leaf) for leaf in leaves}) != 1:
            counts = sorted({len(leaf) for leaf in leaves})
            raise Refusal(f"task {task!r}: the {name} split has tensors of {counts} rows: give all as many")
        _check_rows(split.rows, len(leaves[0]), f"task {task!r}: rows of the {name} split")
    if not len(data.train):
        raise Refusal(f"task {task!r}: the train split has no rows: nothing can be trained")
    return data


def _check_rows(rows: object, num_rows: int, what: str) -> None:
    if not isinstance(rows, Tensor) or rows.dtype != torch.int64 or rows.ndim != 1:
        raise Refusal(f"{what} must be one line of int64, as of torch.arange, got {_kind(rows)}")
    if len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= num_rows):
        raise Refusal(f"{what} must lie in [0, {num_rows}), got {int(rows.min())} … {int(rows.max())}")


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype} and shape {tuple(value.shape)}"
    return f"a {type(value).__module__.partition('.')[0]} {type(value).__name__}".replace("a builtins ", "a ")
