"""Other people's optimizers: any class of theirs, and one file a package that needs more than its class."""

import contextlib
import io
import math
import warnings
from abc import abstractmethod
from dataclasses import dataclass, field, fields, make_dataclass
from functools import cache
from importlib import import_module
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from trainables.components import Component, members, name_of
from trainables.constructor import arguments, entry
from trainables.refusal import Refusal, first_line
from trainables.space import Limits, LogUniform


class Optimizer(Component):
    """A `torch.optim.Optimizer` from a package, with the hyper-parameters that its authors say to tune."""

    inherit: ClassVar[str] = "torch.optim.Optimizer"
    package: ClassVar[str]  # as it is imported
    matrices_only: ClassVar[bool] = False  # True where it takes no parameter but those of two dimensions
    decays_by_group: ClassVar[bool] = True  # False where two groups have one decay, or make another optimizer of it
    starts_at_zero: ClassVar[bool] = True  # False where a first step at rate 0, as in a warm-up, is an error
    skips: ClassVar[bool] = True  # False where a parameter without a gradient is an error in its step
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
def finders() -> frozenset[str]:
    """The names of those here that find their rate.

    >>> "prodigy" in finders(), "adamw" in finders()
    (True, False)
    """
    found: dict[str, Any] = members(Optimizer)  # type: ignore[type-abstract]
    return frozenset(name for name, optimizer in found.items() if optimizer.finds_rate)


def _known_of(found: type[torch.optim.Optimizer]) -> dict[str, bool]:
    """The facts that are known of a class, where one of the members here is made of it."""
    every: dict[str, Any] = members(Optimizer)  # type: ignore[type-abstract]
    here = [one for one in every.values() if issubclass(one, FromPackage) and one.kind == found.__name__]
    same = [one for one in here if one.package.partition(".")[0] == found.__module__.partition(".")[0]]
    names = "decays_by_group", "starts_at_zero"
    return {name: getattr(one, name) for one in same[:1] for name in names}


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
        lr = live.param_groups[0].get("lr")  # None, where its authors find one
        return math.nan if lr is None else float(lr)

    def check(self: Any) -> None:
        try:
            made(self, [nn.Parameter(torch.zeros(2, 2))])  # some take matrices alone
        except Refusal:  # and some part them from the others
            made(self, [nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(2))])

    told = (found.__doc__ or "").strip() or f"{found.__name__}."
    body = {"__doc__": told, "package": "torch", "make": make, "rate": rate, "check": check, **_known_of(found)}
    member = make_dataclass(found.__name__, entries, bases=(Optimizer,), namespace=body, frozen=True, kw_only=True)
    member.__module__ = module
    return member
