"""Recipe 2: one forward sweep carries X, Ẋ and Ẍ; nothing is stored."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from trainables.second_order.graph import graph_of
from trainables.second_order.jets import ZERO, Along, Bent, Jet, Lifted
from trainables.second_order.recorder import Objective, Recorder, Tensors
from trainables.second_order.tape import shaped


class Later:
    """A jet that is computed when it is first asked for: by then the model may have dropped what it came from.

    A ReLU's input, for one: its value, both tangents and the input would be the largest four tensors of a network.
    """

    def __init__(self, make: Callable[[], Jet]) -> None:
        self._make: Callable[[], Jet] | None = make
        self._jet = ZERO

    def jet(self) -> Jet:
        """The jet, computed when it is first asked for."""
        if self._make is not None:
            self._jet, self._make = self._make(), None
        return self._jet


class Sweep:
    """Jets carried through an objective as it runs (Taylor mode; Griewank & Walther 2008, chapter 13).

    From Ẋ_0 = Ẍ_0 = 0, θ̇ = v and θ̈ = 0, the loss ends with J̈ = ⟨∇²J v, v⟩.
    """

    def __init__(self) -> None:
        self._spent = self._gradient = 0.0

    def note(self, lifted: Lifted, inputs: list[Later | None]) -> Later:
        """The jet of one call's output, to be computed before the next call that takes it.

        Args:
            lifted: the call
            inputs: the jets of its inputs; None for one that does not depend on the parameters
        """
        self._spent += lifted.macs
        self._gradient += lifted.macs * (2 if inputs[0] is None else 3)
        jets = [ZERO if later is None else later.jet() for later in inputs]
        carry, shape = lifted.lean or lifted.jet, lifted.value.shape

        @torch.no_grad()
        def make() -> Jet:
            out = carry(*jets)
            self._spent += out.macs
            return Jet(shaped(out.first, shape), shaped(out.second, shape))

        return Later(make)

    def price(self) -> float:
        """The price, in gradients; without a product in it, five products to a gradient's three."""
        return self._spent / self._gradient if self._gradient else 5 / 3


def sweep(objective: Objective, leaves: Tensors, along: Along) -> Bent:
    """⟨∇²J v, v⟩ at `leaves`, by reverse over reverse where a call has no jet.

    Args:
        objective: J, from parameters by name to a scalar
        leaves: parameters that require a gradient
        along: v
    """
    carried = Sweep()
    known = [(leaf, Later(partial(Jet, along.vector[name]))) for name, leaf in leaves.items()]
    # Autograd says what depends on the parameters, but must not keep anything for a backward pass.
    try:
        with saved_tensors_hooks(lambda tensor: None, _never):
            loss, later = Recorder(known, carried.note, Later.jet).run(objective, leaves)
    except _Backward:  # the objective differentiates, as a penalty of gradients does
        loss, later = None, None
    if loss is None or later is None:
        bent = graph_of(objective, leaves).curvature(along)
        return Bent(bent.curvature, 1.5 + bent.price)  # the sweep's forward pass was for nothing
    bent = later.jet().second
    return Bent(loss.detach().new_zeros(()) if bent is None else bent, carried.price())


class _Backward(Exception):
    """Raised where a backward pass is begun, for which a sweep keeps nothing."""


def _never(packed: None) -> Tensor:
    raise _Backward
