"""The update of a rule whose rate no tensor has a part in: small tensors as one, written over from step to step."""

from collections.abc import Sequence
from itertools import chain
from operator import is_
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from trainables.schemes import Gradients, Known, Rate
from trainables.updates.compiled import CompiledUpdate, apart
from trainables.updates.flat import SMALL, Packs, Tensors, are_one, copy, maker, packs_of
from trainables.updates.tensorwise import LARGE, Compiled, Ready, advance, is_scalar, is_tensorwise

Composed: TypeAlias = Any  # `trainables.rules.Composed` and its state: that file imports this one
ComposedState: TypeAlias = Any


def update_of(rule: Composed, compile: bool) -> "FlatUpdate | CompiledUpdate":  # noqa: A002 — the word of a trial
    """The update of a rule that writes over its own memory.

    Args:
        rule: whose `update` it is
        compile: whether it is compiled, as it must be where the rule is not tensorwise
    """
    return FlatUpdate(rule, compile) if is_tensorwise(rule) else CompiledUpdate(rule)


class Laid(NamedTuple):
    """The memory that an update writes over: flat tensors, each under its first name, and the views into them."""

    packs: Packs
    params: Tensors
    states: dict[str, Any]  # of the direction
    grads: Tensors  # of the packs that gather theirs
    named: Tensors  # views into the parameters
    slots: Tensors  # views into the gradients
    state: ComposedState  # as it is returned, its directions views into the states


class FlatUpdate:
    """`Composed.update` of a tensorwise rule, on memory of its own: what it returns, the next step writes over.

    Eager it reads the given parameters anew at every step, and has the bits of `Composed.update`; large ones stay
    tensors of their own. Compiled it is given its own views back, and is compiled once whatever there is to move.
    """

    def __init__(self, rule: Composed, compile: bool) -> None:  # noqa: A002 — the word of a trial
        self._compile = compile
        self._laid: Laid | None = None
        self._given: Tensors = {}
        self.follow(rule)

    def follow(self, rule: Composed) -> None:
        """Go on with a rule that differs in real numbers, such as a rate that a scheduler has set."""
        self._rule = rule
        self._compiled = Compiled(rule) if self._compile else None

    def gathers(self, params: Tensors) -> bool:
        """True: nothing that is remembered is a gradient that was given."""
        return True

    def __call__(
        self, raw: Tensors, params: Tensors, state: ComposedState, progress: Tensor
    ) -> tuple[Tensors, ComposedState]:
        """Update the parameters.

        Args:
            raw: the gradient, by name
            params: by name
            state: from `init`, or from the step before
            progress: of the training, in [0, 1], a scalar

        Returns:
            The parameters after the step, and the state.
        """
        raw, laid = self._rule.dense(raw, state), self._laid
        if laid is None or not self._stands(laid, params, state):
            laid = self._laid = self._settled(raw, params, state)
        elif not self._compile:
            _copy(params, laid.named)
        _copy(raw, laid.slots)
        alone = {name: params[name] for name in laid.packs.alone}
        known = Known(None, Gradients({}, {}), {}, laid.state.scheme, laid.params | alone, progress)
        rate, scheme = self._rule.scheme.rate(known)
        after = {n: self._moved(raw[n], p, state.directions[n], _of(rate, n), progress) for n, p in alone.items()}
        self._write(laid, raw, rate, progress)
        write_over([*tree_leaves(laid.state.scheme), laid.state.lr], [*tree_leaves(scheme), rate.base])
        self._given = laid.named if self._compile else params
        return _with(laid, after)

    def _stands(self, laid: Laid, params: Tensors, state: ComposedState) -> bool:
        """True where nothing has to be laid into flat tensors anew."""
        own = laid.state
        if state.scheme is not own.scheme or state.lr is not own.lr:
            return False
        if not all(map(is_, map(params.get, self._given), self._given.values())):
            return False
        return all(map(is_, map(state.directions.get, laid.named), map(own.directions.get, laid.named)))

    def _settled(self, raw: Tensors, params: Tensors, state: ComposedState) -> Laid:
        """Parameters and state laid into tensors of their own."""
        self.follow(self._rule)  # what was compiled may be of tensors of other types
        matrices, largest = self._rule.decay.on == "matrices", LARGE if self._compile else SMALL
        packs = packs_of(params, raw, state.directions, matrices, largest, singles=self._compile)
        state = tree_map(torch.clone, state)  # of which two places may hold one tensor
        every, states = packs.joined(params, copy=True), _sharing(packs, packs.states(state.directions))
        flat = {key: every[key] for key in packs.packs}
        grads = {key: torch.zeros_like(flat[key]) for key, pack in packs.packs.items() if not pack.lies}
        own, views = state._replace(directions=packs.named_states(states)), _views(packs, flat)
        named = {name: views[name] for name in params if name in views}
        return Laid(packs, flat, states, grads, named, _views(packs, grads), own)

    def _moved(self, grad: Tensor, param: Tensor, state: Any, rate: Rate, progress: Tensor) -> tuple[Tensor, Any]:
        """One tensor by itself, out of place; its state holds no memory of the gradient's."""
        moved, after = self._rule.advance(grad, param, state, rate, progress)
        return moved, tree_map(lambda own: own.clone() if own.data_ptr() == grad.data_ptr() else own, after)

    def _write(self, laid: Laid, raw: Tensors, rate: Rate, progress: Tensor) -> None:
        """Write over the flat tensors, then over the scalars of their states, which several may share."""
        scalars: list[tuple[Tensor, Tensor]] = []
        ready: Ready = {}
        for key, param in laid.params.items():
            state, own, pack = laid.states[key], _of(rate, key), laid.packs.packs[key]
            grad = laid.grads[key] if key in laid.grads else pack.joined([raw[key].to(param.dtype)])
            if self._compiled is None or param.shape[0] == 1:  # torch would compile a function for one row alone
                after = advance(self._rule, grad, param, state, own, progress)
            else:
                after = self._compiled(key, ready, grad, param, state, own, progress)
            scalars += zip(filter(is_scalar, state), after, strict=True)
        write_over([here for here, _ in scalars], [later for _, later in scalars])


def _copy(source: Tensors, target: Tensors) -> None:
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


def _of(rate: Rate, name: str) -> Rate:
    """The rate of one tensor, as `Composed.advance` takes it."""
    return rate if rate.scale is None else Rate(rate.base, {"": rate.scale[name]})


def _with(laid: Laid, after: dict[str, tuple[Tensor, Any]]) -> tuple[Tensors, ComposedState]:
    """The result of a step: all that was written over, and what was moved by itself."""
    if not after:
        return laid.named, laid.state
    own, directions = laid.named, laid.state.directions
    named = {name: after[name][0] if name in after else own[name] for name in directions}
    states = {name: after[name][1] if name in after else state for name, state in directions.items()}
    return named, laid.state._replace(directions=states)


def write_over(old: Sequence[Tensor], new: Sequence[Tensor]) -> None:
    """Copy what comes new to where the old stands.

    Args:
        old: written over
        new: one a place
    """
    for here, later in zip(old, apart(old, new), strict=True):
        if later is not here:
            here.copy_(later)
