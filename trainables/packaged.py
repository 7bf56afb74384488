"""The rule of other people's optimizers: one of them lives through a training, over parameters that it owns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from inspect import Parameter, signature
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainables.components import name_of
from trainables.optimizer_state import laid_open, put_back
from trainables.optimizers import Optimizer, Own, made
from trainables.oracle import Oracle, Tensors
from trainables.refusal import Refusal, not_installed
from trainables.rules import Rule, Step
from trainables.schedules import Constant, Schedule


def rates(optimizer: torch.optim.Optimizer) -> list[float | None]:
    """The lr of every parameter group; None for a group that has none."""
    return [group.get("lr") for group in optimizer.param_groups]


def scale_rates(optimizer: torch.optim.Optimizer, first: list[float | None], factor: float) -> None:
    """Set the lr of every group that has one.

    Args:
        optimizer: whose groups these are.
        first: from `rates`, before the first step.
        factor: that multiplies each.
    """
    set_rates(optimizer, [None if lr is None else lr * factor for lr in first])


def set_rates(optimizer: torch.optim.Optimizer, given: list[float | None]) -> None:
    """Set the lr of every group that has one.

    Args:
        optimizer: whose groups these are.
        given: one a group; None leaves it.
    """
    for group, lr in zip(optimizer.param_groups, given, strict=True):
        if lr is not None:
            group["lr"] = lr


class Live:
    """An optimizer over parameters that it owns; `Run` never copies or compares it."""

    def __init__(self, rule: "Packaged", params: Tensors) -> None:
        """Make the optimizer of a rule, in training mode, of copies of `params`."""
        self.leaves = {name: nn.Parameter(param.detach().clone()) for name, param in params.items()}
        self.params = {name: leaf.detach() for name, leaf in self.leaves.items()}  # the same memory, outside of graphs
        self.given: Tensors = {}  # copies of them, as the last step gave them
        self._memory = frozenset(leaf.untyped_storage().data_ptr() for leaf in self.leaves.values())
        self.optimizer = made(rule.optimizer, list(self.leaves.values()), rule.decay)
        self.first = rates(self.optimizer)
        self.asks = asked(self.optimizer)
        self.steps = 0

    def take(self, params: Tensors) -> None:
        """Go on from these parameters, copied unless they are those that the last step gave."""
        for name, own in self.params.items():
            if params[name] is not self.given.get(name):
                own.copy_(params[name])

    def values(self) -> Tensors:
        """Copies of the parameters."""
        return {name: param.clone() for name, param in self.params.items()}

    def step(self, oracle: Oracle) -> Tensor:
        """One step, with what the optimizer asks for.

        Args:
            oracle: of this step's mini-batch.

        Returns:
            The loss before the step.
        """
        losses: list[Tensor] = []

        def closure() -> Tensor:
            loss, raw = oracle.gradient(self.params)
            self._give(raw)
            losses.append(loss)
            return loss.clone()

        step: Any = self.optimizer.step  # torch says what a closure returns, and takes no loss
        if "closure" not in self.asks:
            loss = closure()
            try:
                step(**{"loss": loss} if "loss" in self.asks else {})
            except Exception as error:
                if "closure" not in str(error).lower():
                    raise
                self.asks, losses = frozenset({"closure"}), []  # which its signature did not say
            else:
                return losses[0]
        step(closure)
        return losses[0] if losses else closure()

    def _give(self, raw: Tensors) -> None:
        """Give every leaf its gradient, a copy where it is anything else's too: some optimizers write into it."""
        taken = set(self._memory)
        for name, leaf in self.leaves.items():
            grad = raw[name]
            if grad.layout is not torch.strided or grad.stride() != leaf.stride():
                leaf.grad = grad.clone()
                continue
            place = grad.untyped_storage().data_ptr()
            leaf.grad = grad.clone() if place in taken else grad
            taken.add(place)


def asked(optimizer: torch.optim.Optimizer) -> frozenset[str]:
    """Read off `step` what it asks for: a `closure` where it does not go without, a `loss` wherever it takes one.

    >>> asked(torch.optim.LBFGS([torch.zeros(1)])), asked(torch.optim.Adam([torch.zeros(1)]))
    (frozenset({'closure'}), frozenset())
    """
    parameters = signature(type(optimizer).step).parameters
    if "loss" in parameters:
        return frozenset({"loss"})
    without = "closure" in parameters and parameters["closure"].default is not Parameter.empty
    return frozenset() if without or "closure" not in parameters else frozenset({"closure"})


class PackagedState(NamedTuple):
    """The optimizer as it is after so many steps."""

    live: Live
    steps: int


