"""A configuration as Python: the optimizer, groups and schedule of a trial, for a training loop of one's own."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from torch import nn

from trainables.components import Component, find, floats, slots
from trainables.optimizers import made
from trainables.packaged import Packaged, asked
from trainables.plugins import is_outside, untrusted
from trainables.refusal import Refusal
from trainables.rules import Composed, Rule
from trainables.schedules import Constant
from trainables.schemes import Scheme
from trainables.space import Value
from trainables.split import Split
from trainables.trial import Trial

_INF, _TORCH = "from math import inf", "import torch"
_OF_THEIRS = "# a scheme of your own may ask for optimizer.step(closure), or for optimizer.after_epoch(score)"
_OURS = "from trainables.optimizer import SchemeOptimizer"
_TRUSTED = "from trainables.plugins import trusted"
_BOTH = ["from trainables.split import divided", "from trainables.split_optimizer import SplitOptimizer"]
_PARAMS = "params = [param for param in model.parameters() if param.requires_grad]"
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
    kinds = {"composed": _composed, "packaged": _packaged, "split": _split}
    kind = str(configuration.get("rule", "composed"))
    if kind not in kinds:
        return f"# a rule of the kind {kind!r} is not built for other people's loops"
    try:
        told = kinds[kind](rule, f"total_steps={_steps(configuration)}")
    except Refusal as refusal:  # a package that is not installed
        return f"# {refusal}"
    notes = [*_notes(_training(configuration)), *_clipping(configuration)]
    return "\n".join([*notes, *_imports(told), "", *told.lines])


class Told(NamedTuple):
    """Python that builds an optimizer: its lines, and what they name."""

    lines: list[str]
    parts: list[Component]
    imports: list[str]


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
    return notes


def _clipping(configuration: Mapping[str, Value]) -> list[str]:
    """A comment on gradients that were clipped: where a step computes its own, nobody clips them from outside."""
    norm = configuration.get("gradient_clip")
    if norm is None:
        return []
    scheme, composed = configuration.get("scheme", "fixed"), configuration.get("rule", "composed") == "composed"
    if composed and not is_outside(scheme) and find(Scheme, scheme).asks:
        return [f"# the trial clipped its gradients at {norm!r}: scheme {scheme!r} does so in no loop but ours"]
    clip = f"torch.nn.utils.clip_grad_norm_(model.parameters(), {norm!r})"
    return [f"# once the gradients are there, inside of a closure if the step takes one: {clip}"]


def _composed(rule: Mapping[str, Value], steps: str, prefix: str = "", params: str = "model") -> Told:
    """A rule of ours; of a split's side, `params` are its own, and names begin with the side's."""
    build = f"{prefix}optimizer = SchemeOptimizer"
    if any(is_outside(value) for value in rule.values()):
        parts = [f"{prefix}rule.{part}" for part in ("scheme", "direction", "decay")]
        kind = None if is_outside(rule.get("scheme")) else find(Scheme, rule.get("scheme", "fixed"))
        heard, read = [_OF_THEIRS] if kind is None else _heard(kind, prefix), _read(Composed, rule, prefix)
        lines = [*heard, *read.lines, *_call(build, [params, *parts, steps])]
        return Told(lines, [], [_OURS, *read.imports])
    built = Composed.parse(rule)
    decay = [built.decay] if built.decay.weight_decay != 0 else []
    named: list[Component] = [built.scheme, built.direction, *decay]
    return Told(
        [*_heard(type(built.scheme), prefix), *_call(build, [params, *map(repr, named), steps])], named, [_OURS]
    )


def _read(kind: type[Rule], rule: Mapping[str, Value], prefix: str) -> Told:
    """A rule with parts of other people's, read by whoever trusts them."""
    lines = _call(f"{prefix}rule = {kind.__name__}.parse", [_as_dict(rule)])
    imports = [f"from {kind.__module__} import {kind.__name__}", _TRUSTED]
    return Told(lines, [], [*imports, *([_INF] if _infinite(rule.values()) else [])])


def _split(rule: Mapping[str, Value], steps: str) -> Told:
    """Both rules, each on its own part of the parameters, and the optimizer that steps both."""
    theirs = {key.partition(".")[0] for key, value in rule.items() if is_outside(value)}  # sides: as they are told
    own = {key: value for key, value in rule.items() if key.partition(".")[0] not in theirs}
    known = untrusted(Split.parse(own).flat())
    whole = {key: value for key, value in known.items() if key.partition(".")[0] not in theirs} | dict(rule)
    sides = [_side(whole, name, steps) for name in ("hidden", "rest")]
    trained = "{name: param for name, param in model.named_parameters() if param.requires_grad}"
    return Told(
        [
            f"hidden, rest = divided({trained}, model)",
            *(line for side in sides for line in side.lines),
            "optimizer = SplitOptimizer(hidden_optimizer, rest_optimizer)",
        ],
        [part for side in sides for part in side.parts],
        [*_BOTH, *(line for side in sides for line in side.imports)],
    )


