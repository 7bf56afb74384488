"""A configuration as Python: the optimizer, groups and schedule of a trial, for a training loop of one's own."""

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch import nn

from trainables.components import Component, floats, slots
from trainables.optimizers import made
from trainables.packaged import Packaged, asked
from trainables.plugins import is_outside
from trainables.refusal import Refusal
from trainables.rules import Composed
from trainables.schedules import Constant
from trainables.schemes import Scheme
from trainables.space import Value
from trainables.trial import Trial

OWN = {entry.name for entry in fields(Trial)} - {"rule"}
"""The fields of a trial that are none of its rule."""


def python(configuration: Mapping[str, Value]) -> str:
    r"""The lines that build the optimizer of a configuration.

    Args:
        configuration: of a trial, written flat; parts of other people's are named, and not imported.

    Returns:
        Python, which expects `model` (a module) and `loader` (of which one pass is an epoch).

    >>> print(python({"scheme.lr": 0.5, "epochs": 2.0}).partition("\n\n")[2])
    optimizer = SchemeOptimizer(
        model,
        Fixed(lr=0.5, schedule=Constant(warmup=0.0)),
        SGD(),
        total_steps=round(2.0 * len(loader)),
    )
    """
    rule = {key: value for key, value in configuration.items() if key.split(".")[0] not in OWN | {"rule"}}
    kinds = {"composed": _composed, "packaged": _packaged}
    kind = str(configuration.get("rule", "composed"))
    if kind not in kinds:
        return f"# a rule of the kind {kind!r} is not built for other people's loops"
    try:
        lines = kinds[kind](rule, f"total_steps={_steps(configuration)}")
    except Refusal as refusal:  # a package that is not installed
        return f"# {refusal}"
    return "\n".join([*_notes(_training(configuration)), *lines])


def _training(configuration: Mapping[str, Value]) -> dict[str, Any]:
    """The fields of the trial that a loop has to heed, those that are not given at their defaults."""
    names = ("batch_size", "accumulate", "epochs", "record_every", "precision", "gradient_clip")
    known = slots(Trial, {})
    return {name: configuration.get(name, known[name].default) for name in names}


def _steps(configuration: Mapping[str, Value]) -> str:
    """The number of steps in all, as `Run` counts them."""
    told = _training(configuration)
    epoch = "len(loader)" if told["accumulate"] == 1 else f"-(-len(loader) // {told['accumulate']})"
    steps = f"round({told['epochs']!r} * {epoch})"
    return steps if told["epochs"] >= 1 else f"max(1, {steps})"


def _notes(told: Mapping[str, Any]) -> list[str]:
    """Comments that add to the optimizer: model, batches, epochs, clipping."""
    size = "all examples in one batch" if told["batch_size"] == "full" else f"batches of {told['batch_size']}"
    notes = [f"# model: your torch.nn.Module; loader: {size}; epochs: {told['epochs']:g}, in {told['precision']}"]
    if told["accumulate"] > 1:
        notes.append(f"# one optimizer.step() for every {told['accumulate']} batches, on the mean of their gradients")
    if told["gradient_clip"] is not None:
        clip = f"torch.nn.utils.clip_grad_norm_(model.parameters(), {told['gradient_clip']!r})"
        notes.append(f"# before every step: {clip}")
    return notes


def _composed(rule: Mapping[str, Value], steps: str) -> list[str]:
    if any(is_outside(value) for value in rule.values()):
        return [
            "from trainables.optimizer import SchemeOptimizer",
            "from trainables.plugins import trusted",
            "from trainables.rules import Composed",
            "",
            *_call("rule = Composed.parse", [_as_dict(rule)]),
            *_call("optimizer = SchemeOptimizer", [*["model", "rule.scheme", "rule.direction", "rule.decay"], steps]),
        ]
    built = Composed.parse(rule)
    parts: list[Component] = [built.scheme, built.direction]
    decay = [built.decay] if built.decay.weight_decay != 0 else []
    arguments = ["model", *map(repr, [*parts, *decay]), steps]
    return [
        *_imports([*parts, *decay], "from trainables.optimizer import SchemeOptimizer"),
        "",
        *_heard(built.scheme),
        *_call("optimizer = SchemeOptimizer", arguments),
    ]


