"""The update of a rule whose rate no tensor has a part in: small tensors as one, written over from step to step."""

from collections.abc import Collection
from functools import partial
from typing import Any, ClassVar, TypeAlias

from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from trainables.schemes import Gradients, Known, Rate
from trainables.updates.flat import SMALL, Tensors, packs_of
from trainables.updates.laid import Laid, copy_named, write_over
from trainables.updates.tensorwise import advance, is_scalar

Composed: TypeAlias = Any  # `trainables.rules.Composed` and its state: that file imports this one
ComposedState: TypeAlias = Any


class FlatUpdate:
    """`Composed.update` of a tensorwise rule, on memory of its own: what it returns, the next step writes over.

    It reads the given parameters anew at every step, and has the bits of `Composed.update`; large ones stay tensors of
    their own.
    """

    gathers: ClassVar[bool] = True  # nothing that is remembered is a gradient that was given

    def __init__(self, rule: Composed) -> None:
        self._laid: Laid | None = None
        self._given: Tensors = {}
        self.follow(rule)

    def follow(self, rule: Composed) -> None:
        """Go on with a rule that differs in real numbers, such as a rate that a scheduler has set."""
        self._rule = rule

    def __call__(
        self, raw: Tensors, params: Tensors, state: ComposedState, progress: Tensor, frozen: Collection[str] = ()
    ) -> tuple[Tensors, ComposedState]:
        """Update the parameters.

        Args:
            raw: the gradient, by name
            params: by name
            state: from `init`, or from the step before
            progress: of the training, in [0, 1], a scalar
            frozen: the parameters that do not train, which is all one to a scheme that looks at none

        Returns:
            The parameters after the step, and the state.
        """
        raw, laid = self._rule.dense(raw, state), self._laid
        if laid is None or not laid.stands(self._given, params, state):
            packs = packs_of(params, raw, state.directions, self._rule.decay.on == "matrices", SMALL)
            laid = self._laid = Laid.of(packs, params, state, blind=True)
        else:
            copy_named(params, laid.named)
        grads = laid.gather(raw)
        alone = {name: params[name] for name in laid.packs.alone}
        rate, scheme = chosen(self._rule, laid, alone, progress)
        after = moved_alone(self._rule, raw, alone, state, rate, progress)
        scalars: list[tuple[Tensor, Tensor]] = []
        for key, param in laid.params.items():
            own = laid.states[key]
            later = advance(self._rule, grads[key], param, own, rate_of(rate, key), progress)
            scalars += zip(filter(is_scalar, own), later, strict=True)
        write_over([here for here, _ in scalars], [later for _, later in scalars])
        write_over([*tree_leaves(laid.state.scheme), laid.state.lr], [*tree_leaves(scheme), rate.base])
        self._given = params
        return laid.result(after)


def chosen(rule: Composed, laid: Laid, alone: Tensors, progress: Tensor) -> tuple[Rate, Any]:
    """The rate of a scheme that looks at no tensor, and its state after the step.

    Args:
        rule: whose scheme it is
        laid: the flat tensors
        alone: all other parameters
        progress: of the training, a scalar
    """
    known = Known(None, Gradients({}, {}), {}, laid.state.scheme, laid.params | alone, progress)
    return rule.scheme.rate(known)


def rate_of(rate: Rate, name: str) -> Rate:
    """The rate of one tensor, as `Composed.advance` takes it.

    Args:
        rate: of all of them
        name: the tensor's
    """
    return rate if rate.scale is None else Rate(rate.base, {"": rate.scale[name]})


def moved_alone(
    rule: Composed, raw: Tensors, alone: Tensors, state: ComposedState, rate: Rate, progress: Tensor
) -> dict[str, tuple[Tensor, Any]]:
    """Parameters and states of tensors by themselves, out of place; no state holds memory of the gradient's.

    Args:
        rule: that moves them
        raw: the gradients, by name, without weight decay
        alone: the parameters
        state: of the rule
        rate: of the step
        progress: of the training, a scalar
    """
    found = {}
    for name, param in alone.items():
        moved, after = rule.advance(raw[name], param, state.directions[name], rate_of(rate, name), progress)
        found[name] = (moved, tree_map(partial(_apart_from, raw[name]), after))
    return found


def _apart_from(grad: Tensor, own: Tensor) -> Tensor:
    return own.clone() if own.data_ptr() == grad.data_ptr() else own