@dataclass(frozen=True)
class Packaged(Rule):
    """Steps with somebody else's optimizer, the lr of each of its groups times a schedule.

    The optimizer lives in the state: a step changes it, so a state can be stepped from once, and a copy of it is what
    `save` gives and `load` takes. It is always in training mode when it steps; what is evaluated is a copy in
    evaluation mode, that is the average, for the packages that keep one. (`Run` refreshes BatchNorm statistics for
    such parameters.)
    """

    optimizer: Optimizer
    schedule: Schedule = field(default_factory=Constant)
    decay: Own = field(default_factory=Own)

    def __post_init__(self) -> None:
        if find_spec(self.optimizer.package) is None:
            raise not_installed(f"optimizer: {name_of(type(self.optimizer))}", self.optimizer.package, "packaged")
        if self.decay.on == "matrices" and not hasattr(self.optimizer, "weight_decay"):
            raise Refusal(f"decay.on: matrices needs a weight_decay, and {name_of(type(self.optimizer))} has none")
        if self.decay.on == "matrices" and not self.optimizer.decays_by_group:
            name = name_of(type(self.optimizer))
            raise Refusal(f"decay.on: matrices makes two groups, and {name} is another optimizer then: leave it out")

    def check(self) -> None:
        """Refuses a schedule that is 0 somewhere where its optimizer divides by its rate."""
        base = getattr(self.optimizer, "base", None)  # another optimizer may be around it
        inside = base if isinstance(base, Optimizer) else self.optimizer
        if not inside.starts_at_zero:
            at = torch.linspace(0.0, 0.99, 100, dtype=torch.float64)
            if self.schedule.warmup > 0 or any(float(self.schedule(place)) == 0 for place in at):
                name = name_of(type(inside))
                raise Refusal(f"optimizer {name!r} divides by its rate: its schedule may be 0 nowhere, nor warm up")

    def init(self, params: Tensors) -> PackagedState:
        """A new optimizer of copies of the parameters; refused where it has no rate, but a schedule."""
        live = Live(self, params)
        self.check_rates(live.optimizer)
        state = PackagedState(live, 0)
        self.save(state)  # what no checkpoint can hold is refused before the first step
        return state

    def check_rates(self, live: torch.optim.Optimizer) -> None:
        """Refuses a schedule where the optimizer has no rate that it could multiply."""
        if self.schedule != Constant() and all(lr is None for lr in rates(live)):
            name = name_of(type(self.optimizer))
            raise Refusal(f"optimizer {name!r} has no lr that a schedule could multiply: leave schedule out")

    def save(self, state: PackagedState) -> dict[str, Any]:
        """All that the optimizer keeps (trainables/optimizer_state.py), copied."""
        live = self._of(state)
        return {"steps": live.steps, "asks": sorted(live.asks), **laid_open(live.optimizer, list(live.leaves.values()))}

    def load(self, params: Tensors, data: Mapping[str, Any]) -> PackagedState:
        """A new optimizer of copies of the parameters that goes on where a saved one was.

        Args:
            params: by name
            data: from `save`; copied
        """
        live = Live(self, params)
        put_back(live.optimizer, list(live.leaves.values()), data)
        live.steps, live.asks = data["steps"], frozenset(data["asks"])
        return PackagedState(live, live.steps)

    def step(self, oracle: Oracle, params: Tensors, state: PackagedState, progress: Tensor) -> Step:
        """One step of the optimizer, with as many gradients as it asks for."""
        live = self._of(state)
        live.take(params)
        if self.schedule != Constant():
            scale_rates(live.optimizer, live.first, float(self.schedule(progress)))
        loss = live.step(oracle)
        live.steps += 1
        live.given = live.values()
        return Step(loss, live.given, PackagedState(live, live.steps))

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
        if not hasattr(self._of(state).optimizer, "eval"):
            return params
        live = self.load(params, self.save(state)).live  # a copy: there and back again is not bit for bit
        live.optimizer.eval()  # type: ignore[attr-defined]
        return live.values()

    def after_epoch(self, state: PackagedState, valid_score: float) -> PackagedState:
        """The same state: nobody listens.

        Args:
            state: after a step
            valid_score: not used
        """
        return state

    def extras(self, state: PackagedState) -> dict[str, Tensor]:
        """The rate of the last step."""
        rate = self.optimizer.rate(self._of(state).optimizer)
        return {"lr": torch.tensor(rate, dtype=torch.float64)}

    def _of(self, state: PackagedState) -> Live:
        if state.live.steps != state.steps:
            raise RuntimeError("an optimizer lives in this state, which was stepped from already: use what step gave")
        return state.live
