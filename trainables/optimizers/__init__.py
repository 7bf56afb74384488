"""Other people's optimizers as a rule: any class of theirs, and one file a package that needs more than its class."""

import contextlib
import io
import math
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from inspect import Parameter, signature
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from trainables.components import Component, name_of
from trainables.constructor import arguments, entry
from trainables.optimizer_state import laid_open, put_back
from trainables.oracle import Oracle, Tensors
from trainables.refusal import Refusal, first_line, not_installed
from trainables.rules import Rule, Step
from trainables.schedules import Constant, Schedule
from trainables.space import Limits, LogUniform


class Optimizer(Component):
    """A `torch.optim.Optimizer` from a package, with the hyper-parameters that its authors say to tune."""

    inherit: ClassVar[str] = "torch.optim.Optimizer"
    package: ClassVar[str]  # as it is imported
    matrices_only: ClassVar[bool] = False  # True where it takes no parameter but those of two dimensions
    decays_by_group: ClassVar[bool] = True  # False where the decay of all groups is the first one's
    starts_at_zero: ClassVar[bool] = True  # False where a first step at rate 0, as in a warm-up, is an error
    finds_rate: ClassVar[bool] = False  # True where it finds its rate, and lr is a factor of that or is not there
    lr: float

    @classmethod
    def adopted(cls, found: type, module: str) -> type["Optimizer"] | None:
        """The member that makes optimizers of a class of other people's; None where that is no optimizer's class.

        Args:
            found: the class.
            module: under whose name it was asked for.
        """
        return _of_class(found, module) if issubclass(found, torch.optim.Optimizer) else None

    @abstractmethod
    def make(self, params: list[nn.Parameter]) -> torch.optim.Optimizer:
        """A new optimizer of these parameters."""

    @abstractmethod
    def rate(self, live: torch.optim.Optimizer) -> float:
        """The rate of the last step of an optimizer that `make` has made; that of its first parameter group."""


