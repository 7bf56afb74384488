"""An optimizer of other people's keeps everything over a resume, whatever its form, and gets what its step asks for."""

import io
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from trainables.components import find
from trainables.optimizers import Optimizer
from trainables.oracle import Oracle
from trainables.packaged import Packaged
from trainables.refusal import Refusal
from trainables.schedules import Schedule
from trainables.testing import copied, noisy_bowl, same, two_layers

COSINE = find(Schedule, "cosine")()


class Hoarder(torch.optim.Optimizer):
    """Keeps state of every form, and moves by all of it."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr, "pull": 0.5, "sums": [], "told": None})
        self.seen, self.losses, self.told = 0, [0.25], lambda: None

    @torch.no_grad()
    def step(self, closure=None, loss=None):
        self.seen += 1
        self.losses.append(float(loss))
        for group in self.param_groups:
            group["pull"] = group["pull"] * 0.9 + 0.01
            group["sums"] = [*group["sums"], torch.tensor(group["pull"] ** 2)][-3:]
            for param in group["params"]:
                state = self.state[param]
                if not state:
                    count = torch.zeros((), dtype=torch.int64)
                    state |= {"decay": 0.5, "whole": 1, "nested": {"mean": None, 3: [param.clone()]}, "count": count}
                    state["again"] = state["count"]
                    self.state.setdefault("shared", {})[param] = torch.tensor(1.5)
                state["decay"] *= 0.97
                state["whole"] += 1
                state["count"] += 1  # in place: `again` is the same tensor
                before = state["nested"]["mean"]
                state["nested"]["mean"] = param.grad.clone() if before is None else before * 0.9 + param.grad
                state["nested"][3] = [*state["nested"][3], param.clone()][-2:]
                assert type(state["decay"]) is float
                assert type(state["whole"]) is int
                assert state["count"] is state["again"]
                factor = state["decay"] / state["whole"] + state["count"].item() + sum(map(float, group["sums"]))
                toward = group["pull"] * (param - state["nested"][3][0]) + self.losses[-2] * state["nested"]["mean"]
                param -= group["lr"] * (factor * toward + self.seen * self.state["shared"][param] * param.grad)


@dataclass(frozen=True)
class Groups(Optimizer):
    """Two groups, of matrices and of vectors, at rates of their own."""

    package: ClassVar[str] = "torch"
    lr: float = 0.001

    def make(self, params):
        groups = [{"params": [p for p in params if p.ndim == n], "lr": n * self.lr} for n in (1, 2)]
        return self.made(groups)

    def made(self, groups):
        return Hoarder(groups, lr=self.lr)

    def rate(self, live):
        return live.param_groups[0]["lr"]


@dataclass(frozen=True)
class Searching(Groups):
    """One whose step calls a closure, several times."""

    def made(self, groups):
        return torch.optim.LBFGS([p for group in groups for p in group["params"]], lr=self.lr, max_iter=3)


def by_hand(optimizer, steps):
    leaves = {name: nn.Parameter(param) for name, param in two_layers().items()}
    theirs = optimizer.make(list(leaves.values()))
    first = [group["lr"] for group in theirs.param_groups]
    for step in range(steps):
        for group, lr in zip(theirs.param_groups, first, strict=True):
            group["lr"] = lr * float(COSINE(torch.tensor(step / steps, dtype=torch.float64)))

        def closure(step=step):
            loss, raw = noisy_bowl(step).gradient({name: leaf.detach() for name, leaf in leaves.items()})
            for name, leaf in leaves.items():
                leaf.grad = raw[name]
            return loss

        theirs.step(closure) if isinstance(theirs, torch.optim.LBFGS) else theirs.step(loss=closure())
    return {name: leaf.detach() for name, leaf in leaves.items()}


def through_a_file(data):
    file = io.BytesIO()
    torch.save(data, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("optimizer", [Groups(), Searching()], ids=lambda optimizer: type(optimizer).__name__)
@pytest.mark.parametrize("interrupted", [0, 1, 10, 19])
def test_all_that_it_keeps_outlives_a_resume(optimizer, interrupted):
    rule, params = Packaged(optimizer, COSINE), two_layers()
    state = rule.init(params)
    for step in range(20):
        if step == interrupted:
            saved = rule.save(state)
            state = rule.load(params, through_a_file(saved))
            assert same(rule.save(state), saved)
        _, params, state = rule.step(noisy_bowl(step), params, state, torch.tensor(step / 20, dtype=torch.float64))
    assert same(params, by_hand(optimizer, 20))


def test_what_was_saved_does_not_move_with_the_training():
    rule, params = Packaged(Groups()), two_layers()
    _, params, state = rule.step(noisy_bowl(0), params, rule.init(params), torch.tensor(0.0))
    saved = rule.save(state)
    before = copied((saved, params))
    rule.step(noisy_bowl(1), params, state, torch.tensor(0.0))
    assert same(before, (saved, params))


def test_every_gradient_of_a_closure_is_paid_for():
    rule, params, oracle = Packaged(Searching()), two_layers(), noisy_bowl(0)
    rule.step(oracle, params, rule.init(params), torch.tensor(0.0))
    assert oracle.passes == 3


def test_a_state_that_was_stepped_from_is_not_stepped_from_again():
    rule, params = Packaged(Groups()), two_layers()
    state = rule.init(params)
    rule.step(noisy_bowl(0), params, state, torch.tensor(0.0))
    with pytest.raises(RuntimeError, match="was stepped from already"):
        rule.step(noisy_bowl(0), params, state, torch.tensor(0.0))


def test_a_state_that_is_no_data_is_refused():
    rule, params = Packaged(Groups()), two_layers()
    state = rule.init(params)
    state.live.optimizer.state["other"] = {"all": [object()]}
    told = "optimizer Hoarder keeps values of type object: a checkpoint holds plain data only"
    with pytest.raises(Refusal, match=told):
        rule.save(state)


class Writing(torch.optim.SGD):
    """SGD that doubles every gradient where it stands."""

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for param in group["params"]:
                param.grad.mul_(2)
                param -= group["lr"] * param.grad


class Handed(torch.autograd.Function):
    """Half a sum of squares, whose backward pass hands out the very parameter."""

    @staticmethod
    def forward(ctx, param):
        ctx.save_for_backward(param)
        return param.square().sum() / 2

    @staticmethod
    def backward(ctx, _):
        return ctx.saved_tensors[0].detach()


def test_a_gradient_that_is_also_something_else_s_is_written_into_by_nobody():
    slope = torch.arange(6.0).reshape(2, 3)
    params = {name: torch.full((2, 3), 4.0) for name in ("left", "right", "flat", "handed")}

    def objective(at):
        both = ((at["left"] + at["right"]) * slope).sum()
        return both + at["flat"].sum() + Handed.apply(at["handed"])

    rule = Packaged(Optimizer.adopted(Writing, __name__)(lr=0.25))
    _, moved, _ = rule.step(Oracle(objective), params, rule.init(params), torch.tensor(0.0))
    expected = {"left": 4 - slope / 2, "right": 4 - slope / 2, "flat": torch.full((2, 3), 3.5)}
    assert same(moved, {**expected, "handed": torch.full((2, 3), 2.0)})


def test_it_goes_on_from_the_parameters_that_it_is_given_whoever_made_them():
    rule, params = Packaged(Groups()), two_layers()
    _, first, state = rule.step(noisy_bowl(0), params, rule.init(params), torch.tensor(0.0))
    data = rule.save(state)
    doubled = {**first, "0.bias": 2 * first["0.bias"]}
    _, there, _ = rule.step(noisy_bowl(1), doubled, state, torch.tensor(0.0))
    _, here, _ = rule.step(noisy_bowl(1), doubled, rule.load(doubled, data), torch.tensor(0.0))
    assert same(there, here)


class Both(torch.optim.Optimizer):
    """Two optimizers in a list, a tensor by the `id` of its parameter, and a number of numpy's."""

    def __init__(self, params, lr=0.1):
        super().__init__(list(params), {"lr": lr})
        every = self.param_groups[0]["params"]
        kinds = {torch.optim.Adam: [p for p in every if p.ndim > 1], torch.optim.SGD: [p for p in every if p.ndim < 2]}
        self.both = [kind(some, lr=lr) for kind, some in kinds.items()]
        self.seen, self.scale = {}, np.float64(1.0)

    def step(self, closure=None):
        for optimizer in self.both:
            optimizer.step()
        self.scale *= 0.9
        for param in self.param_groups[0]["params"]:
            self.seen[id(param)] = self.seen.get(id(param), 0) + param.grad
            param.data -= 0.01 * float(self.scale) * self.seen[id(param)]


