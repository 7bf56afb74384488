"""The update of a rule whose rate no tensor has a part in: small tensors as one, written over from step to step."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import chain
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from trainables.compiled import CompiledUpdate, apart, hoisted
from trainables.components import floats, with_floats
from trainables.flat import SMALL, Packs, Tensors, copy, packs_of
from trainables.schemes import Gradients, Known, Rate

Composed: TypeAlias = Any  # `trainables.rules.Composed` and its state: that file imports this one
ComposedState: TypeAlias = Any


def is_tensorwise(rule: Composed) -> bool:
    """True where one tensor after the other may be moved, none of them waiting for what another has to say."""
    return rule.direction.elementwise and rule.scheme.blind


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
        self._rule, numbers = rule, floats(rule)
        self._numbers = {key: torch.tensor(value, dtype=torch.float64) for key, value in numbers.items()}
        self._shape = with_floats(rule, dict.fromkeys(numbers, 0.0))

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
        write_over([*tree_leaves(laid.state.scheme), laid.state.lr], [*tree_leaves(scheme), rate.base])
        after = {
            n: self._moved(raw[n], param, state.directions[n], _of(rate, n), progress) for n, param in alone.items()
        }
        for key, param in laid.params.items():
            grad = laid.grads[key] if key in laid.grads else laid.packs.packs[key].joined([raw[key]])
            self._function(param)(grad, param, laid.states[key], _of(rate, key), progress)
        self._given = laid.named if self._compile else params
        return _with(laid, after)

    def _stands(self, laid: Laid, params: Tensors, state: ComposedState) -> bool:
        """True where nothing has to be laid into flat tensors anew."""
        own = laid.state
        if state.scheme is not own.scheme or state.lr is not own.lr:
            return False
        if not all(params[name] is tensor for name, tensor in self._given.items()):
            return False
        return all(state.directions[name] is own.directions[name] for name in laid.named)

    def _settled(self, raw: Tensors, params: Tensors, state: ComposedState) -> Laid:
        """Parameters and state laid into tensors of their own."""
        packs = packs_of(params, raw, state.directions, self._rule.decay.on == "matrices", singles=self._compile)
        state = tree_map(torch.clone, state)  # of which two places may hold one tensor
        every, states = packs.joined(params, copy=True), packs.states(state.directions)
        flat = {key: every[key] for key in packs.packs}
        grads = {key: torch.zeros_like(flat[key]) for key, pack in packs.packs.items() if len(pack.names) > 1}
        own = state._replace(directions=packs.named_states(states))
        return Laid(packs, flat, states, grads, _views(packs, flat), _views(packs, grads), own)

    def _moved(self, grad: Tensor, param: Tensor, state: Any, rate: Rate, progress: Tensor) -> tuple[Tensor, Any]:
        """One tensor by itself, out of place; its state holds no memory of the gradient's."""
        moved, after = self._rule.advance(grad, param, state, rate, progress)
        return moved, tree_map(lambda own: own.clone() if own.data_ptr() == grad.data_ptr() else own, after)

    def _function(self, param: Tensor) -> Callable[..., None]:
        """The function that writes over one flat tensor and its state."""
        if not self._compile:
            return partial(_advance, self._rule)
        form = param.dtype, param.device, param.dim(), param.numel() > SMALL
        return partial(_compiled(self._shape, form), self._numbers)


def _copy(source: Tensors, target: Tensors) -> None:
    copy([source[name] for name in target], list(target.values()))


def _views(packs: Packs, flat: Tensors) -> Tensors:
    """The views into some of the flat tensors, by name."""
    pairs = (zip(packs.packs[key].names, packs.packs[key].split(own), strict=True) for key, own in flat.items())
    return dict(chain.from_iterable(pairs))


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


def _advance(rule: Composed, grad: Tensor, param: Tensor, state: Any, rate: Rate, progress: Tensor) -> None:
    moved, after = rule.advance(grad, param, state, rate, progress)
    write_over([param, *state], [moved, *after])


@cache
def _compiled(shape: Composed, form: tuple[Any, ...]) -> Callable[..., None]:
    """The compiled move of one flat tensor of any length, by every rule of this shape: real numbers are inputs."""

    def advance(numbers: Mapping[str, Tensor], *moved: Any) -> None:
        _advance(with_floats(shape, numbers), *moved)

    # Code of its own for every `form`: of one code torch compiles eight functions in a process (compiled.py).
    advance.__code__ = advance.__code__.replace()
    return torch.compile(advance, dynamic=True, backend=hoisted)
