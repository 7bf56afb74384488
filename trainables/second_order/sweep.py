"""Recipe 2: one forward sweep carries X, Ẋ and Ẍ; nothing is stored."""

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from trainables.second_order.graph import graph_of
from trainables.second_order.jets import ZERO, Along, Bent, Jet, Lifted
from trainables.second_order.recorder import Objective, Recorder, Tensors
from trainables.second_order.tape import shaped


class Sweep:
    """Jets carried through an objective as it runs (Taylor mode; Griewank & Walther 2008, chapter 13).

    From Ẋ_0 = Ẍ_0 = 0, θ̇ = v and θ̈ = 0, the loss ends with J̈ = ⟨∇²J v, v⟩.
    """

    def __init__(self) -> None:
        self._spent = self._gradient = 0.0

    @torch.no_grad()
    def note(self, lifted: Lifted, inputs: list[Jet | None]) -> Jet:
        """The jet of one call's output."""
        out = lifted.jet(*(ZERO if jet is None else jet for jet in inputs))
        self._spent += lifted.macs + out.macs
        self._gradient += lifted.macs * (2 if inputs[0] is None else 3)
        shape = lifted.value.shape
        return Jet(shaped(out.first, shape), shaped(out.second, shape))

    def price(self) -> float:
        """What was spent, in gradients; without a product in it, five products to a gradient's three."""
        return self._spent / self._gradient if self._gradient else 5 / 3


def sweep(objective: Objective, leaves: Tensors, along: Along) -> Bent:
    """⟨∇²J v, v⟩ at `leaves`, by reverse over reverse where a call has no jet."""
    carried = Sweep()
    known = [(leaf, Jet(along.vector[name])) for name, leaf in leaves.items()]
    # Autograd says what depends on the parameters, but must not keep anything for a backward pass.
    with saved_tensors_hooks(lambda tensor: None, _never):
        loss, jet = Recorder(known, carried.note).run(objective, leaves)
    if jet is None:
        bent = graph_of(objective, leaves).curvature(along)
        return Bent(bent.curvature, 1.5 + bent.price)  # the sweep's forward pass was for nothing
    return Bent(loss.detach().new_zeros(()) if jet.second is None else jet.second, carried.price())


def _never(packed: None) -> Tensor:
    raise AssertionError("a sweep has no backward pass")
