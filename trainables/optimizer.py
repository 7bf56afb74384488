"""Any scheme on any direction as a drop-in `torch.optim.Optimizer`, for other people's loops."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from trainables.closure import Closure
from trainables.components import name_of
from trainables.directions import Direction
from trainables.directions.sgd import SGD
from trainables.oracle import Oracle, Recipe, Tensors
from trainables.refusal import Refusal
from trainables.rules import Composed, ComposedState, Coupled, Decay
from trainables.schemes import Known, Rate, Scheme, State


class SchemeOptimizer(torch.optim.Optimizer):
    """The rule of a trial behind torch's own interface: `loss.backward(); optimizer.step()`.

    Every parameter group is a rule of its own, with its own state: `lr` (the scheme's own where the group gives
    none) and `weight_decay` may differ. Afterwards `group["lr"]` is a handle on the step: what a torch LR
    scheduler makes of it, divided by its first value, multiplies the scheme's rate. Gradients may be clipped in
    between. A parameter without a gradient stays where it is; to its state that is a gradient of zero.

    Schemes that ask for more than a gradient (line search, curvature) need `step(closure)`, a closure that computes
    the loss of one mini-batch and returns it. Unlike torch's own it calls neither `zero_grad()` nor `backward()`:
    gradients, and other parameters to look at, are the scheme's business, and `.grad` is left alone. It may be called
    several times a step, each time with the noise of the first; BatchNorm's statistics then move once if `params` is
    the module, else with every call. These schemes take one parameter group.

    `params` is a module, or what every torch optimizer takes; schemes with rates for layers need names, so a module or
    named parameters. `weight_decay` is short for `decay=Coupled(weight_decay)`; with a `decay` it is that decay's λ.
    `total_steps` is what a schedule inside the scheme takes for the whole training; without it progress stays 0.

    >>> weight = nn.Parameter(torch.tensor([2.0]))
    >>> optimizer = SchemeOptimizer([weight], weight_decay=0.5, direction=SGD())
    >>> (3 * weight).sum().backward()
    >>> optimizer.step()
    >>> round(weight.item(), 6)  # 2 − .1 · (3 + .5 · 2)
    1.6
    """

    def __init__(
        self,
        params: Any,
        scheme: Scheme | None = None,
        direction: Direction | None = None,
        decay: Decay | None = None,
        weight_decay: float | None = None,
        total_steps: int | None = None,
    ) -> None:
        rule = Composed(direction=direction or SGD(), decay=decay or Coupled())
        self._rule = rule if scheme is None else replace(rule, scheme=scheme)
        self._total_steps = total_steps
        self._structures: dict[int, TreeSpec] = {}
        self._rule.check()
        self._module = params if isinstance(params, nn.Module) else None
        if isinstance(params, nn.Module):
            params = params.named_parameters()
        defaults = {
            "lr": float(getattr(self._rule.scheme, "lr", 1.0)),
            "weight_decay": self._rule.decay.weight_decay if weight_decay is None else weight_decay,
            "rule": self._rule.flat(),
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """One more group, with a rule of its own."""
        if self._rule.scheme.asks and self.param_groups:
            raise Refusal(f"scheme {self._name!r} looks along one direction: give SchemeOptimizer one parameter group")
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        group["first_lr"] = float(group["lr"])
        if self._rule.scheme.layered and "param_names" not in group:
            raise Refusal("rates for layers need names: give SchemeOptimizer the module, or its named_parameters()")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]  — torch has overloads
        """One step of every group. `closure` computes the loss and its gradients anew; the loss is returned.

        Where the scheme asks for more than a gradient, `closure` computes the loss alone.
        """
        if self._rule.scheme.asks:
            return self._ask(closure)
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for index, group in enumerate(self.param_groups):
            self._step(index, group)
        return loss

    def _step(self, index: int, group: dict[str, Any]) -> None:
        leaves, rule = self._named(group), self._rule_of(group)
        params = {name: leaf.detach() for name, leaf in leaves.items()}
        # Cloned: schemes remember gradients, and `zero_grad(set_to_none=False)` overwrites p.grad in place.
        grads = {n: torch.zeros_like(p) if p.grad is None else p.grad.detach().clone() for n, p in leaves.items()}
        if all(leaf.grad is None for leaf in leaves.values()):
            return
        state, done = self._begin(index, rule, params)
        moved, state = rule.update(grads, params, state, self._progress(done))
        for name, leaf in leaves.items():
            if leaf.grad is not None:
                leaf.copy_(moved[name])
        self._keep(index, state, done + 1)

    def _ask(self, closure: Callable[[], Any] | None) -> Tensor:
        """One step of the one group, by a rule that asks what the closure's loss is here and elsewhere."""
        if closure is None:
            raise Refusal(f"scheme {self._name!r} asks for losses: step() needs a closure that returns the loss")
        (group,) = self.param_groups
        leaves, rule = self._named(group), self._rule_of(group)
        params = {name: leaf.detach() for name, leaf in leaves.items()}
        state, done = self._begin(0, rule, params)
        if state.directions.keys() != params.keys():
            raise Refusal("parameters were frozen or thawed after the first step: make another SchemeOptimizer")
        objective = Closure(closure, leaves, self._module)
        oracle = Oracle(objective, leaves=objective.leaves)
        loss, moved, state = rule.step(oracle, params, state, self._progress(done))
        for name, leaf in leaves.items():
            leaf.copy_(moved[name])
        self._keep(0, state, done + 1)
        return loss

    @property
    def _name(self) -> str:
        return name_of(type(self._rule.scheme))

    def _begin(self, index: int, rule: Composed, params: Tensors) -> tuple[ComposedState, int]:
        """A group's state and the number of its steps so far."""
        kept = self.state[_key(index)]
        return (self._state(index), kept["steps"]) if kept else (rule.init(params), 0)

    def _progress(self, done: int) -> Tensor:
        return torch.tensor(min(done / self._total_steps, 1.0) if self._total_steps else 0.0, dtype=torch.float64)

    def _rule_of(self, group: dict[str, Any]) -> Composed:
        """The trial's rule with the numbers of this group."""
        scheme, decay = self._rule.scheme, self._rule.decay
        first, now = group["first_lr"], float(group["lr"])
        if any(entry.name == "lr" for entry in fields(scheme)):  # type: ignore[arg-type]  — every scheme is a dataclass
            scheme = replace(scheme, lr=first)  # type: ignore[call-arg]
        if now != first:
            scheme = _Scaled(scheme, now / first if first else 0.0)
        return Composed(self._rule.direction, scheme, replace(decay, weight_decay=float(group["weight_decay"])))  # type: ignore[type-var]

    def _named(self, group: dict[str, Any]) -> Tensors:
        names = group.get("param_names") or [str(place) for place in range(len(group["params"]))]
        named = dict(zip(names, group["params"], strict=True))
        if not self._rule.scheme.asks:
            return named
        return {name: param for name, param in named.items() if param.requires_grad}  # no way leads along the others

    # --- the state: lists of tensors, so that `state_dict()` is read with `weights_only=True` ------------

    def _state(self, index: int) -> ComposedState:
        if index not in self._structures:
            group = self.param_groups[index]
            fresh, structure = tree_flatten(self._rule_of(group).init(self._named(group)))
            kept = self.state[_key(index)]
            kept["leaves"] = [leaf.to(like.device) for leaf, like in zip(kept["leaves"], fresh, strict=True)]
            self._structures[index] = structure
        return tree_unflatten(self.state[_key(index)]["leaves"], self._structures[index])

    def _keep(self, index: int, state: ComposedState, steps: int) -> None:
        leaves, self._structures[index] = tree_flatten(state)
        self.state[_key(index)].update(leaves=leaves, steps=steps)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state of the same rule."""
        for group in state_dict["param_groups"]:
            if group.get("rule") != self._rule.flat():
                raise Refusal(f"the state is of another rule: {group.get('rule')} instead of {self._rule.flat()}")
        super().load_state_dict(state_dict)
        self._structures.clear()

    def __getstate__(self) -> dict[str, Any]:
        own = {"_rule": self._rule, "_total_steps": self._total_steps, "_structures": {}, "_module": self._module}
        return {**super().__getstate__(), **own}

    # --- what the rule says and hears ----------------------------------------------------------------

    def extras(self) -> list[dict[str, Tensor]]:
        """For each group that has stepped: the base rate `lr` of its last step, and what its scheme adds."""
        stepped = [index for index in range(len(self.param_groups)) if self.state[_key(index)]]
        return [self._rule.extras(self._state(index)) for index in stepped]

    def after_epoch(self, valid_score: float) -> None:
        """Tell the scheme a validation score, the higher the better: decay on plateau listens."""
        for index in range(len(self.param_groups)):
            kept = self.state[_key(index)]
            if kept:
                self._keep(index, self._rule.after_epoch(self._state(index), valid_score), kept["steps"])


def _key(index: int) -> Any:
    """Where a group's state lies in `Optimizer.state`: torch keeps entries that are no parameter as they are."""
    return f"group {index}"


@dataclass(frozen=True)
class _Scaled(Scheme):
    """A scheme whose rate is multiplied by what LR schedulers did to the group's lr."""

    scheme: Scheme
    factor: float

    def init(self, params: Tensors) -> State:
        return self.scheme.init(params)

    def rate(self, known: Known) -> tuple[Rate, State]:
        rate, state = self.scheme.rate(known)
        return rate._replace(base=rate.base * self.factor), state

    def keeps(self, state: State) -> Recipe | None:
        return self.scheme.keeps(state)
