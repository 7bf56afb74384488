"""Recipe 1: the gradient keeps its adjoints, and one tangent pass after it gives the curvature."""

from collections import Counter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, get_gradient_edge

from trainables.second_order.graph import Graph
from trainables.second_order.jets import ZERO, Along, Bent, Jet, Lifted, Own
from trainables.second_order.recorder import Objective, Recorder, Tensors

_NOTHING = torch.empty(0)
LOOP = 4  # calls that take one parameter: from here on it is a loop over steps
SMALL = 1e6  # multiply-adds, in the mean of a loop's calls, below which a call costs more than its products


class Entry(NamedTuple):
    """One call on the tape; tensors are numbered in the order in which they appeared, parameters first."""

    inputs: list[int | None]
    output: int
    shape: torch.Size
    lifted: Lifted
    edge: GradientEdge | None  # where the adjoint of the output comes from, if it is needed


class Tape:
    """A gradient that has kept what a curvature needs.

    With X_{s+1} = F_s(X_s, θ_s), J = X_N, adjoints X̂_s = ∂J/∂X_s and tangents Ẋ_{s+1} = DF_s[Ẋ_s, θ̇_s], Ẋ_0 = 0,
    ⟨∇²J θ̇, θ̇⟩ = Σ_s ⟨X̂_{s+1}, D²F_s[(Ẋ_s, θ̇_s)²]⟩  (de Gournay & Gossard 2022, arXiv 2210.14520, section 3).
    """

    def __init__(self, leaves: Tensors) -> None:
        self._names = list(leaves)
        self._hooked = {name for name, leaf in leaves.items() if leaf._backward_hooks}
        self._entries: list[Entry] = []
        self._uses: Counter[int | None] = Counter()
        self._adjoints: dict[int, Tensor | None] = {}
        self.loss = _NOTHING
        self.gradient: Tensors = {}

    def note(self, lifted: Lifted, inputs: list[int | None]) -> int:
        """One call more; its output's number.

        Args:
            lifted: the call
            inputs: the numbers of its inputs; None for one that does not depend on the parameters
        """
        number = len(self._names) + len(self._entries)
        edge = get_gradient_edge(lifted.value) if lifted.curved else None
        # The tape holds what the jets hold and no more: a ReLU's input, for one, is free to go.
        jet = lifted._replace(value=_NOTHING, inputs=())
        self._entries.append(Entry(inputs, number, lifted.value.shape, jet, edge))
        self._uses.update(inputs)
        return number

    @property
    def loops(self) -> bool:
        """True for a recurrence that was recorded step by step, of which the graph of the gradient is faster.

        A weight that serves at every step has no cheap product along its gradient, and a jet in Python costs more than
        a small product. Of an LSTM of 64 by hand, 24 steps, jets take 1.8 times as long as the graph, of cells of 16
        to 256 they take 1.0 to 1.9 times; of a layer that runs all its steps in one call, a third to once
        (tests/benchmarks/curvature.py). What counts is what was recorded, so that the answer is the same everywhere.
        """
        if max((self._uses[number] for number in range(len(self._names))), default=0) < LOOP:
            return False
        cells = any(entry.lifted.cell for entry in self._entries)
        return cells or self._macs() < SMALL * len(self._entries)

    def _macs(self) -> float:
        return gradient_macs((entry.lifted, entry.inputs) for entry in self._entries)

    def differentiate(self, loss: Tensor, leaves: Tensors) -> None:
        """The gradient and the adjoints that are needed, in one backward pass.

        Args:
            loss: a scalar, of the calls that were noted
            leaves: the parameters, by name
        """
        bends = [entry for entry in self._entries if entry.edge is not None]
        asked = [*leaves.values(), *(entry.edge for entry in bends)]
        found = torch.autograd.grad(loss, asked, allow_unused=True)
        own, adjoints = found[: len(leaves)], found[len(leaves) :]
        self.gradient = {
            name: torch.zeros_like(leaf) if grad is None else grad
            for (name, leaf), grad in zip(leaves.items(), own, strict=True)
        }
        self._adjoints = {entry.output: adjoint for entry, adjoint in zip(bends, adjoints, strict=True)}
        self.loss = loss.detach()

    @torch.no_grad()
    def curvature(self, along: Along) -> Bent:
        """⟨∇²J v, v⟩ and its price: the products of the tangent pass over those of the gradient."""
        jets = {number: Jet(along.vector[name]) for number, name in enumerate(self._names)}
        last = {number: entry.output for entry in self._entries for number in entry.inputs}
        terms: list[Tensor] = []
        spent = 0.0
        for entry in self._entries:
            out = self._jet(entry, [jets.get(number, ZERO) for number in entry.inputs], along)  # type: ignore[arg-type]
            adjoint = self._adjoints.get(entry.output)
            if out.second is not None and adjoint is not None:
                terms.append(torch.dot(adjoint.flatten(), out.second.flatten()))
            jets[entry.output] = Jet(shaped(out.first, entry.shape))
            spent += out.macs
            for number in set(entry.inputs):  # what nobody will ask for again
                if last.get(number) == entry.output:
                    jets.pop(number, None)  # type: ignore[arg-type]
        price = self._macs()
        total = torch.stack(terms).sum() if terms else self.loss.new_zeros(())
        return Bent(total, spent / price if price else 1.0)

    def _jet(self, entry: Entry, inputs: list[Jet], along: Along) -> Jet:
        adjoint, weight = self._adjoints.get(entry.output), self._own_weight(entry)
        if entry.lifted.own is None or along.scale is None or adjoint is None or weight is None:
            return entry.lifted.jet(*inputs)
        return entry.lifted.own(Own(adjoint, along.scale, along.decay.get(weight, 0.0)), *inputs)

    def _own_weight(self, entry: Entry) -> str | None:
        """The parameter whose gradient comes from this call alone, as it is.

        One that serves twice has a sum of two; a hook may have made another of it.
        """
        weight = entry.inputs[1] if len(entry.inputs) > 1 else None
        if weight is None or weight >= len(self._names) or self._uses[weight] > 1:
            return None
        return None if self._names[weight] in self._hooked else self._names[weight]


