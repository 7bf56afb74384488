"""Directions: what a base optimizer would add per unit of learning rate; one file a base optimizer."""

from abc import abstractmethod
from typing import Any, ClassVar, TypeAlias

from torch import Tensor

from trainables.components import Component

State: TypeAlias = Any
"""A NamedTuple or a tuple of tensors, one shape a field; never written into, always replaced."""


class Direction(Component):
    """From a gradient to the direction d in  θ ← θ − rate · d,  one tensor at a time and purely.

    `descends` is True where ⟨gradient, d⟩ > 0 always holds, which curvature rescaling needs. `elementwise` is True
    where every element goes its own way, its state shaped like the tensor or a scalar that no gradient decides: many
    tensors may then be taken for one (trainables/updates/flat.py). One with a norm or a mean of its tensor in it
    leaves it.
    """

    descends: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False

    @abstractmethod
    def init(self, param: Tensor) -> State:
        """The state before the first step of one tensor."""

    @abstractmethod
    def apply(self, grad: Tensor, state: State, param: Tensor) -> tuple[Tensor, State]:
        """Turn a gradient into a direction.

        Args:
            grad: of one tensor, coupled weight decay included
            state: from `init`, or from the step before
            param: the tensor itself, shaped like its gradient

        Returns:
            The direction, shaped like the gradient, and the state after it, in the form of the one before.
        """
