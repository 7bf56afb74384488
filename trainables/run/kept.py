"""Keeping what a loop of the user's asks to be kept: checked, read as plain data, and put back."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainables import optimizer_state
from trainables.optimizer import SchemeOptimizer
from trainables.refusal import Refusal

UNKEPT = "your LR scheduler"
PLAIN = (int, float, str, bool, bytes, type(None), torch.dtype, torch.device)


def check_kept(kept: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    """Refuse to keep less than a resumed training needs, or what a checkpoint cannot hold.

    Args:
        kept: by name, what has `state_dict` and `load_state_dict`.
        optimizer: the session's; it must be among them, as must all that it trains.

    Raises:
        Refusal: naming what is missing.
    """
    for name, value in kept.items():
        if not (hasattr(value, "state_dict") and hasattr(value, "load_state_dict")):
            raise Refusal(
                f"session.epochs({name}=…) keeps what has state_dict and load_state_dict, got {value!r}: what follows "
                "from scores, session.records tells after a resume, too"
            )
    schedules = torch.optim.lr_scheduler.LRScheduler  # they name their optimizer, and keep nothing of it
    steppers = [value for value in kept.values() if not isinstance(value, schedules)]
    if not any(getattr(value, "optimizer", value) is optimizer for value in steppers):  # a wrapper's, or itself
        raise Refusal("session.epochs(…) keeps models without the session's optimizer: add optimizer=optimizer")
    inside = {param for value in kept.values() if isinstance(value, nn.Module) for param in value.parameters()}
    if not all(param in inside for group in optimizer.param_groups for param in group["params"]):
        raise Refusal("session.epochs(…) keeps the optimizer without all that it trains: add model=model")
    if schedules_of(optimizer, kept) == [UNKEPT]:
        raise Refusal(
            "session.epochs(…) keeps the optimizer without its LR scheduler, which would start anew where a broken-off "
            "training goes on: add scheduler=scheduler"
        )
    states(kept)


def schedules_of(optimizer: torch.optim.Optimizer, kept: Mapping[str, Any]) -> list[str]:
    """Name the LR schedulers that are kept, or `UNKEPT` where none is and one of torch's drives the optimizer.

    Args:
        optimizer: torch's schedulers mark its `step`, but for `ReduceLROnPlateau`, which is seen where it is kept.
        kept: by name; wrappers of schedulers count.
    """
    theirs = torch.optim.lr_scheduler.LRScheduler
    named = [repr(name) for name, value in kept.items() if isinstance(getattr(value, "scheduler", value), theirs)]
    return named or ([UNKEPT] if hasattr(optimizer.step, "_wrapped_by_lr_sched") else [])


def states(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The states of what is kept, by name; refused where a checkpoint could not give them back."""
    read = {name: _state(value) for name, value in kept.items()}
    _check_plain("session.epochs keeps ", read)
    return read


def put_back(kept: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    """Put states back into what is kept under the same names.

    Args:
        kept: by name; written into.
        before: the states that `states` read, by name.

    Raises:
        Refusal: where a name is kept no more, or an optimizer had other groups.
    """
    for name, state in before.items():
        if name not in kept:
            raise Refusal(f"session.epochs(…) kept {name!r} before this training was broken off, and does no longer")
        if isinstance(kept[name], torch.optim.Optimizer):
            _check_groups(name, kept[name], state)
        if _is_theirs(kept[name]):
            optimizer_state.put_back(_unwrapped(kept[name]), _trained(kept[name]), state)
        else:
            kept[name].load_state_dict(state)


def _check_groups(name: str, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Refuse to go on with other parameter groups than there were."""
    before = len(state["param_groups"] if "param_groups" in state else state["parts"][1])
    now = len(optimizer.param_groups)
    if before != now:
        raise Refusal(
            f"{name!r} had {before} parameter groups when this training was broken off, and has {now}: add those of "
            "earlier epochs before session.epochs(), where len(session.records) says how many are over"
        )


def _is_theirs(value: Any) -> bool:
    """True for an optimizer of other people's, whose `state_dict` may not hold all that it keeps."""
    return isinstance(value, torch.optim.Optimizer) and not isinstance(
        getattr(value, "optimizer", value), SchemeOptimizer
    )


def _trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [param for group in optimizer.param_groups for param in group["params"]]


def _state(value: Any) -> Any:
    return optimizer_state.laid_open(_unwrapped(value), _trained(value)) if _is_theirs(value) else value.state_dict()


def _unwrapped(optimizer: Any) -> Any:
    """The optimizer inside of accelerate's, which keeps nothing of its own that a step changes."""
    return optimizer.optimizer if type(optimizer).__module__.startswith("accelerate.") else optimizer


def _check_plain(place: str, state: Any) -> None:
    if type(state) in (dict, OrderedDict, Counter):
        for key, value in state.items():
            _check_plain(f"{place}{key}" if place.endswith(" ") else f"{place}.{key}", value)
    elif type(state) in (list, tuple, torch.Size):
        for number, value in enumerate(state):
            _check_plain(f"{place}[{number}]", value)
    elif not (isinstance(state, Tensor) or type(state) in PLAIN):  # numpy's floats are no floats to a checkpoint
        raise Refusal(f"{place}, a {type(state).__name__}: a checkpoint holds tensors, numbers and texts")
