"""Loss, gradient and curvature of one mini-batch: all that a rule may ask."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from trainables.refusal import Refusal
from trainables.second_order.graph import Graph, graph_of
from trainables.second_order.jets import Along, inner
from trainables.second_order.sweep import sweep
from trainables.second_order.tape import Tape, tape_of

Tensors: TypeAlias = dict[str, Tensor]
"""Parameters, gradients or directions by parameter name; the names carry the layers."""

Objective: TypeAlias = Callable[[Tensors], Tensor]
"""The mini-batch loss as a function of the parameters: same data and same noise at every call."""

Recipe: TypeAlias = Literal["adjoints", "sweep", "graph"]
"""The exact ways to a curvature along a direction that the gradient decides: keep what a tangent pass after the
gradient needs (twice the memory), sweep forward anew (nothing kept), or keep the gradient's own graph."""

FORWARD = 0.5
"""The price of a forward pass in gradients; a backward pass is the other half."""


class Oracle:
    """Loss, gradient and curvature of one mini-batch under one realisation of its noise.

    `passes` counts what was asked, in gradient equivalents (de Gournay & Gossard 2022, arXiv 2210.14520,
    section 3: a forward or a backward pass is half a gradient each).

    >>> oracle = Oracle(lambda params: (params["w"] ** 2).sum())
    >>> loss, gradient = oracle.gradient({"w": torch.tensor([1.0, 2.0])})
    >>> loss.item(), gradient["w"].tolist(), oracle.passes
    (5.0, [2.0, 4.0], 1.0)
    """

    def __init__(
        self,
        objective: Objective,
        gradient_clip: float | None = None,
        part: Callable[[float], Objective] | None = None,
        leaves: Callable[[Tensors], AbstractContextManager[Tensors]] | None = None,
    ) -> None:
        """`gradient_clip` is the largest Euclidean norm a gradient may have; a longer one is shortened to it.

        `part` makes the objective of the first examples of the batch, given their share of it. `leaves` says what the
        objective is differentiated by, given the parameters' values: fresh leaves, unless it has leaves of its own.
        """
        self._objective = objective
        self._leaves = leaves or _leaves
        self._clip = gradient_clip
        self._part = part
        self._kept: tuple[Tensors, Graph | Tape] | None = None
        self._factor: Tensor | float = 1.0
        self.passes = 0.0

    def loss(self, params: Tensors) -> Tensor:
        """J(θ), a scalar; half a pass."""
        self.passes += FORWARD
        with torch.no_grad():
            return self._objective(params).detach()

    def gradient(self, params: Tensors, keep: Recipe | None = None) -> tuple[Tensor, Tensors]:
        """J(θ) and ∇J(θ), shaped like the parameters; one pass.

        Args:
            params: θ by name
            keep: how the curvature at these `params` will be asked for; the gradient keeps what that needs

        Returns:
            The loss, a scalar, and the gradient by name.

        Raises:
            Refusal: a curvature is to follow, and a gradient is sparse.
        """
        self.passes += 2 * FORWARD
        with torch.enable_grad(), self._leaves(params) as leaves:
            if keep in ("graph", "adjoints"):
                kept = (graph_of if keep == "graph" else tape_of)(self._objective, leaves)
                self._kept = (params, kept)
                loss, gradient = kept.loss, {name: grad.detach() for name, grad in kept.gradient.items()}
            else:
                loss = self._objective(leaves)
                gradient = _gradients(loss, leaves)
        sparse = [name for name, grad in gradient.items() if grad.is_sparse]
        if keep is not None and sparse:
            raise Refusal(f"a curvature needs dense gradients, {sparse[0]!r} has a sparse one: say sparse=False")
        if self._clip is not None:
            self._factor = clip_factor(gradient, self._clip)
            gradient = {name: self._factor * grad for name, grad in gradient.items()}
        return loss.detach(), gradient

    def hessian_vector(self, params: Tensors, vector: Tensors) -> Tensors:
        """∇²J(θ) v, exactly, by reverse over reverse: ∂/∂θ ⟨∇J(θ), v⟩; three passes.

        Args:
            params: θ, by name
            vector: v, by the same names

        Returns:
            The product by name.

        >>> oracle = Oracle(lambda params: 1.5 * (params["w"] ** 2).sum())
        >>> oracle.hessian_vector({"w": torch.ones(2)}, {"w": torch.tensor([1.0, 2.0])})["w"].tolist()
        [3.0, 6.0]
        """
        self.passes += 2 * FORWARD + Graph.price
        with torch.enable_grad(), self._leaves(params) as leaves:
            return graph_of(self._objective, leaves).product(vector)

    def curvature(
        self,
        params: Tensors,
        vector: Tensors,
        own_decay: Mapping[str, Any] | None = None,
        share: float = 1.0,
    ) -> Tensor:
        """⟨∇²J(θ) v, v⟩, a scalar, exactly.

        At the `params` of a gradient that kept something, by its recipe; elsewhere by a forward sweep.

        Args:
            params: θ by name
            vector: v, shaped like them
            own_decay: for a `vector` that is that gradient plus λθ: λ by name, empty where there is no decay
            share: of the batch's first examples that are measured on, in (0, 1]

        >>> oracle, params = Oracle(lambda params: (params["w"] ** 3).sum()), {"w": torch.tensor([1.0, 2.0])}
        >>> _, gradient = oracle.gradient(params, keep="graph")
        >>> oracle.curvature(params, gradient, own_decay={}).item(), oracle.passes  # Σ 6w (3w²)²
        (1782.0, 3.0)
        """
        along = Along(vector, None if own_decay is None else self._factor, own_decay or {})
        if self._kept is not None and self._kept[0] is params and share == 1.0:
            bent = self._kept[1].curvature(along)
            self.passes += bent.price
        else:
            with torch.enable_grad(), self._leaves(params) as leaves:
                bent = sweep(self._share(share), leaves, along)
            self.passes += share * bent.price
        return bent.curvature

    def _share(self, share: float) -> Objective:
        if share == 1.0:
            return self._objective
        if self._part is None:
            raise Refusal(f"share: {share} needs a batch that can be divided: set it to 1, or give the oracle `part`")
        return self._part(share)


