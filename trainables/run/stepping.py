"""The optimizer that a loop of the user's steps: the rule of the trial, what its steps cost, where its schedule is."""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn

from trainables.components import name_of
from trainables.optimizer import SchemeOptimizer
from trainables.optimizers import made
from trainables.oracle import Tensors
from trainables.packaged import Packaged, rates, scale_rates, set_rates
from trainables.refusal import Refusal
from trainables.rules import Composed, Rule
from trainables.schedules import Constant
from trainables.split import Split, check_gradient_serves, divided
from trainables.split_optimizer import SplitOptimizer
from trainables.trial import Record


class Over(BaseException):
    """Raised where a training is over: no `except Exception` of a loop may swallow it."""


class Side(NamedTuple):
    """A rule, and the optimizer that steps by it: the trial's, or one side of a split."""

    rule: Rule
    optimizer: torch.optim.Optimizer
    first: list[float | None]  # the rates of its groups before the first step

    @property
    def stands(self) -> bool:
        """True where no parameter of a scheme's has had a gradient yet."""
        return isinstance(self.optimizer, SchemeOptimizer) and not self.optimizer.extras()

    @property
    def writes_rates(self) -> bool:
        """True where its schedule sets the rates of other people's optimizer."""
        return isinstance(self.rule, Packaged) and self.rule.schedule != Constant()

    @property
    def averages(self) -> bool:
        """True where it is judged by an average of its parameters."""
        return isinstance(self.rule, Packaged) and hasattr(self.optimizer, "eval")

    def scheduled(self, share: float) -> None:
        """Bring its schedule to where it is after this share of the training, whenever parameters came or thawed."""
        if isinstance(self.optimizer, SchemeOptimizer):
            self.optimizer.progress = share
        if isinstance(self.rule, Packaged) and self.writes_rates:
            factor = self.rule.schedule(torch.tensor(share, dtype=torch.float64))
            self.meets_groups()
            scale_rates(self.optimizer, self.first, float(factor))

    def meets_groups(self) -> None:
        """Note the first rates of groups that were added since."""
        self.first.extend(rates(self.optimizer)[len(self.first) :])

    def heard(self, score: float | None, used: list[float | None], *, stepped: bool) -> dict[str, float]:
        """Tell the rule of an evaluation; what it adds to a record comes back.

        Args:
            score: higher is better; None where there is none.
            used: the rates of its groups in the last step: somebody's LR scheduler may have moved them since.
            stepped: whether there was one; a rule that finds its rate has none before.
        """
        if isinstance(self.rule, Packaged) and self.rule.optimizer.finds_rate and not stepped:
            return {"lr": math.nan}
        if isinstance(self.rule, Packaged):
            now = rates(self.optimizer)
            set_rates(self.optimizer, [*used, *now[len(used) :]])  # a group may be newer than the step
            try:
                return {"lr": self.rule.optimizer.rate(self.optimizer)}
            finally:
                set_rates(self.optimizer, now)
        optimizer = cast(SchemeOptimizer, self.optimizer)
        if score is not None:
            optimizer.after_epoch(score)
        groups = optimizer.extras()
        told = groups[0] if groups else {"lr": optimizer.param_groups[0]["lr"]}  # all of it is frozen, for one
        return {name: float(value) for name, value in told.items()}


