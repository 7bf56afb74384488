"""What a rule may ask of one mini-batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import torch
from torch import Tensor

Tensors: TypeAlias = dict[str, Tensor]
"""Parameters, gradients or directions by parameter name; the names carry the layers."""

Objective: TypeAlias = Callable[[Tensors], Tensor]
"""The mini-batch loss as a function of the parameters: same data and same noise at every call."""

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

    def __init__(self, objective: Objective, gradient_clip: float | None = None) -> None:
        """`gradient_clip` is the largest Euclidean norm a gradient may have; a longer one is shortened to it."""
        self._objective = objective
        self._clip = gradient_clip
        self.passes = 0.0

    def loss(self, params: Tensors) -> Tensor:
        """J(θ), a scalar; half a pass."""
        self.passes += FORWARD
        with torch.no_grad():
            return self._objective(params)

    def gradient(self, params: Tensors) -> tuple[Tensor, Tensors]:
        """J(θ) and ∇J(θ), shaped like the parameters; one pass."""
        self.passes += 2 * FORWARD
        with _leaves(params) as leaves:
            loss = self._objective(leaves)
            gradient = _gradients(loss, leaves)
            return loss.detach(), gradient if self._clip is None else clipped(gradient, self._clip)

    def hessian_vector(self, params: Tensors, vector: Tensors) -> Tensors:
        """∇²J(θ) v, exactly, by reverse over reverse: ∂/∂θ ⟨∇J(θ), v⟩; three passes.

        >>> oracle = Oracle(lambda params: 1.5 * (params["w"] ** 2).sum())
        >>> oracle.hessian_vector({"w": torch.ones(2)}, {"w": torch.tensor([1.0, 2.0])})["w"].tolist()
        [3.0, 6.0]
        """
        self.passes += 6 * FORWARD
        with _leaves(params) as leaves:
            gradient = torch.autograd.grad(self._objective(leaves), list(leaves.values()), create_graph=True)
            slope = inner(dict(zip(leaves, gradient, strict=True)), vector)
            return _gradients(slope, leaves)

    def curvature(self, params: Tensors, vector: Tensors) -> Tensor:
        """⟨∇²J(θ) v, v⟩, a scalar; three passes."""
        return inner(self.hessian_vector(params, vector), vector)


def inner(left: Tensors, right: Tensors) -> Tensor:
    """The inner product ⟨left, right⟩ over all tensors, a scalar.

    >>> inner({"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 4.0])}).item()
    11.0
    """
    return torch.stack([(value * right[name]).sum() for name, value in left.items()]).sum()


def products(left: Tensors, right: Tensors) -> Tensors:
    """The inner product of each pair of tensors, in one pass over memory.

    >>> products({"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([3.0, 4.0])})
    {'w': tensor(11.)}
    """
    return {name: torch.dot(tensor.reshape(-1), right[name].reshape(-1)) for name, tensor in left.items()}


def total(parts: Tensors) -> Tensor:
    """The sum of scalars, in double precision."""
    return torch.stack(list(parts.values())).sum(dtype=torch.float64)


def clipped(gradient: Tensors, max_norm: float) -> Tensors:
    """G · min(1, max_norm/‖g‖), the norm taken over all tensors (Pascanu, Mikolov & Bengio 2013, Algorithm 1).

    >>> clipped({"w": torch.tensor([3.0, 4.0])}, max_norm=1.0)["w"].tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    factor = (max_norm / inner(gradient, gradient).sqrt()).clamp(max=1.0)
    return {name: factor * grad for name, grad in gradient.items()}


@contextmanager
def _leaves(params: Tensors) -> Iterator[Tensors]:
    """The parameters as fresh leaves of a graph that ends here."""
    with torch.enable_grad():
        yield {name: param.detach().requires_grad_() for name, param in params.items()}


def _gradients(loss: Tensor, leaves: Tensors) -> Tensors:
    gradient = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, gradient, strict=True))