@pytest.mark.parametrize("interrupted", [1, 6])
def test_optimizers_inside_of_one_and_what_is_kept_by_id_outlive_a_resume(interrupted):
    rule, ends = Packaged(Optimizer.adopted(Both, __name__)()), []
    for breaks in (False, True):
        params = two_layers()
        state = rule.init(params)
        for step in range(12):
            if breaks and step == interrupted:
                state = rule.load(params, through_a_file(rule.save(state)))
            _, params, state = rule.step(noisy_bowl(step), params, state, torch.tensor(0.0))
        ends.append(params)
    assert same(*ends)


class Keeping(torch.optim.SGD):
    """One that keeps what no checkpoint can hold, in an attribute."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)
        self.drawn = torch.Generator()


def test_what_no_checkpoint_can_hold_is_refused_before_the_first_step():
    rule = Packaged(Optimizer.adopted(Keeping, __name__)())
    with pytest.raises(Refusal, match="optimizer Keeping keeps values of type Generator"):
        rule.init(two_layers())


class Asking(torch.optim.SGD):
    """One whose step does not go without a closure, and does not say so."""

    def step(self, closure=None):
        if closure is None:
            raise RuntimeError("Asking requires closure")
        with torch.enable_grad():
            closure()
        return super().step()


def test_a_closure_that_only_an_error_asks_for_is_given():
    rules = [Packaged(Optimizer.adopted(kind, __name__)(lr=0.1)) for kind in (Asking, torch.optim.SGD)]
    ends = [rule.step(noisy_bowl(0), two_layers(), rule.init(two_layers()), torch.tensor(0.0)) for rule in rules]
    assert same(ends[0].params, ends[1].params)
    assert same(ends[0].loss, ends[1].loss)


class Parting(torch.optim.SGD):
    """One that needs vectors and matrices."""

    def __init__(self, params, lr=0.1):
        every = list(params)
        torch.optim.SGD([param for param in every if param.ndim < 2], lr=lr)
        super().__init__(every, lr=lr)


def test_a_class_that_needs_vectors_too_is_taken():
    Optimizer.adopted(Parting, __name__)().check()


def test_a_class_of_a_package_that_is_shipped_knows_what_is_known_of_it():
    dadaptation = pytest.importorskip("dadaptation", reason="needs the dependency group packaged")
    member = Optimizer.adopted(dadaptation.DAdaptSGD, "dadaptation")
    assert (member.decays_by_group, member.starts_at_zero) == (False, False)
    assert Optimizer.adopted(torch.optim.Adam, "torch.optim").decays_by_group
