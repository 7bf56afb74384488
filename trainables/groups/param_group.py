"""One parameter group of a torch optimizer, as a rule sees it: parameters by name, and the group's own numbers."""

import sys
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from trainables.components import check_values, name_of
from trainables.oracle import Recipe, Tensors
from trainables.refusal import Refusal
from trainables.rules import Composed
from trainables.schemes import Known, Rate, Scheme, State

Group: TypeAlias = dict[str, Any]

OWN = ("scheme.lr", "decay.weight_decay")
"""The fields of a rule that every group has for itself."""
OTHERS = ("maximize", "momentum", "dampening", "nesterov", "betas", "alpha", "eps", "amsgrad", "centered")
"""Keys that groups of torch's own optimizers have, and these have once."""


def named(group: Group, scheme: Scheme) -> Tensors:
    """The group's parameters by name; by place where they have none, or two have the same.

    Args:
        group: of a torch optimizer
        scheme: one that asks for more than a gradient is given no frozen parameters: no way leads along them

    Returns:
        The parameters themselves, in the order of the group.
    """
    names, params = group.get("param_names", ()), group["params"]
    if len(set(names)) < len(params):
        names = [str(place) for place in range(len(params))]
    pairs = zip(names, params, strict=True)
    return {name: param for name, param in pairs if param.requires_grad or not scheme.asks}


def real(tensor: Tensor) -> Tensor:
    """A view of complex numbers as pairs of real ones; real tensors as they are.

    >>> real(torch.tensor([1 + 2j])).tolist()
    [[1.0, 2.0]]
    """
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def rule_of(group: Group, rule: Composed) -> Composed:
    """The rule with the numbers of a group.

    Args:
        group: its `first_lr` is the scheme's rate; `lr` over `first_lr` multiplies whatever rate the scheme chooses
        rule: what the groups share

    Returns:
        The group's own rule.

    Raises:
        Refusal: the rate has become NaN or negative, or it was 0 and is no longer.
    """
    own, first, now = _first_rule_of(group, rule), group["first_lr"], float(group["lr"])
    if now == first:
        return own
    if not (first > 0 and now >= 0):
        raise Refusal(f"lr may change to a number of at least 0 from one above 0, but {first:g} became {now:g}")
    return replace(own, scheme=_Scaled(own.scheme, now / first))


def _first_rule_of(group: Group, rule: Composed) -> Composed:
    """The group's own rule as it was before any LR scheduler."""
    scheme, decay = rule.scheme, rule.decay
    if hasattr(scheme, "lr"):
        scheme = replace(scheme, lr=group["first_lr"])  # type: ignore[call-arg, type-var]
    return Composed(rule.direction, scheme, replace(decay, weight_decay=float(group["weight_decay"])))  # type: ignore[type-var]


def check_rated(scheme: Scheme) -> None:
    """Refuses to give a rate to a scheme that has none."""
    own = [entry.name for entry in fields(scheme)]  # type: ignore[arg-type]  — every scheme is a dataclass
    if "lr" not in own:
        raise Refusal(f"scheme {name_of(type(scheme))!r} has no lr: its fields are {', '.join(own)}")


def check_group(group: Group, rule: Composed) -> None:
    """Refuses a group with numbers that no study may have, or with parameters that the rule would move wrongly.

    Args:
        group: as a torch optimizer keeps it
        rule: what the groups share
    """
    check_values(_first_rule_of(group, rule))
    theirs = [key for key in OTHERS if group.get(key)]
    if theirs:
        raise Refusal(f"a group of a SchemeOptimizer has no {theirs[0]} of its own: its direction has one for all")
    params, scheme = group["params"], rule.scheme
    if len(set(params)) < len(params):
        raise Refusal("a parameter is given twice in one group")
    if scheme.layered and len(set(group.get("param_names", ()))) < len(params):
        raise Refusal("rates for layers need names: give SchemeOptimizer the module, or its named_parameters()")
    for param in params:
        if _is_sharded(param):
            raise Refusal(
                "SchemeOptimizer takes whole parameters, got sharded ones (DTensor, FSDP): use DDP, "
                "which is for schemes that read .grad"
            )
        if scheme.asks and param.is_complex():
            raise Refusal(f"scheme {name_of(type(scheme))!r} takes real parameters, got one of {param.dtype}")
        if scheme.fine and param.requires_grad and torch.finfo(param.dtype).bits < 32:
            raise Refusal(
                f"scheme {name_of(type(scheme))!r} would stand still in {param.dtype}, the type of a parameter: keep "
                "parameters in float32, and say precision: bfloat16, or autocast in a loop of your own"
            )
        if rule.decay.on == "matrices" and param.is_complex() and param.ndim < 2:
            raise Refusal(f"decay.on: matrices tells real vectors, got one of {param.dtype}: give it weight_decay 0")


def check_rule(saved: Group, rule: dict[str, Any]) -> None:
    """Refuses a saved group of another rule, by the first key that differs.

    Args:
        saved: a group of a `state_dict()`
        rule: the one to go on with, written flat
    """
    given = saved.get("rule")
    if given is None:
        raise Refusal("the state is of another optimizer than SchemeOptimizer")
    for key in [*rule, *given]:
        if key not in OWN and rule.get(key) != given.get(key):
            raise Refusal(f"the state is of another rule: {key} is {given.get(key)!r} there, {rule.get(key)!r} here")


def _is_sharded(param: Tensor) -> bool:
    """True where the tensor is, or may be, a part of a parameter: sums over it are not sums over the parameter."""
    distributed = sys.modules.get("torch.distributed.tensor")  # to import it takes seconds; without it no DTensor is
    first_fsdp = getattr(param, "_fsdp_flattened", False)
    return first_fsdp or (distributed is not None and isinstance(param, distributed.DTensor))


@dataclass(frozen=True)
class _Scaled(Scheme):
    """A scheme whose rate is multiplied by what LR schedulers did to the group's lr."""

    scheme: Scheme
    factor: float

    @property
    def elementwise(self) -> bool:  # type: ignore[override]  — as its scheme
        return self.scheme.elementwise

    @property
    def blind(self) -> bool:  # type: ignore[override]  — as its scheme
        return self.scheme.blind

    def init(self, params: Tensors) -> State:
        return self.scheme.init(params)

    def rate(self, known: Known) -> tuple[Rate, State]:
        rate, state = self.scheme.rate(known)
        return rate._replace(base=rate.base * self.factor), state

    def keeps(self, state: State) -> Recipe | None:
        return self.scheme.keeps(state)
