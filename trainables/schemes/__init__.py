"""Schemes: the rules that choose the rate, that is how far to go along the direction; one file a family."""

from abc import abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar, NamedTuple, TypeAlias

from torch import Tensor

from trainables.components import Component
from trainables.oracle import Oracle, Recipe, Tensors

State: TypeAlias = Any
"""Any nesting of NamedTuples, tuples and dicts whose leaves are tensors; replaced, never written into."""


class Gradients(NamedTuple):
    """The gradient of one mini-batch, before and after coupled weight decay (g and g + λθ)."""

    raw: Tensors
    decayed: Tensors
    weight_decay: dict[str, Any] | None = None  # λ by name, of the parameters that coupled decay pulls


class Rate(NamedTuple):
    """The rate of one step, which is −base · scale ⊙ direction, and decoupled decay multiplies by base alone."""

    base: Tensor  # a scalar
    scale: Tensors | None = None  # one tensor a parameter, broadcast against it; None is 1 everywhere


class Known(NamedTuple):
    """All that is known before a step; what a scheme chooses the rate from."""

    oracle: Oracle | None  # asked for more than the gradient; there when the scheme `asks`
    grads: Gradients
    direction: Tensors  # what the base optimizer would add for a rate of 1, by the parameters' names
    state: State  # the scheme's own
    params: Tensors
    progress: Tensor  # of the training, in [0, 1], a scalar
    numel: Tensor | int | None = None  # of all that train, where some of what stands in `params` is no parameter's
    frozen: Collection[str] = ()  # the parameters that do not train; their gradients and directions are 0


class Scheme(Component):
    """From what is known before a step to its rate, purely: state in, state out.

    A scheme that needs more than the gradient asks the oracle, a bounded number of times a step, and says
    so with `asks = True`. One that trusts ⟨gradient, direction⟩ > 0 says `needs_descent`; one whose control flow
    depends on the data, or whose oracle calls have no batching rule, says `vmaps = False`. One that says `elementwise`
    treats elements alone, but for sums over all of them to which an element without gradient adds nothing: many
    parameters may be given to it as one, with zeros in between. Its state is a tuple of tensors by name and of scalars.
    One that says `blind` looks at no tensor at all: its rate is there before any direction is, its scale one scalar a
    name, its state scalars. It may be shown parameters alone, laid together under any names.
    """

    asks: ClassVar[bool] = False
    needs_descent: ClassVar[bool] = False
    vmaps: ClassVar[bool] = True
    elementwise: ClassVar[bool] = False
    blind: ClassVar[bool] = False

    @abstractmethod
    def init(self, params: Tensors) -> State:
        """The state before the first step."""

    @abstractmethod
    def rate(self, known: Known) -> tuple[Rate, State]:
        """Choose the rate of this step.

        Args:
            known: all that is known before it: gradients, direction, the scheme's state, parameters, progress

        Returns:
            The rate, and the scheme's state after the step, in the form of the one before.
        """

    # The hooks below are the one place where a method may be replaced: almost no scheme needs them.

    def keeps(self, state: State) -> Recipe | None:
        """The recipe of `Oracle.curvature` that this step's gradient prepares; None if it will not be asked."""
        return None

    def after_epoch(self, state: State, valid_score: float) -> State:
        """Take notice of an evaluation.

        Args:
            state: the scheme's own
            valid_score: the validation score, higher is better

        Returns:
            The state after it.
        """
        return state

    def extras(self, state: State) -> dict[str, Tensor]:
        """Scalars of this scheme that belong into every `Record`, by name."""
        return {}

    @property
    def fine(self) -> bool:
        """True where its state moves by small steps in the parameters' type, so that in 16 bits it stands still."""
        return False

    @property
    def scaled(self) -> bool:
        """True where its `Rate` has a scale: the rate of a record is not that of every parameter."""
        return False

    @property
    def layered(self) -> bool:
        """True where it reads layers off the parameters' names, so that nameless parameters will not do."""
        return False
