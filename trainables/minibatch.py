"""One mini-batch of a step: its loss as a function of the parameters, and what is computed from it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from trainables.refusal import Refusal
from trainables.second_order.graph import Graph, graph_of
from trainables.second_order.jets import Along, Bent
from trainables.second_order.sweep import sweep
from trainables.second_order.tape import Tape, faster_of, tape_of

Tensors: TypeAlias = dict[str, Tensor]
"""Parameters, gradients or directions by parameter name; the names carry the layers."""

Objective: TypeAlias = Callable[[Tensors], Tensor]
"""The mini-batch loss as a function of the parameters: same data and same noise at every call."""

Recipe: TypeAlias = Literal["auto", "adjoints", "sweep", "graph"]
"""The exact ways to a curvature along a direction that the gradient decides: keep what a tangent pass after the
gradient needs (twice the memory), sweep forward anew (nothing kept), or keep the gradient's own graph. `auto` is the
faster one of adjoints and graph, by a rule on the calls that were recorded (`Tape.loops`)."""

_KEPT = {"auto": faster_of, "adjoints": tape_of, "graph": graph_of}

FORWARD = 0.5
"""The price of a forward pass in gradients; a backward pass is the other half."""


class Minibatch:
    """The loss of one mini-batch under one realisation of its noise, what was kept of it, and what it has cost.

    >>> batch = Minibatch(lambda params: (params["w"] ** 2).sum())
    >>> batch.loss({"w": torch.tensor([1.0, 2.0])}).item(), batch.passes
    (5.0, 0.5)
    """

    def __init__(
        self,
        objective: Objective,
        part: Callable[[float], Objective] | None = None,
        leaves: Callable[[Tensors], AbstractContextManager[Tensors]] | None = None,
    ) -> None:
        """`part` and `leaves` are those of an `Oracle`."""
        self.objective = objective
        self._part = part
        self._leaves = leaves or _leaves
        self._kept: tuple[Tensors, Graph | Tape] | None = None
        self.passes = 0.0

    def loss(self, params: Tensors) -> Tensor:
        """J(θ), a scalar; half a pass."""
        self.passes += FORWARD
        with torch.no_grad():
            return self.objective(params).detach()

    def gradient(self, params: Tensors, keep: Recipe | None) -> tuple[Tensor, Tensors]:
        """J(θ) and ∇J(θ); one pass.

        Args:
            params: θ by name
            keep: how the curvature at these `params` will be asked for
        """
        self.passes += 2 * FORWARD
        with torch.enable_grad(), self._leaves(params) as leaves:
            if keep in _KEPT:
                kept = _KEPT[keep](self.objective, leaves)
                self._kept = (params, kept)
                loss, gradient = kept.loss, {name: grad.detach() for name, grad in kept.gradient.items()}
            else:
                loss = self.objective(leaves)
                gradient = _gradients(loss, leaves)
        return loss.detach(), gradient

    def hessian_vector(self, params: Tensors, vector: Tensors) -> Tensors:
        """∇²J(θ) v; three passes.

        Args:
            params: θ by name
            vector: v, by the same names
        """
        self.passes += 2 * FORWARD + Graph.price
        with torch.enable_grad(), self._leaves(params) as leaves:
            return graph_of(self.objective, leaves).product(vector)

    def curvature(self, params: Tensors, along: Along, share: float, recipe: Recipe = "sweep") -> Tensor:
        """⟨∇²J(θ) v, v⟩, a scalar.

        Args:
            params: θ by name
            along: v
            share: of the batch's first examples that are measured on, in (0, 1]
            recipe: where nothing was kept: by the graph of a gradient if it says so, else by a forward sweep
        """
        if self._kept is not None and self._kept[0] is params and share == 1.0:
            bent = self._kept[1].curvature(along)
            self.passes += bent.price
        else:
            with torch.enable_grad(), self._leaves(params) as leaves:
                bent = _anew(self._share(share), leaves, along, recipe)
            self.passes += share * bent.price
        return bent.curvature

    def _share(self, share: float) -> Objective:
        if share == 1.0:
            return self.objective
        if self._part is None:
            raise Refusal(f"share: {share} needs a batch that can be divided: set it to 1, or give the oracle `part`")
        return self._part(share)


def _anew(objective: Objective, leaves: Tensors, along: Along, recipe: Recipe) -> Bent:
    """A curvature of which nothing was kept."""
    if recipe != "graph":
        return sweep(objective, leaves, along)
    bent = graph_of(objective, leaves).curvature(along)
    return Bent(bent.curvature, 2 * FORWARD + bent.price)


@contextmanager
def _leaves(params: Tensors) -> Iterator[Tensors]:
    """The parameters as fresh leaves of a graph that ends here."""
    yield {name: param.detach().requires_grad_() for name, param in params.items()}


def _gradients(loss: Tensor, leaves: Tensors) -> Tensors:
    gradient = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, gradient, strict=True))
