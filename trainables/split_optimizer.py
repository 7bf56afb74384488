"""A split behind torch's own interface: two optimizers that step as one, in a loop of one's own."""

from collections.abc import Callable
from typing import Any

import torch

from trainables.packaged import asked
from trainables.refusal import Refusal


class SplitOptimizer(torch.optim.Optimizer):
    """Steps two optimizers, each with the parameters that it was made of; their groups are its groups.

    >>> matrix, vector = torch.nn.Parameter(torch.ones(1, 1)), torch.nn.Parameter(torch.ones(1))
    >>> both = SplitOptimizer(torch.optim.SGD([matrix], lr=0.5), torch.optim.SGD([vector], lr=0.25))
    >>> matrix.grad, vector.grad = torch.ones(1, 1), torch.ones(1)
    >>> both.step()
    >>> matrix.item(), vector.item()
    (0.5, 0.75)
    """

    def __init__(self, hidden: torch.optim.Optimizer, rest: torch.optim.Optimizer) -> None:
        """Take both, of the hidden matrices and of the rest."""
        groups = [*hidden.param_groups, *rest.param_groups]
        super().__init__([param for group in groups for param in group["params"]], {})
        self.hidden, self.rest = hidden, rest
        self.param_groups = groups  # the very same: whoever changes a rate there changes it

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Refused but while it is made: nobody says which side a new group is of."""
        if hasattr(self, "rest"):
            raise Refusal("a split takes no further parameters: give it the whole model, what comes later frozen")
        super().add_param_group(param_group)

    @property
    def sides(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Both, the one of the hidden matrices first."""
        return self.hidden, self.rest

    @property
    def hidden_share(self) -> float:
        """The share of all numbers in the parameters that train which are in hidden matrices."""
        mine, others = (
            sum(param.numel() for group in side.param_groups for param in group["params"] if param.requires_grad)
            for side in self.sides
        )
        return mine / (mine + others)

    def step(self, closure: Callable[[], Any] | None = None, loss: Any = None) -> Any:  # type: ignore[override]  — torch has overloads
        """One step of both, on the gradients that are there.

        Args:
            closure: computes the loss and its gradients anew; called once
            loss: of these gradients, for an optimizer that asks for it

        Returns:
            The loss, where one of both is given.
        """
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for side in self.sides:
            step: Any = side.step
            step(**({"loss": loss} if "loss" in asked(side) else {}))
        return loss

    def eval(self) -> None:
        """Put averages in the places of the parameters, where one of both keeps some."""
        self._switch("eval")

    def train(self) -> None:
        """Put the parameters back."""
        self._switch("train")

    def _switch(self, mode: str) -> None:
        for side in self.sides:
            if hasattr(side, mode):
                getattr(side, mode)()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "hidden": self.hidden, "rest": self.rest}  # torch's own drops attributes

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"hidden": self.hidden.state_dict(), "rest": self.rest.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue both from their states."""
        self.hidden.load_state_dict(state_dict["hidden"])
        self.rest.load_state_dict(state_dict["rest"])
        self.param_groups = [*self.hidden.param_groups, *self.rest.param_groups]