class FromPackage(Optimizer):
    """An optimizer whose constructor takes the fields by their names, `beta1` and `beta2` as `betas`."""

    kind: ClassVar[str]  # the name of its class in the package

    def make(self, params: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The package's own."""
        kind = getattr(import_module(self.package), self.kind)  # here, because the package is optional
        return kind(params, **self.keywords())

    def keywords(self) -> dict[str, Any]:
        """The fields as the constructor takes them."""
        given = {entry.name: getattr(self, entry.name) for entry in fields(self)}  # type: ignore[arg-type]
        betas = [given.pop(name) for name in ("beta1", "beta2") if name in given]
        return {**given, "betas": tuple(betas)} if betas else given


@dataclass(frozen=True)
class Own(Component):
    """The weight decay that an optimizer of other people's does itself, of all that it moves or of matrices alone."""

    word: ClassVar[str] = "decay of an optimizer"
    on: Literal["all", "matrices"] = field(default="all", kw_only=True)


def made(optimizer: Optimizer, params: list[Any], decay: Own | None = None) -> torch.optim.Optimizer:
    """Make an optimizer in training mode, quietly.

    Args:
        optimizer: that is described.
        params: that it moves, or groups of them.
        decay: on what its weight decay acts; on all if none is given.

    Raises:
        Refusal: it takes no such parameters, or no such hyper-parameters.
    """
    if decay is not None and decay.on == "matrices":
        params = undecayed_apart(params)
    moved = [param for each in params for param in (each["params"] if isinstance(each, dict) else [each])]
    other = next((tuple(param.shape) for param in moved if param.ndim != 2), None) if optimizer.matrices_only else None
    if other is not None:
        name = name_of(type(optimizer))
        raise Refusal(f"{name} takes matrices alone, got a parameter of shape {other}: say rule: split")
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():  # some greet at every construction
            warnings.simplefilter("ignore")  # escapes in docstrings, for one, where a package is compiled first
            live = optimizer.make(params)
    except Refusal:
        raise
    except Exception as error:  # whatever other people's code raises
        raise Refusal(f"optimizer {name_of(type(optimizer))}: {first_line(error)}") from error
    if hasattr(live, "train"):
        live.train()  # type: ignore[attr-defined]
    return live


def undecayed_apart(params: list[Any]) -> list[dict[str, Any]]:
    """Parameter groups in which what has fewer than two dimensions stands apart, without weight decay.

    Args:
        params: parameters, or groups of them; not written into.

    >>> matrix, vector = torch.zeros(2, 2), torch.zeros(2)
    >>> [(len(group["params"]), group.get("weight_decay")) for group in undecayed_apart([matrix, vector, matrix])]
    [(2, None), (1, 0.0)]
    """
    groups = params if params and isinstance(params[0], dict) else [{"params": params}]
    apart: list[dict[str, Any]] = []
    for group in groups:
        for matrices, own in ((True, {}), (False, {"weight_decay": 0.0})):
            some = [param for param in group["params"] if (param.ndim >= 2) is matrices]
            apart += [{**group, **own, "params": some}] if some else []
    return apart


@cache
def _of_class(found: type[torch.optim.Optimizer], module: str) -> type[Optimizer]:
    """The component whose fields are the arguments of an optimizer's constructor, its lr searched."""
    taken = arguments(found)
    for name, _, _ in taken:
        if hasattr(Optimizer, name):
            raise Refusal(f"{module}:{found.__name__} has an argument {name!r}, which is a name of ours: wrap it")
    positive = {"domain": LogUniform(1e-5, 10.0), "valid": Limits(0.0, float("inf"))}
    entries = [entry(each, positive if each.name == "lr" else {}) for each in taken]

    def make(self: Any, params: list[nn.Parameter]) -> torch.optim.Optimizer:
        return found(params, **{each.name: getattr(self, each.name) for each in fields(self)})

    def rate(self: Any, live: torch.optim.Optimizer) -> float:
        return float(live.param_groups[0].get("lr", math.nan))

    def check(self: Any) -> None:
        made(self, [nn.Parameter(torch.zeros(2, 2))])

    told = (found.__doc__ or "").strip() or f"{found.__name__}."
    body = {"__doc__": told, "package": "torch", "make": make, "rate": rate, "check": check}
    member = make_dataclass(found.__name__, entries, bases=(Optimizer,), namespace=body, frozen=True, kw_only=True)
    member.__module__ = module
    return member


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
    for group, lr in zip(optimizer.param_groups, first, strict=True):
        if lr is not None:
            group["lr"] = lr * factor


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
        if "closure" in self.asks:
            step(closure)
            return losses[0] if losses else closure()
        loss = closure()
        step(**{"loss": loss} if "loss" in self.asks else {})
        return losses[0]

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
            raise Refusal(f"decay.on: matrices needs a weight_decay a group, and {name} has one for all")

    def check(self) -> None:
        """Refuses a warm-up of what cannot begin with one."""
        if self.schedule.warmup > 0 and not self.optimizer.starts_at_zero:
            name = name_of(type(self.optimizer))
            raise Refusal(f"optimizer {name!r} divides by its first rate: schedule.warmup must be 0")

    def init(self, params: Tensors) -> PackagedState:
        """A new optimizer of copies of the parameters; refused where it has no rate, but a schedule."""
        live = Live(self, params)
        self.check_rates(live.optimizer)
        return PackagedState(live, 0)

    def check_rates(self, live: torch.optim.Optimizer) -> None:
        """Refuses a schedule where the optimizer has no rate that it could multiply."""
        if self.schedule != Constant() and all(lr is None for lr in rates(live)):
            name = name_of(type(self.optimizer))
            raise Refusal(f"optimizer {name!r} has no lr that a schedule could multiply: leave schedule out")

    def save(self, state: PackagedState) -> dict[str, Any]:
        """All that the optimizer keeps (trainables/optimizer_state.py), copied."""
        live = self._of(state)
        return {"steps": live.steps, **laid_open(live.optimizer, list(live.leaves.values()))}

    def load(self, params: Tensors, data: Mapping[str, Any]) -> PackagedState:
        """A new optimizer of copies of the parameters that goes on where a saved one was.

        Args:
            params: by name
            data: from `save`; copied
        """
        live = Live(self, params)
        put_back(live.optimizer, list(live.leaves.values()), data)
        live.steps = data["steps"]
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