class Stepping:
    """An optimizer of the trial's rule, its steps counted.

    Attributes:
        optimizer: for the user's loop.
        averages: True where the rule is judged by an average of its parameters.
        steps: so far.
        passes: gradient equivalents so far.
    """

    def __init__(self, rule: Rule, params: Any, total_steps: int | None, check: Callable[[], None]) -> None:
        """Make the optimizer.

        Args:
            rule: of the trial.
            params: a module, or what every torch optimizer takes.
            total_steps: in all, for schedules; None where they move at reports.
            check: called before and after every step; may raise `Over`.
        """
        self._total, self._check = total_steps, check
        self._modules = [params] if isinstance(params, nn.Module) else []
        self.optimizer = _made(rule, params, total_steps)
        self._sides = _sides(rule, self.optimizer)
        self.averages = any(side.averages for side in self._sides)
        self.steps, self.passes, self._calls, self._share = 0, 0.0, 0, 0.0
        self._step: FrameType | None = None  # the call of the step that is under way, and how many steps inside of it:
        self._depth = 0  # torch calls its hooks for a `super().step()`, too
        self._used: list[list[float | None]] = []  # the rates of every side in the last step
        self._stood: list[list[float | None]] = []  # and where they stood when the rule last had a hand in them
        self._moved = False  # by somebody else, between two steps
        self.optimizer.register_step_pre_hook(self._before)
        self.optimizer.register_step_post_hook(self._after)

    def goes_on(self, records: Sequence[Record], num_epochs: int) -> None:
        """Count on from the last record; the schedules of a stream move there.

        Args:
            records: of the training so far.
            num_epochs: of the whole training.
        """
        if records:
            self.steps, self.passes = records[-1].steps, records[-1].passes
        self._share = len(records) / num_epochs

    @property
    def writes_rates(self) -> bool:
        """True where a schedule of the rule's writes over whatever rate somebody else has set."""
        return any(side.writes_rates for side in self._sides)

    @property
    def moved(self) -> bool:
        """True where somebody else has set a rate since the rule's own schedule did; a new group's is its first."""
        if self._moved or not (self.writes_rates and self._stood):
            return self._moved
        return any(now[: len(stood)] != stood for now, stood in zip(self._rates(), self._stood, strict=True))

    @property
    def starts(self) -> list[float]:
        """The rates that its groups start at: what a scheduler made of them, if one drives them; of a split, none."""
        if len(self._sides) > 1:
            return []
        (side,) = self._sides
        pairs = zip(side.first, self.optimizer.param_groups, strict=False)
        starts = [group.get("initial_lr", first) for first, group in pairs]
        return [float(start) for start in starts if start is not None]

    def _rates(self) -> list[list[Any]]:
        """The rates of every side, copied where they are tensors."""
        every: list[list[Any]] = [list(rates(side.optimizer)) for side in self._sides]
        return [[lr.clone() if isinstance(lr, Tensor) else lr for lr in own] for own in every]

    def trains(self, modules: Iterable[nn.Module]) -> None:
        """Take in what a loop keeps, before it is put back: the modules, where it gave parameters alone, and groups."""
        for side in self._sides:
            side.meets_groups()
        own = {param for group in self.optimizer.param_groups for param in group["params"]}
        self._modules = self._modules or [each for each in modules if not own.isdisjoint(each.parameters())]

    def heard(self, score: float | None) -> dict[str, float]:
        """Tell the rule of an evaluation.

        Args:
            score: higher is better; None where there is none.

        Returns:
            The rate `lr` of the last step, and what the rule adds to a record.

        Raises:
            Refusal: where no step has had a gradient, and the training goes on.
        """
        if score is not None and all(side.stands for side in self._sides):
            raise Refusal("the session's optimizer has stepped without a gradient: call loss.backward() before it")
        used = self._used or self._rates()
        pairs = zip(self._sides, used, strict=True)
        first, *others = [side.heard(score, its, stepped=self.steps > 0) for side, its in pairs]
        if isinstance(self.optimizer, SplitOptimizer):
            first["hidden_share"] = self.optimizer.hidden_share
        return {**first, **{f"rest_{name}": value for other in others for name, value in other.items()}}

    @contextmanager
    def judged(self, refresh: Iterable[Any] | None, device: torch.device) -> Iterator[None]:
        """The parameters as they are to be judged, BatchNorm's statistics made anew where these are an average.

        Args:
            refresh: batches of training data.
            device: of the module.

        Raises:
            Refusal: there are such statistics, and no batches; or nobody knows the module.
        """
        if not self.averages:
            yield
            return
        if not self._modules:
            raise Refusal(
                "the trial's rule is judged by an average of its parameters, for which a BatchNorm would need "
                "statistics: give session.optimizer the module, or session.epochs(model=model, …)"
            )
        of_each = [[norm for norm in module.modules() if isinstance(norm, _BatchNorm)] for module in self._modules]
        norms = [norm for own in of_each for norm in own]
        if sum(map(bool, of_each)) > 1:
            raise Refusal(
                "the trial's rule is judged by an average of its parameters, and several modules have a BatchNorm: "
                "which batches each is to see is not known; give session.optimizer the one module that calls them all"
            )
        if norms and refresh is None:
            raise Refusal(
                "the trial's rule is judged by an average of its parameters, for which BatchNorm has no statistics: "
                "give training batches, session.evaluating(refresh=loader)"
            )
        buffers = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
        self.optimizer.eval()  # type: ignore[attr-defined]
        try:
            for module, own in zip(self._modules, of_each, strict=True):
                if own:
                    update_bn(_inputs(refresh), module, device)
            yield
        finally:
            for buffer, before in buffers:
                buffer.copy_(before)
            self.optimizer.train()  # type: ignore[attr-defined]

    def _before(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: dict[str, Any]) -> Any:
        if self._step is not None and _runs(self._step):
            self._depth += 1
            return None
        self._step, self._depth = sys._getframe(1), 0  # after one that has raised, too: no hook is called there
        self._check()
        self._moved = self.moved
        share = self._share if self._total is None else min(self.steps / self._total, 1.0)
        for side in self._sides:
            side.scheduled(share)
        self._stood = self._rates()  # this step may raise
        if isinstance(optimizer, SchemeOptimizer):
            optimizer.passes = 0.0
            return None
        self._calls = 0
        own, *given = args
        closure = given[0] if given else kwargs.get("closure")
        others = {key: value for key, value in kwargs.items() if key != "closure"}  # a loss, for one
        return None if closure is None else ((own, self._counted(closure), *given[1:]), others)

    def _counted(self, closure: Callable[[], Any]) -> Callable[[], Any]:
        def call() -> Any:
            self._calls += 1
            return closure()

        return call

    def _after(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: dict[str, Any]) -> None:
        if self._depth:
            self._depth -= 1
            return
        self._step = None
        self._used = self._stood = self._rates()
        self.steps += 1
        if isinstance(optimizer, SchemeOptimizer):
            self.passes += optimizer.passes
        else:
            self.passes += self._calls or 1
        self._check()


