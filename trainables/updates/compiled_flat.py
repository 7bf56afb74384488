"""The update of an elementwise rule, compiled: flat tensors, each written over in place by one kernel."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from trainables.refusal import Refusal
from trainables.schemes import Rate
from trainables.updates.compiled import CompiledUpdate
from trainables.updates.flat import Tensors, maker, packs_of
from trainables.updates.flat_update import chosen, moved_alone
from trainables.updates.kernel import NotAdditive
from trainables.updates.laid import Laid, write_over
from trainables.updates.tensorwise import LARGE, Piece, Told, moved

Composed: TypeAlias = Any  # `trainables.rules.Composed` and its state: that file imports this one
ComposedState: TypeAlias = Any


class CompiledFlat:
    """`Composed.update` of an elementwise rule, compiled once whatever there is to move; other bits, same mathematics.

    It takes over the memory of the parameters: they are copied at the first step, small ones side by side, and what is
    returned are views, given back at the next step. Gradients of large ones are read where they lie. Where a tensor
    cannot lie flat (strides of its own, say) and the scheme looks at tensors, all is compiled by name.
    """

    gathers: ClassVar[bool] = True  # nothing that is remembered is a gradient that was given

    def __init__(self, rule: Composed) -> None:
        self._laid: Laid | None = None
        self._pieces: Sequence[Piece] = ()
        self._scales: Tensors = {}
        self._numel = torch.zeros((), dtype=torch.float64)
        self._by_name = CompiledUpdate(rule)
        self.follow(rule)

    def follow(self, rule: Composed) -> None:
        """Go on with a rule that differs in real numbers, such as a rate that a scheduler has set."""
        self._rule = rule
        self._by_name.follow(rule)
        # The rate of a scheme that looks at no tensor is told: one kernel then serves for all schemes and schedules.
        self._moving = replace(rule, scheme=Told()) if rule.scheme.blind else rule
        if not all(piece.follows(self._moving) for piece in self._pieces):
            self._laid = None

    def __call__(
        self, raw: Tensors, params: Tensors, state: ComposedState, progress: Tensor, frozen: Collection[str] = ()
    ) -> tuple[Tensors, ComposedState]:
        """Update the parameters.

        Args:
            raw: the gradient, by name
            params: by name
            state: from `init`, or from the step before
            progress: of the training, in [0, 1], a scalar
            frozen: the parameters that do not train: no mean over elements is over theirs

        Returns:
            The parameters after the step, and the state.
        """
        raw, laid = self._rule.dense(raw, state), self._laid
        if frozen and not self._rule.scheme.blind:  # its means are over some parameters, a flat tensor's sums over all
            laid = self._laid = None
        elif laid is None or not laid.stands(laid.named, params, state):
            laid = self._laid = self._settled(params, state, progress)
        if laid is None:
            own = {name: grad.clone() for name, grad in raw.items()}
            return self._by_name(own, params, state, progress, frozen)
        grads, alone = laid.gather(raw), {name: params[name] for name in laid.packs.alone}
        if self._rule.scheme.blind:
            rate, scheme = chosen(self._rule, laid, alone, progress)
            write_over([*tree_leaves(laid.state.scheme), laid.state.lr], [*tree_leaves(scheme), rate.base])
            self._tell(rate)
            after = moved_alone(self._rule, raw, alone, state, rate, progress)
        else:
            # Without elements; a state counts its steps all the same.
            apply = self._rule.direction.apply
            after = {n: (param, apply(raw[n], state.directions[n], param)[1]) for n, param in alone.items()}
        ends = moved(self._pieces, list(grads.values()), progress)
        places = chain.from_iterable(piece.scalars for piece in self._pieces)
        own = {id(here): (here, later) for here, later in zip(places, chain.from_iterable(ends), strict=True)}.values()
        write_over([here for here, _ in own], [later for _, later in own])
        return laid.result(after)

    def _tell(self, rate: Rate) -> None:
        """Write the scales of the rate to where the kernels read them."""
        if self._pieces and (rate.scale is None) == bool(self._scales):
            raise Refusal("compile: true needs a scheme that scales its rate at every step or at none")
        for key, scale in self._scales.items():
            scale.copy_((rate.scale or {})[key])

    def _settled(self, params: Tensors, state: ComposedState, progress: Tensor) -> Laid | None:
        """Parameters and state laid flat, and a kernel for each; None where that cannot be, and must."""
        blind, matrices = self._rule.scheme.blind, self._rule.decay.on == "matrices"
        packs = packs_of(params, params, state.directions, matrices, LARGE, singles=True)
        if not blind and any(params[name].numel() for name in packs.alone):
            return None
        laid = Laid.of(packs, params, state, blind)
        told: Rate | None = None
        if blind:
            told, _ = chosen(self._rule, laid, {name: params[name] for name in packs.alone}, progress)
        scale = told.scale if told and told.scale else {}
        self._scales = {key: scale[key].clone() for key in laid.params if key in scale}
        self._numel.fill_(sum(param.numel() for param in params.values()))
        try:
            self._pieces = [
                Piece(self._moving, laid.params[key], self._own(laid, key), self._numel) for key in laid.params
            ]
        except NotAdditive:
            return None
        return laid

    def _own(self, laid: Laid, key: str) -> ComposedState:
        """The state of one flat tensor, with that of the scheme or the rate that it tells."""
        if self._rule.scheme.blind:
            scheme: Any = (laid.state.lr, *(self._scales[at] for at in [key] if at in self._scales))
        else:
            scheme = maker(laid.scheme)([{"": own[key]} if isinstance(own, dict) else own for own in laid.scheme])
        return laid.state._replace(directions={"": laid.states[key]}, scheme=scheme)
