"""The wire format: what is asked of one trial, and what comes back every epoch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from trainables.components import Component, name_of
from trainables.refusal import Refusal
from trainables.rules import Composed, Rule
from trainables.space import setting
from trainables.tasks import Classification, Workload


@dataclass(frozen=True, kw_only=True)
class Trial(Component):
    """One training at one configuration and one seed.

    `flat()` writes it as dotted keys and scalars (`{"task": "quadratic", "scheme.lr": 0.1, …}`), which is what
    Ray, MLflow and a study file hold; `parse()` reads it back and refuses what does not fit.

    >>> Trial.parse({"task": "quadratic", "scheme.lr": 0.5}).rule.scheme.lr
    0.5
    """

    task: Workload
    rule: Rule = field(default_factory=Composed, metadata={"inline": True})
    batch_size: int | Literal["full"] = setting(128, valid=(1, 1e9))
    accumulate: int = setting(1, valid=(1, 1e6))  # mini-batches a step, which follows the mean of their gradients
    epochs: float = setting(10.0, valid=(1e-6, 1e6))
    record_every: float = setting(1.0, valid=(1e-6, 1e6))  # epochs between two records
    seed: int = setting(0, valid=(0, 2**63 - 1))
    precision: Literal["float32", "bfloat16", "float64"] = setting("float32")
    compile: bool = setting(False)
    fuse: int | None = setting(None, valid=(1, 4096))  # trials trained side by side as one program
    threads: int = setting(1, valid=(1, 1024))
    gradient_clip: float | None = setting(None, valid=(1e-12, float("inf")))
    scale_invariance: bool = setting(False)  # record norm, effective rate and angle of every scale-invariant tensor
    artifacts: bool = setting(False)  # keep final weights, their mean over late records, and the labels it predicted
    evaluate_test: Literal["end", "epoch", "never"] = setting("end")

    def check(self) -> None:
        """Refuses, before anything starts, what does not go together."""
        task, defaults = name_of(type(self.task)), {entry.name: entry.default for entry in fields(self)}
        for name in self.task.without:
            if getattr(self, name) != defaults[name]:
                raise Refusal(f"{name} means nothing for {task}, which has a loop of its own: leave it out")
        if self.task.whole_epochs and self.epochs != int(self.epochs):
            raise Refusal(f"epochs must be a whole number for {task}, which reports once an epoch, got {self.epochs:g}")
        if self.fuse is not None:
            self._check_fuse(self.rule)
        if self.compile:
            self.rule.compiled()  # compiles nothing yet: that takes a first call
        if self.accumulate > 1 and self.batch_size == "full":
            raise Refusal(f"accumulate: {self.accumulate} needs a batch_size in numbers: 'full' is one batch an epoch")
        if self.artifacts and not isinstance(self.task, Classification):
            raise Refusal(f"artifacts: true keeps predicted labels, and task {task!r} has none")

    def _check_fuse(self, rule: Rule) -> None:
        """Refuses what cannot be trained in lanes beside others."""
        needs = f"fuse: {self.fuse} needs"
        if not isinstance(rule, Composed):
            raise Refusal(f"{needs} a composed rule, whose steps are pure functions, got {name_of(type(rule))!r}")
        if rule.scheme.asks or not rule.scheme.vmaps:
            scheme = name_of(type(rule.scheme))
            raise Refusal(f"{needs} a scheme that asks for nothing but the gradient, got {scheme!r}")
        if self.compile or self.scale_invariance:
            name = "compile" if self.compile else "scale_invariance"
            raise Refusal(f"{needs} {name}: false: what it does is done one trial at a time")


@dataclass(frozen=True, kw_only=True)
class Record:
    """The numbers of one epoch. Costs count from the start of the trial; scores are the task's own metric.

    `extras` holds what a scheme or task adds, and `test_loss`, `test_score` where the test set was looked at.
    """

    epoch: float
    train_loss: float  # mean over the mini-batches since the last record, before each step
    train_score: float
    valid_loss: float
    valid_score: float
    lr: float  # the base rate of the last step
    passes: float  # gradient equivalents
    flops: float
    steps: int
    seconds: float  # spent in steps
    diverged: bool
    extras: Mapping[str, float] = field(default_factory=dict[str, float])

    def flat(self) -> dict[str, float]:
        """Every field by its name, the extras among them.

        >>> record = Record(epoch=1, train_loss=0, train_score=1, valid_loss=0, valid_score=1, lr=0.1, passes=9,
        ...                 flops=0, steps=9, seconds=0.1, diverged=False, extras={"test_score": 0.5})
        >>> record.flat()["test_score"], Record.parse(record.flat()) == record
        (0.5, True)
        """
        own = asdict(self)
        return {**{name: value for name, value in own.items() if name != "extras"}, **self.extras}

    @classmethod
    def parse(cls, flat: Mapping[str, Any]) -> "Record":
        """The record that `flat` describes; names that are no field are extras."""
        names = [entry.name for entry in fields(cls) if entry.name != "extras"]
        missing = [name for name in names if name not in flat]
        if missing:
            raise Refusal(f"a record needs {', '.join(missing)}")
        extras = {name: value for name, value in flat.items() if name not in names}
        return cls(**{name: flat[name] for name in names}, extras=extras)


def finite_or_nan(value: Any) -> float:
    """The number, or NaN where it is infinite: a store may turn infinity into something finite.

    Args:
        value: a number, or a tensor of one.

    >>> finite_or_nan(0.5), finite_or_nan(float("-inf"))
    (0.5, nan)
    """
    number = float(value)
    return number if math.isfinite(number) else math.nan
