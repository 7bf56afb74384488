"""Loss, gradient and curvature of the mini-batches of one step: all that a rule may ask."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Self

import torch
from torch import Tensor

from trainables.minibatch import FORWARD, Minibatch, Objective, Recipe, Tensors
from trainables.refusal import Refusal
from trainables.second_order.jets import Along, inner

__all__ = [
    "FORWARD",
    "Objective",
    "Oracle",
    "Recipe",
    "Tensors",
    "clip_factor",
    "clipped",
    "inner",
    "products",
    "total",
]


class Oracle:
    """Loss, gradient and curvature of one mini-batch, or of several on average, under one realisation of their noise.

    `passes` counts what was asked, in gradient equivalents of a mini-batch (de Gournay & Gossard 2022, arXiv
    2210.14520, section 3: a forward or a backward pass is half a gradient each).

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
        self._minibatches, self._weights = [Minibatch(objective, part, leaves)], [1.0]
        self._clip = gradient_clip
        self._factor: Tensor | float = 1.0

    @classmethod
    def over(cls, minibatches: Sequence[Minibatch], weights: Sequence[float], gradient_clip: float | None) -> Self:
        """The oracle of Σ wᵢ Jᵢ, which holds one mini-batch's graph at a time.

        Args:
            minibatches: J₁, J₂, …, asked in this order
            weights: w₁, w₂, …, which add up to 1
            gradient_clip: of the norm of the sum

        >>> batches = [Minibatch(lambda at: at["w"].sum()), Minibatch(lambda at: 3 * at["w"].sum())]
        >>> Oracle.over(batches, [0.5, 0.5], None).gradient({"w": torch.ones(1)})[1]
        {'w': tensor([2.])}
        """
        oracle = cls(minibatches[0].objective, gradient_clip)
        oracle._minibatches, oracle._weights = list(minibatches), list(weights)
        return oracle

    @property
    def passes(self) -> float:
        """The price so far, over all mini-batches."""
        return sum(each.passes for each in self._minibatches)

    def loss(self, params: Tensors) -> Tensor:
        """J(θ), a scalar; half a pass a mini-batch."""
        return self._sum([each.loss(params) for each in self._minibatches])

    @property
    def clipped_to(self) -> Tensor | float:
        """The factor by which the last gradient was shortened; 1 where it was not."""
        return self._factor

    def gradient(self, params: Tensors, keep: Recipe | None = None) -> tuple[Tensor, Tensors]:
        """J(θ) and ∇J(θ), shaped like the parameters; one pass a mini-batch.

        Args:
            params: θ by name
            keep: how the curvature at these `params` will be asked for; the gradient keeps what that needs

        Returns:
            The loss, a scalar, and the gradient by name.

        Raises:
            Refusal: a curvature is to follow, and a gradient is sparse.
        """
        loss, gradient = self._mean_gradient(params, keep)
        sparse = [name for name, grad in gradient.items() if grad.is_sparse]
        if keep is not None and sparse:
            raise Refusal(f"a curvature needs dense gradients, {sparse[0]!r} has a sparse one: say sparse=False")
        if self._clip is not None:
            self._factor = clip_factor(gradient, self._clip)
            gradient = {name: self._factor * grad for name, grad in gradient.items()}
        return loss, gradient

    def _mean_gradient(self, params: Tensors, keep: Recipe | None) -> tuple[Tensor, Tensors]:
        first, *others = self._minibatches
        loss, gradient = first.gradient(params, keep)
        if not others:
            return loss, gradient
        losses, gradient = [loss], {name: self._weights[0] * grad for name, grad in gradient.items()}
        for minibatch, weight in zip(others, self._weights[1:], strict=True):
            loss, found = minibatch.gradient(params, keep)
            losses.append(loss)
            gradient = {name: torch.add(grad, found[name], alpha=weight) for name, grad in gradient.items()}
        return self._sum(losses), gradient

    def hessian_vector(self, params: Tensors, vector: Tensors) -> Tensors:
        """∇²J(θ) v, exactly, by reverse over reverse: ∂/∂θ ⟨∇J(θ), v⟩; three passes a mini-batch.

        Args:
            params: θ, by name
            vector: v, by the same names

        Returns:
            The product by name.

        >>> oracle = Oracle(lambda params: 1.5 * (params["w"] ** 2).sum())
        >>> oracle.hessian_vector({"w": torch.ones(2)}, {"w": torch.tensor([1.0, 2.0])})["w"].tolist()
        [3.0, 6.0]
        """
        found = [each.hessian_vector(params, vector) for each in self._minibatches]
        return {name: self._sum([product[name] for product in found]) for name in vector}

    def curvature(
        self,
        params: Tensors,
        vector: Tensors,
        own_decay: Mapping[str, Any] | None = None,
        share: float = 1.0,
        recipe: Recipe = "sweep",
    ) -> Tensor:
        """⟨∇²J(θ) v, v⟩, a scalar, exactly.

        At the `params` of a gradient that kept something, by its recipe; elsewhere anew.

        Args:
            params: θ by name
            vector: v, shaped like them
            own_decay: for a `vector` that is that gradient plus λθ: λ by name, empty where there is no decay
            share: of the first examples of each mini-batch that are measured on, in (0, 1]
            recipe: anew by the graph of a gradient if it says so, else by a forward sweep

        >>> oracle, params = Oracle(lambda params: (params["w"] ** 3).sum()), {"w": torch.tensor([1.0, 2.0])}
        >>> _, gradient = oracle.gradient(params, keep="graph")
        >>> oracle.curvature(params, gradient, own_decay={}).item(), oracle.passes  # Σ 6w (3w²)²
        (1782.0, 3.0)
        """
        own = own_decay is not None and len(self._minibatches) == 1  # a mean gradient is no batch's own
        along = Along(vector, self._factor if own else None, (own_decay or {}) if own else {})
        return self._sum([each.curvature(params, along, share, recipe) for each in self._minibatches])

    def _sum(self, parts: Sequence[Tensor]) -> Tensor:
        """Σ wᵢ of one part a mini-batch."""
        if len(parts) == 1:
            return parts[0]
        return torch.stack([weight * part for weight, part in zip(self._weights, parts, strict=True)]).sum(0)


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
