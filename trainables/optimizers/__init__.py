"""Other people's tuning-free optimizers as a rule; one file a package."""

import contextlib
import io
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from trainables.components import Component, name_of
from trainables.oracle import Oracle, Tensors
from trainables.refusal import Refusal, not_installed
from trainables.rules import Rule, Step
from trainables.schedules import Constant, Schedule


class Optimizer(Component):
    """A `torch.optim.Optimizer` from a package, with the hyper-parameters that its authors say to tune."""

    package: ClassVar[str]  # as it is imported
    lr: float

    @abstractmethod
    def make(self, params: list[nn.Parameter]) -> torch.optim.Optimizer:
        """A new optimizer of these parameters."""

    @abstractmethod
    def rate(self, group: Mapping[str, Tensor]) -> Tensor:
        """The rate of the last step, from the numbers of the optimizer's parameter group."""


class PackagedState(NamedTuple):
    """Everything an optimizer keeps, laid open, so that it is continued bit for bit."""

    started: Tensor  # 0 before the first step, when all else is only a place for what will come
    group: Tensors  # the numbers of its parameter group, scalars
    numbers: dict[str, Tensors]  # its numbers for each parameter, scalars
    tensors: dict[str, Tensors]  # its tensors for each parameter


@dataclass(frozen=True)
class Packaged(Rule):
    """Steps with somebody else's optimizer, its lr times a schedule.

    The optimizer is made anew for every step around copies and handed what it kept, so nothing lives outside of the
    state. It is always in training mode when it steps; what is evaluated is a copy in evaluation mode, that is the
    average, for the packages that keep one. (`Run` refreshes BatchNorm statistics for such parameters.)
    """

    optimizer: Optimizer
    schedule: Schedule = field(default_factory=Constant)

    def __post_init__(self) -> None:
        if find_spec(self.optimizer.package) is None:
            raise not_installed(f"optimizer: {name_of(type(self.optimizer))}", self.optimizer.package, "packaged")

    def init(self, params: Tensors) -> PackagedState:
        """Places for what the optimizer will keep, found by a step that is thrown away."""
        optimizer, leaves = self._made(params)
        for leaf in leaves.values():
            leaf.grad = torch.ones_like(leaf)
        optimizer.step()
        kept = {name: optimizer.state[leaf] for name, leaf in leaves.items()}
        return _read(
            optimizer,
            leaves,
            PackagedState(
                torch.zeros((), dtype=torch.float64),
                {key: _scalar(value) for key, value in optimizer.param_groups[0].items() if _is_number(value)},
                {
                    n: {key: _scalar(value) for key, value in own.items() if _is_number(value)}
                    for n, own in kept.items()
                },
                {n: {k: value for k, value in own.items() if isinstance(value, Tensor)} for n, own in kept.items()},
            ),
        )._replace(started=torch.zeros((), dtype=torch.float64))

    def step(self, oracle: Oracle, params: Tensors, state: PackagedState, progress: Tensor) -> Step:
        """One gradient, one step of the optimizer."""
        loss, raw = oracle.gradient(params)
        optimizer, leaves = self._continued(params, state)
        optimizer.param_groups[0]["lr"] = self.optimizer.lr * float(self.schedule(progress))
        for name, leaf in leaves.items():
            leaf.grad = raw[name].clone()  # some of them write into it
        optimizer.step()
        return Step(loss, {name: leaf.detach() for name, leaf in leaves.items()}, _read(optimizer, leaves, state))

    def compiled(self) -> Callable[[Oracle, Tensors, PackagedState, Tensor], Step]:
        """Refused: what is in a package is not ours to compile."""
        raise Refusal("compile: true needs a composed rule, got rule: packaged")

    def evaluated(self, params: Tensors, state: PackagedState) -> Tensors:
        """The parameters in the optimizer's evaluation mode.

        Args:
            params: by name
            state: after a step

        Returns:
            New tensors; `params` themselves where the optimizer has no such mode.
        """
        optimizer, leaves = self._continued(params, state)
        if not hasattr(optimizer, "eval"):
            return params
        optimizer.eval()  # type: ignore[attr-defined]
        return {name: leaf.detach() for name, leaf in leaves.items()}

    def after_epoch(self, state: PackagedState, valid_score: float) -> PackagedState:
        """The same state: nobody listens.

        Args:
            state: after a step
            valid_score: not used
        """
        return state

    def extras(self, state: PackagedState) -> dict[str, Tensor]:
        """The rate of the last step."""
        return {"lr": self.optimizer.rate(state.group)}

    def _made(self, params: Tensors) -> tuple[torch.optim.Optimizer, dict[str, nn.Parameter]]:
        leaves = {name: nn.Parameter(param.clone()) for name, param in params.items()}
        with contextlib.redirect_stdout(io.StringIO()):  # some greet at every construction
            optimizer = self.optimizer.make(list(leaves.values()))
        if hasattr(optimizer, "train"):
            optimizer.train()  # type: ignore[attr-defined]
        return optimizer, leaves

    def _continued(
        self, params: Tensors, state: PackagedState
    ) -> tuple[torch.optim.Optimizer, dict[str, nn.Parameter]]:
        optimizer, leaves = self._made(params)
        if state.started == 0:
            return optimizer, leaves
        group = optimizer.param_groups[0]
        group.update({key: type(group.get(key, 0.0))(value.item()) for key, value in state.group.items()})
        for name, leaf in leaves.items():
            numbers = {key: int(value.item()) for key, value in state.numbers[name].items()}
            optimizer.state[leaf] = {**numbers, **{key: value.clone() for key, value in state.tensors[name].items()}}
        return optimizer, leaves


def _read(optimizer: torch.optim.Optimizer, leaves: dict[str, nn.Parameter], like: PackagedState) -> PackagedState:
    """The tensors that the optimizer keeps now, in the places that `like` has; 0 for a number it has not yet."""
    group, kept = optimizer.param_groups[0], {name: optimizer.state[leaf] for name, leaf in leaves.items()}
    return PackagedState(
        torch.ones((), dtype=torch.float64),
        {key: _scalar(group.get(key, 0.0)) for key in like.group},
        {name: {key: _scalar(kept[name].get(key, 0)) for key in own} for name, own in like.numbers.items()},
        {name: {key: kept[name][key] for key in own} for name, own in like.tensors.items()},
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (bool, int, float))


def _scalar(value: float) -> Tensor:
    return torch.tensor(float(value), dtype=torch.float64)
