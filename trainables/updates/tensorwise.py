"""The move of one tensor by a rule, written over its memory; compiled for every length, and in stages."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

from trainables.components import floats, with_floats
from trainables.schemes import Known, Rate, Scheme
from trainables.updates.compiled import apart
from trainables.updates.flat import BYTES, by_name
from trainables.updates.kernel import Kernel

Composed: TypeAlias = Any  # `trainables.rules.Composed` and its state: that file imports this one
ComposedState: TypeAlias = Any

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
    return _written([param, *tree_leaves(state)], [moved, *tree_leaves(after)])


def is_scalar(field: Any) -> bool:
    """True of a field of a state that is a tensor of no dimension; it may be an empty tuple, too."""
    return isinstance(field, Tensor) and field.dim() == 0


def _written(old: Sequence[Tensor], new: Sequence[Tensor]) -> list[Tensor]:
    """The scalars among what comes new, all else written over the old."""
    new = apart(old, new)
    for here, later in zip(old, new, strict=True):
        if here.dim() > 0 and later is not here:
            here.copy_(later)
    return [later for here, later in zip(old, new, strict=True) if here.dim() == 0]


@dataclass(frozen=True)
class Told(Scheme):
    """A rate that is known: it stands in the state, its base and, where there is one, its scale."""

    elementwise: ClassVar[bool] = True

    def init(self, params: dict[str, Tensor]) -> tuple[Tensor, ...]:
        return ()

    def rate(self, known: Known) -> tuple[Rate, tuple[Tensor, ...]]:
        told: tuple[Tensor, ...] = known.state
        return Rate(told[0], dict.fromkeys(known.params, told[1]) if len(told) > 1 else None), told


class Piece:
    """One flat tensor with all that its move takes, and the kernel that moves it."""

    def __init__(self, rule: Composed, param: Tensor, state: ComposedState, numel: Tensor) -> None:
        """`state` is that of this tensor alone, under the empty name, `numel` the elements of all parameters."""
        numbers = _numbers(rule)
        own, form = tree_flatten(state)
        self._numbers = {key: torch.tensor(value, dtype=torch.float64) for key, value in numbers.items()}
        self._rest = [*self._numbers.values(), numel, param, *own]
        grad, progress = torch.empty_like(param), torch.empty((), dtype=torch.float64)
        forms = tuple((leaf.dim(), leaf.dtype, leaf.device) for leaf in (grad, progress, *self._rest))
        shape = with_floats(rule, dict.fromkeys(numbers, 1.0))
        self.kernel = _kernel(shape, tuple(numbers), form, forms, param.numel() > LARGE)
        self.scalars = list(filter(is_scalar, own))  # of the state
        self.kind = (self.kernel, *map(id, self.scalars))  # the same of two that have all scalars in common

    def follows(self, rule: Composed) -> bool:
        """Go on with a rule that differs in real numbers; False where that takes another kernel."""
        numbers = _numbers(rule)
        if numbers.keys() != self._numbers.keys():
            return False
        for key, value in numbers.items():
            self._numbers[key].fill_(value)
        return True

    def leaves(self, grad: Tensor, progress: Tensor) -> list[Tensor]:
        """All that its kernel is given.

        Args:
            grad: without weight decay
            progress: of the training, a scalar
        """
        return [grad, progress, *self._rest]


def _numbers(rule: Composed) -> dict[str, float]:
    """A rule's real numbers but for zeros: what a zero switches off, a decay with its schedule, takes no arithmetic."""
    return {key: value for key, value in floats(rule).items() if value != 0}


def moved(pieces: Sequence[Piece], grads: Sequence[Tensor], progress: Tensor) -> list[Sequence[Tensor]]:
    """Write over some flat tensors and the tensors of their states, each sum of a scheme taken over all of them.

    Args:
        pieces: the tensors
        grads: theirs, without weight decay
        progress: of the training, a scalar

    Returns:
        The scalars of each one's state after the step.
    """
    given = [piece.leaves(grad, progress) for piece, grad in zip(pieces, grads, strict=True)]
    sums: list[Tensor] = []
    for at in range(len(pieces[0].kernel.stages) if pieces else 0):
        ready: dict[Any, Sequence[Tensor]] = {}
        parts: list[Sequence[Tensor]] = []
        for piece, leaves in zip(pieces, given, strict=True):
            stage, kind = piece.kernel.stages[at], piece.kind
            if kind not in ready:
                ready[kind] = stage.scalars(*leaves, *sums)
            parts.append(stage.loop(*(leaves[place] for place in stage.used), *ready[kind]))
        sums += pieces[0].kernel.stages[at].totals(parts)
    ends: dict[Any, Sequence[Tensor]] = {}
    for piece, leaves in zip(pieces, given, strict=True):
        if piece.kind not in ends:
            ends[piece.kind] = piece.kernel.end(*leaves, *sums)
    return [ends[piece.kind] for piece in pieces]


@cache
def _kernel(shape: Composed, names: tuple[str, ...], form: TreeSpec, forms: tuple[Any, ...], large: bool) -> Kernel:
    """The move compiled for leaves of these forms, of any length; of `large` ones inductor may share out the loop."""

    def function(grad: Tensor, progress: Tensor, *leaves: Tensor) -> list[Tensor]:
        numbers, (numel, param, *own) = leaves[: len(names)], leaves[len(names) :]
        rule, state = with_floats(shape, dict(zip(names, numbers, strict=True))), tree_unflatten(own, form)
        with by_name():
            after, states = rule.update({"": grad}, {"": param}, state, progress, numel=numel)
        return _written([param, *own], [after[""], *tree_leaves(states)])

    param = forms[0][1]  # whose rows all tensors have, of whatever type
    lengths = LARGE if large else 64, BYTES // param.itemsize
    like = [torch.empty(lengths[:dim], dtype=dtype, device=at) for dim, dtype, at in forms]
    return Kernel(function, *like)