def _side(rule: Mapping[str, Value], name: str, steps: str) -> Told:
    own = {key.removeprefix(f"{name}."): value for key, value in rule.items() if key.startswith(f"{name}.")}
    if rule.get(name) == "packaged" or "optimizer" in own:
        return _packaged(own, steps, f"{name}_", f"params = list({name}.values())")
    return _composed(own, steps, f"{name}_", f"list({name}.items())")


def _call(function: str, arguments: list[str]) -> list[str]:
    """A call with an argument a line, as formatters write long ones."""
    return [f"{function}(", *(f"    {argument}," for argument in arguments), ")"]


def _heard(scheme: type[Scheme], prefix: str) -> list[str]:
    """Comments on steps that need a closure, or an evaluation told afterwards."""
    asks = ["# step: optimizer.step(closure), closure() returns the loss of the batch, and calls nothing else"]
    plateau = [f"# after every evaluation: {prefix}optimizer.after_epoch(score), of validation, higher is better"]
    hears = scheme.after_epoch is not Scheme.after_epoch
    return (asks if scheme.asks else []) + (plateau if hears else [])


def _packaged(rule: Mapping[str, Value], steps: str, prefix: str = "", params: str = _PARAMS) -> Told:
    """A rule of other people's; of a split's side, `params` are its own, and names begin with the side's."""
    if any(is_outside(value) for value in rule.values()):
        build = f"{prefix}optimizer = made({prefix}rule.optimizer, params, {prefix}rule.decay)"
        read = _read(Packaged, rule, prefix)
        lines, imports = [*read.lines, params, build], ["from trainables.optimizers import made", *read.imports]
        if rule.get("schedule", "constant") == "constant" and not rule.get("schedule.warmup"):
            return Told(lines, [], imports)
        return Told([*lines, *_scheduled(prefix, f"{prefix}rule.schedule", steps)], [], [_TORCH, *imports])
    built = Packaged.parse(rule)
    lines = [
        *_asked(built),
        params,
        *([] if built.decay.on == "all" else _APART),
        f"{prefix}optimizer = {built.optimizer!r}.make(params)",
    ]
    if built.schedule == Constant():
        return Told(lines, [built.optimizer], [])
    return Told([*lines, *_scheduled(prefix, repr(built.schedule), steps)], [built.optimizer, built.schedule], [_TORCH])


def _asked(rule: Packaged) -> list[str]:
    """Comments on an optimizer that has modes, or whose step asks for something."""
    live = made(rule.optimizer, [nn.Parameter(torch.zeros(2, 2))])
    steps = {"loss": "optimizer.step(loss=loss)", "closure": "optimizer.step(closure), which computes the gradients"}
    return [*(_MODES if hasattr(live, "eval") else []), *(f"# step: {steps[asks]}" for asks in sorted(asked(live)))]


_APART = [
    "params = [",
    '    {"params": [param for param in params if param.ndim >= 2]},',
    '    {"params": [param for param in params if param.ndim < 2], "weight_decay": 0.0},',
    "]",
]
_MODES = ["# optimizer.train() before training, optimizer.eval() before the model is evaluated or saved"]


def _scheduled(prefix: str, schedule: str, steps: str) -> list[str]:
    """A schedule of ours on somebody else's optimizer."""
    progress = "torch.tensor(min(step / total_steps, 1.0), dtype=torch.float64)"
    return [
        f"{prefix}schedule = {schedule}",
        steps.replace("=", " = ", 1),
        f"# after every optimizer.step(): {prefix}scheduler.step()",
        *_call(
            f"{prefix}scheduler = torch.optim.lr_scheduler.LambdaLR",
            [f"{prefix}optimizer", f"lambda step: float({prefix}schedule({progress}))"],
        ),
    ]


def _imports(told: Told) -> list[str]:
    """The imports under which the parts are what their `repr` says."""
    places: dict[str, set[str]] = {}
    for part in told.parts:
        for kind in _kinds(part):
            places.setdefault(kind.__module__, set()).add(kind.__qualname__)
    ours = [f"from {place} import {', '.join(sorted(names))}" for place, names in places.items()]
    infinite = _INF in told.imports or _infinite(value for part in told.parts for value in floats(part).values())
    first = [*([_INF] if infinite else []), *([_TORCH] if _TORCH in told.imports else [])]
    return [*first, *sorted({*ours, *told.imports} - {*first})]


def _infinite(values: Iterable[object]) -> bool:
    """True where one of them is written as `inf`."""
    return any(isinstance(value, float) and math.isinf(value) for value in values)


def _kinds(part: Component) -> set[type[Component]]:
    inside = (getattr(part, entry.name) for entry in fields(part))  # type: ignore[arg-type]
    below: set[type[Component]] = {kind for value in inside if isinstance(value, Component) for kind in _kinds(value)}
    return {type(part), *below}


def _as_dict(rule: Mapping[str, Any]) -> str:
    """A mapping as Python, in which other people's code is named by whoever runs it."""
    told = (f"{key!r}: {f'trusted({value!r})' if is_outside(value) else repr(value)}" for key, value in rule.items())
    return f"{{{', '.join(told)}}}"
