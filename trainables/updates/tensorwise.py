"""The move of one tensor after the other, at a rate that none of them had a part in; compiled for every length."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from trainables.components import floats, with_floats
from trainables.schemes import Rate
from trainables.updates.compiled import apart
from trainables.updates.flat import BYTES
from trainables.updates.kernel import Kernel

Composed: TypeAlias = Any  # `trainables.rules.Composed`: that file imports this one, by way of flat_update.py
Ready: TypeAlias = dict[Any, Sequence[Tensor]]

LARGE = 262_144
"""The elements of the largest tensor that a compiled update gathers: to call its loop takes as long as a copy."""


def is_tensorwise(rule: Composed) -> bool:
    """True where one tensor after the other may be moved, none of them waiting for what another has to say."""
    return rule.direction.elementwise and rule.scheme.blind


def advance(rule: Composed, grad: Tensor, param: Tensor, state: Any, rate: Rate, progress: Tensor) -> list[Tensor]:
    """Write over a tensor and the tensors of its state.

    Args:
        rule: that moves it
        grad: without weight decay
        param: written over
        state: of its direction
        rate: as `Composed.advance` takes it
        progress: of the training, a scalar

    Returns:
        The scalars of the state after the step.
    """
    moved, after = rule.advance(grad, param, state, rate, progress)
    old = [param, *tree_leaves(state)]
    new = apart(old, [moved, *tree_leaves(after)])
    for here, later in zip(old, new, strict=True):
        if here.dim() > 0 and later is not here:
            here.copy_(later)
    return [later for here, later in zip(old, new, strict=True) if here.dim() == 0]


def is_scalar(field: Any) -> bool:
    """True of a field of a state that is a tensor of no dimension; it may be an empty tuple, too."""
    return isinstance(field, Tensor) and field.dim() == 0


class Compiled:
    """`advance`, compiled for all rules of one shape: their real numbers are inputs."""

    def __init__(self, rule: Composed) -> None:
        # A zero stays what it is: what it switches off, a decay with its schedule, then takes no arithmetic.
        numbers = {key: value for key, value in floats(rule).items() if value != 0 and not key.startswith("scheme.")}
        self._shape = replace(with_floats(rule, dict.fromkeys(numbers, 1.0)), scheme=None)
        self._names = tuple(numbers)
        self._numbers = [torch.tensor(value, dtype=torch.float64) for value in numbers.values()]
        self._kernels: dict[str, Kernel] = {}

    def __call__(
        self, key: str, ready: Ready, grad: Tensor, param: Tensor, state: Any, rate: Rate, progress: Tensor
    ) -> Sequence[Tensor]:
        """Write over a tensor and the tensors of its state, as `advance` does.

        Args:
            key: of a tensor that keeps its type, as do those of its state
            ready: what was made of scalars at this step, for all tensors that have the same ones
            grad: without weight decay
            param: written over
            state: of its direction
            rate: as `Composed.advance` takes it
            progress: of the training, a scalar

        Returns:
            The scalars of the state after the step.
        """
        scale = [] if rate.scale is None else [rate.scale[""]]
        fields = [field for field in state if isinstance(field, Tensor)]
        leaves = [*self._numbers, grad, param, *fields, rate.base, progress, *scale]
        kernel = self._kernels.get(key)
        if kernel is None:
            forms = tuple((leaf.dim(), leaf.dtype, leaf.device) for leaf in leaves)
            kernel = _kernel(self._shape, self._names, tree_flatten(state)[1], forms, param.numel() > LARGE)
            self._kernels[key] = kernel
        own = (kernel, *(id(leaf) for leaf in (*fields, *scale) if leaf.dim() == 0))
        if own not in ready:
            ready[own] = kernel.scalars(*leaves)
        return kernel.loop(ready[own], *leaves)


@cache
def _kernel(shape: Composed, names: tuple[str, ...], form: TreeSpec, forms: tuple[Any, ...], large: bool) -> Kernel:
    """`advance` compiled for leaves of these forms, of any length; of `large` ones inductor may share out the loop."""

    def function(*leaves: Tensor) -> list[Tensor]:
        numbers, (grad, param, *rest) = leaves[: len(names)], leaves[len(names) :]
        state, (base, progress, *scale) = tree_unflatten(rest[: form.num_leaves], form), rest[form.num_leaves :]
        rule = with_floats(shape, dict(zip(names, numbers, strict=True)))
        return advance(rule, grad, param, state, Rate(base, {"": scale[0]} if scale else None), progress)

    param = forms[len(names) + 1][1]  # whose rows all tensors have, of whatever type
    lengths = LARGE if large else 64, BYTES // param.itemsize
    like = [torch.empty(lengths[:dim], dtype=dtype, device=at) for dim, dtype, at in forms]
    return Kernel(function, *like)
