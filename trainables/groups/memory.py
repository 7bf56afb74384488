"""The memory of a parameter group between two steps, and the compiled step that writes over it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from trainables.groups.param_group import real
from trainables.rules import Composed, ComposedState
from trainables.schemes import State
from trainables.updates import update_of
from trainables.updates.flat import Tensors, copy


class GroupMemory(NamedTuple):
    """The memory of a group between two steps."""

    directions: dict[str, Any]
    scheme: State
    lr: Tensor
    step: Tensor  # steps so far, a scalar on the CPU

    @property
    def rule(self) -> ComposedState:
        """The state of the rule alone."""
        return ComposedState(self.directions, self.scheme, self.lr)

    def stepped(self, rule: ComposedState) -> "GroupMemory":
        """The same after one step more, which has left this state of the rule."""
        return GroupMemory(*rule, self.step + 1)

    def overwritten(self, rule: ComposedState) -> "GroupMemory":
        """The same after a step that may have written over the state: this very memory where it has."""
        if not all(new is old for new, old in zip(rule, self.rule, strict=True)):
            return self.stepped(rule)
        self.step.add_(1)
        return self


def moved(rule: Composed, leaves: Tensors, state: ComposedState, progress: Tensor) -> ComposedState:
    """Move all parameters of a group that have a gradient, out of place.

    Args:
        rule: the group's, as its rate is now
        leaves: the parameters by name, their gradients with them; written into
        state: from the step before
        progress: of the training, in [0, 1], a scalar

    Returns:
        The state after the step.
    """
    params = {name: real(leaf.detach()) for name, leaf in leaves.items()}
    # Cloned: schemes remember gradients, and `zero_grad(set_to_none=False)` overwrites p.grad in place.
    found = {name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    grads = {name: real(grad.detach().clone()) for name, grad in found.items()}
    after, new = rule.update(grads, params, state, progress, frozen=_frozen(leaves))
    for name in grads:
        real(leaves[name]).copy_(after[name])
    return new


def _frozen(leaves: Tensors) -> tuple[str, ...]:
    """The names of the parameters that do not train."""
    return tuple(name for name, leaf in leaves.items() if not leaf.requires_grad and leaf.grad is None)


@contextmanager
def _held(params: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The values of some parameters, which are 0 for a step, their gradient then with any decay, and are put back.

    Autograd, which counts what is written into tensors, hears of nothing.
    """
    values = [param.clone() for param in params]
    try:
        for param in params:
            param.data.zero_()
        yield values
    finally:
        for param, value in zip(params, values, strict=True):
            param.data.copy_(value)


def trained(state: ComposedState, leaves: Tensors) -> ComposedState:
    """The state without what a scheme remembers of parameters that do not train, for means over the others.

    Args:
        state: of a group
        leaves: its parameters by name, their gradients with them
    """
    frozen = _frozen(leaves)
    if not frozen or not hasattr(state.scheme, "previous"):
        return state
    left = {name: value for name, value in state.scheme.previous.items() if name not in frozen}
    return state._replace(scheme=state.scheme._replace(previous=left)) if left else state  # else of all that stands


class Overwriting:
    """The step of a group on flat tensors, in which its state is written over.

    Compiled, its parameters become views into such tensors as well.
    """

    def __init__(self, rule: Composed, compile: bool) -> None:  # noqa: A002 — the word of a trial
        """`compile` must be true unless the rule is tensorwise."""
        self._update, self._rule, self._compile = update_of(rule, compile), rule, compile
        self._params: Tensors = {}
        self._places: list[int] = []
        self._complex = False
        self._state: ComposedState | None = None

    def __call__(self, rule: Composed, leaves: Tensors, state: ComposedState, progress: Tensor) -> ComposedState:
        """Move all parameters that have a gradient.

        Args:
            rule: the group's, as its rate is now
            leaves: the parameters by name, their gradients with them
            state: from the step before; written over
            progress: of the training, in [0, 1], a scalar

        Returns:
            The state after the step.
        """
        if rule != self._rule:
            self._rule = rule
            self._update.follow(rule)
        self._look(leaves)
        if self._state is None or not all(new is old for new, old in zip(state, self._state, strict=True)):
            state = tree_map(torch.clone, state)  # of which two places may hold one tensor
        grads, params = {name: leaf.grad for name, leaf in leaves.items()}, self._params
        without = [name for name, grad in grads.items() if grad is None]
        graded = {name: leaf for name, leaf in leaves.items() if grads[name] is not None} if without else leaves
        given, frozen = self._gradients(grads, without), _frozen(leaves) if without else ()
        with _held([params[name] for name in without]) as own:
            after, new = self._update(given, params, state, progress, frozen)
        if self._compile:
            self._settle(leaves, after, new, dict(zip(without, own, strict=True)))
        else:
            copy([after[name] for name in graded], [params[name] for name in graded])
        self._state, touched = new, list(graded.values())
        torch.autograd.graph.increment_version(touched)  # as torch's own step does, which writes into them
        return new

    def _settle(self, leaves: Tensors, after: Tensors, new: ComposedState, still: Tensors) -> None:
        """Put right, after a step of all, what has no gradient: its values, and the scheme's memory of it."""
        for name, value in still.items():
            after[name].copy_(value)
            if hasattr(new.scheme, "previous"):
                new.scheme.previous[name].zero_()  # the last direction, along which no step was made
        self._taken(leaves, after)

    def _look(self, leaves: Tensors) -> None:
        """Find the parameters where they lie now."""
        places = list(map(Tensor.data_ptr, leaves.values()))
        if places != self._places:
            self._params, self._places = {name: real(leaf.detach()) for name, leaf in leaves.items()}, places
            self._complex = any(leaf.is_complex() for leaf in leaves.values())

    def _taken(self, leaves: Tensors, moved: Tensors) -> None:
        """The parameters as views into what was moved."""
        if moved is not self._params:
            for name, leaf in leaves.items():
                leaf.data = torch.view_as_complex(moved[name]) if leaf.is_complex() else moved[name]
            self._params, self._places = moved, [param.data_ptr() for param in moved.values()]

    def _gradients(self, grads: dict[str, Tensor | None], without: list[str]) -> Tensors:
        """Zeros for a parameter without one; copies where the state may keep them, which a loop overwrites."""
        found: Any = grads | {name: torch.zeros_like(self._params[name]) for name in without} if without else grads
        if self._complex:
            found = {name: real(grad) for name, grad in found.items()}
        return found if self._update.gathers else {name: grad.clone() for name, grad in found.items()}