def shaped(tangent: Tensor | None, shape: torch.Size) -> Tensor | None:
    """A tangent in the shape of its tensor: jets may leave it to be broadcast.

    Args:
        tangent: Ẋ or Ẍ; None is zero, and stays None
        shape: of X
    """
    return tangent if tangent is None or tangent.shape == shape else tangent.expand(shape)


def gradient_macs(calls: object) -> float:
    """Multiply-adds of a gradient: a layer's output, its weight's gradient, and its input's where that is asked for."""
    return sum(lifted.macs * (2 if inputs[0] is None else 3) for lifted, inputs in calls if lifted.macs)  # type: ignore[attr-defined]


class Recorded(NamedTuple):
    """An objective that was run once, on a tape."""

    loss: Tensor
    tape: Tape | None  # not differentiated yet; None where a call has no jet
    refused: str = ""  # why there is none


def recorded(objective: Objective, leaves: Tensors) -> Recorded:
    """Run `objective` at `leaves` on a tape.

    Args:
        objective: from parameters by name to a scalar
        leaves: parameters that require a gradient
    """
    tape = Tape(leaves)
    recorder = Recorder([(leaf, number) for number, leaf in enumerate(leaves.values())], tape.note)
    loss, noted = recorder.run(objective, leaves)
    return Recorded(loss, None, str(recorder.refused)) if noted is None else Recorded(loss, tape)


def tape_of(objective: Objective, leaves: Tensors) -> Tape | Graph:
    """The gradient of `objective` at `leaves` on a tape; with its graph where a call in it has no jet.

    Args:
        objective: from parameters by name to a scalar
        leaves: parameters that require a gradient
    """
    loss, tape, _ = recorded(objective, leaves)
    return _differentiated(loss, tape, leaves)


def faster_of(objective: Objective, leaves: Tensors) -> Tape | Graph:
    """The gradient of `objective` at `leaves` on a tape, or with its graph where that is the faster way.

    Args:
        objective: from parameters by name to a scalar
        leaves: parameters that require a gradient
    """
    loss, tape, _ = recorded(objective, leaves)
    return _differentiated(loss, None if tape is None or tape.loops else tape, leaves)


def _differentiated(loss: Tensor, tape: Tape | None, leaves: Tensors) -> Tape | Graph:
    if tape is None:
        return Graph(loss, leaves)
    tape.differentiate(loss, leaves)
    return tape
