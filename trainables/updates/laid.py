"""Memory that an update writes over from step to step: flat tensors, and the views into them that are given out."""

from collections.abc import Sequence
from itertools import chain
from operator import is_
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from trainables.updates.compiled import apart
from trainables.updates.flat import Packs, Tensors, are_one, copy, maker
from trainables.updates.tensorwise import is_scalar

Composed: TypeAlias = Any  # `trainables.rules.Composed` and its state: that file imports this one
ComposedState: TypeAlias = Any


class Laid(NamedTuple):
    """The memory that an update writes over: flat tensors, each under its first name, and the views into them."""

    packs: Packs
    params: Tensors
    states: dict[str, Any]  # of the direction
    scheme: Any  # its state, with flat tensors in it
    grads: Tensors  # of the packs that gather theirs
    named: Tensors  # views into the parameters
    slots: Tensors  # views into the gradients
    state: ComposedState  # as it is returned, views into all of these

    @classmethod
    def of(cls, packs: Packs, params: Tensors, state: ComposedState, blind: bool) -> "Laid":
        """Parameters and state laid into tensors of their own.

        Args:
            packs: which of them lie together
            params: by name
            state: of the rule
            blind: whether the scheme's state holds scalars alone, in whatever form
        """
        every, scheme = packs.joined(params, copy=True), state.scheme if blind else packs.fields(state.scheme)
        flat = {key: every[key] for key in packs.packs}
        grads = {key: torch.zeros_like(flat[key]) for key, pack in packs.packs.items() if not pack.lies}
        # Cloned: two places of a state may hold one tensor.
        states, scheme, lr = tree_map(torch.clone, (packs.states(state.directions), scheme, state.lr))
        states, views = _sharing(packs, states), _views(packs, flat)
        named = {name: views[name] for name in params if name in views}
        given = scheme if blind else packs.named_fields(scheme)
        own = state._replace(directions=packs.named_states(states), scheme=given, lr=lr)
        return cls(packs, flat, states, scheme, grads, named, _views(packs, grads), own)

    def stands(self, given: Tensors, params: Tensors, state: ComposedState) -> bool:
        """Tell whether nothing has to be laid anew.

        Args:
            given: the parameters as they were when all was laid, or as the step before has left them
            params: as they are now
            state: likewise
        """
        own = self.state
        if state.scheme is not own.scheme or state.lr is not own.lr:
            return False
        if not all(map(is_, map(params.get, given), given.values())):
            return False
        return all(map(is_, map(state.directions.get, self.named), map(own.directions.get, self.named)))

    def gather(self, raw: Tensors) -> Tensors:
        """The gradients of the flat tensors, those of small ones copied side by side.

        Args:
            raw: by name
        """
        copy_named(raw, self.slots)
        packs, params = self.packs.packs, self.params
        alone = {key: packs[key].joined([raw[key].to(params[key].dtype)]) for key in packs if key not in self.grads}
        return {key: self.grads[key] if key in self.grads else alone[key] for key in packs}

    def result(self, after: dict[str, tuple[Tensor, Any]]) -> tuple[Tensors, ComposedState]:
        """The result of a step: all that was written over, and what was moved by itself.

        Args:
            after: parameter and state of each that lies in no flat tensor
        """
        if not after:
            return self.named, self.state
        own, directions = self.named, self.state.directions
        named = {name: after[name][0] if name in after else own[name] for name in directions}
        states = {name: after[name][1] if name in after else state for name, state in directions.items()}
        return named, self.state._replace(directions=states)


def copy_named(source: Tensors, target: Tensors) -> None:
    """Copy tensors into others of the same names.

    Args:
        source: by name, some more perhaps
        target: written into
    """
    copy([source[name] for name in target], list(target.values()))


def _views(packs: Packs, flat: Tensors) -> Tensors:
    """The views into some of the flat tensors, by name."""
    pairs = (zip(packs.packs[key].names, packs.packs[key].split(own), strict=True) for key, own in flat.items())
    return dict(chain.from_iterable(pairs))


def _sharing(packs: Packs, states: dict[str, Any]) -> dict[str, Any]:
    """The states, those of flat tensors with the same scalars sharing them."""
    own = [(key, states[key]) for key in packs.packs]
    columns = [
        [column[0]] * len(column) if is_scalar(column[0]) and are_one(column) else column
        for column in zip(*(state for _, state in own), strict=True)
    ]
    rows = zip(*columns, strict=True) if columns else [()] * len(own)
    return states | {key: maker(state)(row) for (key, state), row in zip(own, rows, strict=True)}


def write_over(old: Sequence[Tensor], new: Sequence[Tensor]) -> None:
    """Copy what comes new to where the old stands.

    Args:
        old: written over
        new: one a place
    """
    for here, later in zip(old, apart(old, new), strict=True):
        if later is not here:
            here.copy_(later)