def _runs(frame: FrameType) -> bool:
    """Tell if a call has not returned yet: it is one of those that this one is made in."""
    now: FrameType | None = sys._getframe(1)
    while now is not None and now is not frame:
        now = now.f_back
    return now is not None


def _inputs(batches: Any) -> Iterator[Tensor]:
    """The inputs of training batches, one after another, as `update_bn` gives them to a module."""
    for batch in batches:
        inputs = batch[0] if isinstance(batch, (list, tuple)) else batch
        if not hasattr(inputs, "to"):  # a dict, for one: torch moves it to the module's device
            raise Refusal(
                f"session.evaluating(refresh=…) takes batches that are a tensor, or begin with one, got a "
                f"{type(inputs).__name__}: give the inputs"
            )
        yield inputs


def _made(rule: Rule, params: Any, total_steps: int | None) -> torch.optim.Optimizer:
    if isinstance(rule, Composed):
        return SchemeOptimizer(params, rule.scheme, rule.direction, rule.decay, total_steps=total_steps)
    if isinstance(rule, Split):
        return _split(rule, params, total_steps)
    if not isinstance(rule, Packaged):
        raise Refusal(f"rule {name_of(type(rule))!r} is no optimizer for a loop of one's own")
    live = made(rule.optimizer, _without_names(params), rule.decay)
    if not rule.optimizer.skips and not all(param.requires_grad for g in live.param_groups for param in g["params"]):
        name = name_of(type(rule.optimizer))
        raise Refusal(f"optimizer {name!r} takes no frozen parameter: give session.optimizer those that train")
    rule.check_rates(live)
    return live


def _split(rule: Split, params: Any, total_steps: int | None) -> SplitOptimizer:
    """The optimizers of both sides, of a module's parameters."""
    if not isinstance(params, nn.Module):
        raise Refusal("rule: split tells parameters by the modules that they are in: say session.optimizer(model, …)")
    rule.check()
    every: Tensors = dict(params.named_parameters())  # frozen ones too: they may be thawed
    parts = zip((rule.hidden, rule.rest), divided(every, params), strict=True)
    both = SplitOptimizer(*(_made(side, list(part.items()), total_steps) for side, part in parts))
    for name, side in zip(("hidden", "rest"), both.sides, strict=True):
        check_gradient_serves(name, side)
    return both


def _sides(rule: Rule, optimizer: torch.optim.Optimizer) -> list[Side]:
    """The rule and its optimizer, or both of a split."""
    if isinstance(rule, Split) and isinstance(optimizer, SplitOptimizer):
        pairs = zip((rule.hidden, rule.rest), optimizer.sides, strict=True)
        return [Side(each, live, rates(live)) for each, live in pairs]
    return [Side(rule, optimizer, rates(optimizer))]


def _without_names(params: Any) -> list[Any]:
    """Parameters, or groups of them, as every optimizer takes them: torch's own alone know of names."""
    each_one = params.parameters() if isinstance(params, nn.Module) else params
    given: list[Any] = [params] if isinstance(params, Tensor) else list(each_one)
    if given and isinstance(given[0], dict):
        return [{**group, "params": _without_names(group["params"])} for group in given]
    return [each[1] if isinstance(each, tuple) else each for each in given]