def _call(function: str, arguments: list[str]) -> list[str]:
    """A call with an argument a line, as formatters write long ones."""
    return [f"{function}(", *(f"    {argument}," for argument in arguments), ")"]


def _heard(scheme: Scheme) -> list[str]:
    """Comments on steps that need a closure, or an evaluation told afterwards."""
    asks = ["# step: optimizer.step(closure), closure() returns the loss of the batch, and calls nothing else"]
    plateau = ["# after every evaluation: optimizer.after_epoch(score), the validation score, higher is better"]
    hears = type(scheme).after_epoch is not Scheme.after_epoch
    return (asks if scheme.asks else []) + (plateau if hears else [])


def _packaged(rule: Mapping[str, Value], steps: str) -> list[str]:
    if any(is_outside(value) for value in rule.values()):
        return [
            _TORCH,
            "from trainables.optimizers import made",
            "from trainables.packaged import Packaged",
            "from trainables.plugins import trusted",
            "",
            *_call("rule = Packaged.parse", [_as_dict(rule)]),
            _PARAMS,
            "optimizer = made(rule.optimizer, params, rule.decay)",
            *_scheduled("rule.schedule", steps),
        ]
    built = Packaged.parse(rule)
    plain, groups = built.schedule == Constant(), [_PARAMS] if built.decay.on == "all" else _APART
    return [
        *(_imports([built.optimizer]) if plain else _imports([built.optimizer, built.schedule], _TORCH)),
        "",
        *_asked(built),
        *groups,
        f"optimizer = {built.optimizer!r}.make(params)",
        *([] if plain else _scheduled(repr(built.schedule), steps)),
    ]


def _asked(rule: Packaged) -> list[str]:
    """Comments on an optimizer that has modes, or whose step asks for something."""
    live = made(rule.optimizer, [nn.Parameter(torch.zeros(2, 2))])
    steps = {"loss": "optimizer.step(loss=loss)", "closure": "optimizer.step(closure), which computes the gradients"}
    return [*(_MODES if hasattr(live, "eval") else []), *(f"# step: {steps[asks]}" for asks in sorted(asked(live)))]


_TORCH = "import torch"
_PARAMS = "params = [param for param in model.parameters() if param.requires_grad]"
_APART = [
    _PARAMS,
    "params = [",
    '    {"params": [param for param in params if param.ndim >= 2]},',
    '    {"params": [param for param in params if param.ndim < 2], "weight_decay": 0.0},',
    "]",
]
_MODES = ["# optimizer.train() before training, optimizer.eval() before the model is evaluated or saved"]


def _scheduled(schedule: str, steps: str) -> list[str]:
    """A schedule of ours on somebody else's optimizer."""
    progress = "torch.tensor(min(step / total_steps, 1.0), dtype=torch.float64)"
    return [
        f"schedule = {schedule}",
        steps.replace("=", " = ", 1),
        "# after every optimizer.step(): scheduler.step()",
        *_call(
            "scheduler = torch.optim.lr_scheduler.LambdaLR",
            ["optimizer", f"lambda step: float(schedule({progress}))"],
        ),
    ]


def _imports(parts: list[Component], *others: str) -> list[str]:
    """The imports under which the parts are what their `repr` says."""
    places: dict[str, set[str]] = {}
    for part in parts:
        for kind in _kinds(part):
            places.setdefault(kind.__module__, set()).add(kind.__qualname__)
    ours = [f"from {place} import {', '.join(sorted(names))}" for place, names in places.items()]
    infinite = any(math.isinf(value) for part in parts for value in floats(part).values())
    first = [*(["from math import inf"] if infinite else []), *(line for line in others if line == _TORCH)]
    return [*first, *sorted({*ours, *others} - {*first})]


def _kinds(part: Component) -> set[type[Component]]:
    inside = (getattr(part, entry.name) for entry in fields(part))  # type: ignore[arg-type]
    below: set[type[Component]] = {kind for value in inside if isinstance(value, Component) for kind in _kinds(value)}
    return {type(part), *below}


def _as_dict(rule: Mapping[str, Any]) -> str:
    """A mapping as Python, in which other people's code is named by whoever runs it."""
    told = (f"{key!r}: {f'trusted({value!r})' if is_outside(value) else repr(value)}" for key, value in rule.items())
    return f"{{{', '.join(told)}}}"