def products(left: Tensors, right: Tensors) -> Tensors:
    """The inner product of each pair of tensors, in one pass over memory.

    Args:
        left: tensors by name
        right: tensors of the same names and shapes

    Returns:
        One scalar a name.

    >>> products({"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 4.0])})
    {'w': tensor(11.)}
    """
    return {name: torch.dot(tensor.reshape(-1), right[name].reshape(-1)) for name, tensor in left.items()}


def total(parts: Tensors) -> Tensor:
    """The sum of scalars, in double precision."""
    return torch.stack(list(parts.values())).sum(dtype=torch.float64)


def clipped(gradient: Tensors, max_norm: float) -> Tensors:
    """g · min(1, max_norm/‖g‖), the norm taken over all tensors (Pascanu, Mikolov & Bengio 2013, Algorithm 1).

    Args:
        gradient: g, by name; not written into
        max_norm: the largest norm that passes untouched

    >>> clipped({"w": torch.tensor([3.0, 4.0])}, max_norm=1.0)["w"].tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    factor = clip_factor(gradient, max_norm)
    return {name: factor * grad for name, grad in gradient.items()}


def clip_factor(gradient: Tensors, max_norm: float) -> Tensor:
    """min(1, max_norm/‖g‖), a scalar.

    Args:
        gradient: g, by name
        max_norm: the largest norm that passes untouched
    """
    return (max_norm / inner(gradient, gradient).sqrt()).clamp(max=1.0)


@contextmanager
def _leaves(params: Tensors) -> Iterator[Tensors]:
    """The parameters as fresh leaves of a graph that ends here."""
    yield {name: param.detach().requires_grad_() for name, param in params.items()}


def _gradients(loss: Tensor, leaves: Tensors) -> Tensors:
    gradient = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, gradient, strict=True))
