"""Curvature of any objective at all: reverse over reverse."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from trainables.second_order.jets import Along, Bent, inner


class Graph:
    """A gradient whose own graph is kept, so that it can be differentiated once more: exact for every objective.

    ⟨∇²J v, v⟩ = ⟨∂/∂θ ⟨∇J(θ), v⟩, v⟩ (Pearlmutter 1994). Each of a layer's three products in the gradient has
    two derivatives that are products again: two gradients more.
    """

    price = 2.0

    def __init__(self, loss: Tensor, leaves: dict[str, Tensor]) -> None:
        self._leaves = leaves
        self.loss = loss
        found = torch.autograd.grad(loss, list(leaves.values()), create_graph=True, materialize_grads=True)
        self.gradient = dict(zip(leaves, found, strict=True))

    def product(self, vector: dict[str, Tensor]) -> dict[str, Tensor]:
        """∇²J v."""
        with torch.enable_grad():
            slope = inner(self.gradient, vector)
            if not slope.requires_grad:  # a gradient that does not depend on θ: J is linear
                return {name: torch.zeros_like(leaf) for name, leaf in self._leaves.items()}
            # The graph is kept, so that a second direction may be asked for.
            found = torch.autograd.grad(slope, list(self._leaves.values()), retain_graph=True, materialize_grads=True)
        return dict(zip(self._leaves, found, strict=True))

    def curvature(self, along: Along) -> Bent:
        """⟨∇²J v, v⟩."""
        return Bent(inner(self.product(along.vector), along.vector), self.price)


def graph_of(objective: Callable[[dict[str, Tensor]], Tensor], leaves: dict[str, Tensor]) -> Graph:
    """The gradient of `objective` at `leaves`, its graph kept.

    Args:
        objective: from parameters by name to a scalar
        leaves: parameters that require a gradient
    """
    with twice_differentiable(), Unfused() if any(leaf.is_cuda for leaf in leaves.values()) else nullcontext():
        loss = objective(leaves)
    return Graph(loss, leaves)


class Unfused(TorchFunctionMode):
    """Recurrent layers step by step: cuDNN's have a first derivative only."""

    layers = frozenset({torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call it, a recurrent layer without cuDNN."""
        with torch.backends.cudnn.flags(enabled=False) if func in self.layers else nullcontext():
            return func(*args, **(kwargs or {}))


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Attention by its mathematical form, and nothing compiled: fused, both have a first derivative only.

    Where somebody watches the calls, torch would compile that as well, call by call.
    """
    compiles = "torch._dynamo" in sys.modules  # to import it takes seconds; without it nothing is compiled
    with sdpa_kernel(SDPBackend.MATH), torch.compiler.set_stance("force_eager") if compiles else nullcontext():
        yield
