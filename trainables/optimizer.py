"""Any scheme on any direction as a drop-in `torch.optim.Optimizer`, for other people's loops."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from trainables.closure import Closure, check_alone
from trainables.components import check_values, name_of
from trainables.directions import Direction
from trainables.directions.sgd import SGD
from trainables.groups.memory import GroupMemory, Overwriting, moved, trained
from trainables.groups.param_group import OWN, Group, check_group, check_rated, check_rule, named, real, rule_of
from trainables.groups.parameter_state import Layout, Standing, adopted, in_order, layout_of, read, separate, write
from trainables.oracle import Oracle, Tensors
from trainables.plugins import untrusted
from trainables.refusal import Refusal
from trainables.rules import Composed, Coupled, Decay
from trainables.schedules import has_schedule
from trainables.schemes import Scheme
from trainables.updates.flat import owned
from trainables.updates.tensorwise import is_tensorwise


class SchemeOptimizer(torch.optim.Optimizer):
    """The rule of a trial behind torch's own interface: `loss.backward(); optimizer.step()`.

    Every parameter group is a rule of its own, with its own state: `lr` and `weight_decay` may differ. Afterwards
    `group["lr"]` is a handle on the step: what a torch LR scheduler makes of it, divided by its first value, multiplies
    the scheme's rate. Gradients may be clipped in between. A parameter without a gradient stays where it is; to its
    state that is a gradient of zero, without decay (under schemes that ask, with it: they take the gradient). A complex
    parameter is two real ones, along a last axis of its own. Parameters that are sharded (DTensor, FSDP) are refused:
    norms and means over a shard are not those over the parameter.

    Schemes that ask for more than a gradient (line search, curvature) need `step(closure)`, a closure that computes
    the loss of one mini-batch and returns it. Unlike torch's own it calls neither `zero_grad()` nor `backward()`:
    gradients, and other parameters to look at, are the scheme's business, and `.grad` is left alone. It may be called
    several times a step, each time with the noise of the first; BatchNorm's statistics then move once if `params` is
    the module, else with every call. These schemes take one parameter group, of real parameters, and one process.

    `state` and `state_dict()` go by parameter, as torch's checkpoints ask (`torch.distributed.checkpoint` too): what
    belongs to a layer or to all parameters stands with each of them.

    `passes` counts the gradients asked for, in gradient equivalents, on from whatever a loop sets it to. `progress`,
    where a loop sets it, stands in for the share of `total_steps` that was made: of the group that has made most.

    >>> weight = nn.Parameter(torch.tensor([2.0]))
    >>> optimizer = SchemeOptimizer([weight], lr=0.1, weight_decay=0.5)
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
        *,
        lr: float | None = None,
        compile: bool = False,  # noqa: A002 — the word of a trial
    ) -> None:
        """Build the rule, and start its state.

        Args:
            params: a module, or what every torch optimizer takes; schemes with rates for layers need names, so a
                module or named parameters
            scheme: how far to go; by default a fixed rate
            direction: where to go; by default the gradient
            decay: the kind of weight decay; by default coupled
            weight_decay: λ of that decay, for all groups that give none
            total_steps: the length of the training, which a schedule in the rule needs unless `progress` is set
            lr: the scheme's rate, for all groups that give none
            compile: whether the update is compiled at the first step: faster, other bits, and the parameters become
                views into one tensor; for schemes that ask for no more than the gradient

        Raises:
            Refusal: the parts do not go together, a value may not stand in a study file, or the parameters are unfit.
        """
        if not isinstance(scheme, Scheme | None):
            raise Refusal(
                f"scheme must be a Scheme such as CProp(lr=0.1), got {scheme!r}; a rate alone is given as lr="
            )
        if total_steps is not None and not total_steps >= 1:
            raise Refusal(f"total_steps must be at least 1, got {total_steps!r}")
        rule = Composed(direction=direction or SGD(), decay=decay or Coupled())
        self._rule = rule if scheme is None else replace(rule, scheme=scheme)
        check_values(self._rule)
        if compile:
            self._rule.compiled()  # compiles nothing yet, but refuses what cannot be
        self._compile = compile
        self._updates: dict[int, Overwriting] = {}
        self._total_steps = total_steps
        self.progress: float | None = None
        self.passes = 0.0
        self._layouts: dict[int, Layout] = {}
        self._standing: dict[int, tuple[GroupMemory, Standing]] = {}
        self._named: dict[int, Tensors] = {}
        self._module = params if isinstance(params, nn.Module) else None
        if lr is not None:
            check_rated(self._rule.scheme)
        defaults = {
            "lr": getattr(self._rule.scheme, "lr", 1.0) if lr is None else lr,
            "weight_decay": self._rule.decay.weight_decay if weight_decay is None else weight_decay,
            "rule": {key: value for key, value in untrusted(self._rule.flat()).items() if key not in OWN},
        }
        super().__init__(params.named_parameters() if isinstance(params, nn.Module) else params, defaults)

    def add_param_group(self, param_group: Group) -> None:
        """Add a group, with a rule of its own; refused where the rule cannot do with its numbers or parameters."""
        if self._rule.scheme.asks and self.param_groups:
            raise Refusal(f"scheme {self._name!r} looks along one direction: give SchemeOptimizer one parameter group")
        if "lr" in param_group:
            check_rated(self._rule.scheme)
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            group["first_lr"] = float(group["lr"])
            check_group(group, self._rule)
        except Refusal:
            self.param_groups.pop()
            raise
        if named(group, self._rule.scheme):
            self._keep(len(self.param_groups) - 1, self._fresh(group))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]  — torch has overloads
        """One step of every group. `closure` computes the loss and its gradients anew; the loss is returned.

        Where the scheme asks for more than a gradient, `closure` computes the loss alone.
        """
        if self._rule.scheme.asks:
            return self._ask(closure)
        loss, self.passes, progress = None, self.passes + 1, self._now()
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for index, group in enumerate(self.param_groups):
            if any(param.grad is not None for param in group["params"]):
                self._step(index, group, progress)
        return loss

    def _step(self, index: int, group: Group, progress: Tensor) -> None:
        leaves, rule = self._leaves(index, group), rule_of(group, self._rule)
        kept = self._kept(index, leaves)
        if self._compile or is_tensorwise(rule):
            if index not in self._updates:
                self._updates[index] = Overwriting(rule, self._compile)
            state = self._updates[index](rule, leaves, kept.rule, progress)
            self._keep(index, kept.overwritten(state))
        else:
            self._keep(index, kept.stepped(moved(rule, leaves, kept.rule, progress)))

    def _leaves(self, index: int, group: Group) -> Tensors:
        """The parameters of a group by name, named anew where the group has others than at the step before."""
        own, params = self._named.get(index, {}), group["params"]
        if len(own) != len(params) or not all(map(is_, own.values(), params)):
            own = self._named[index] = named(group, self._rule.scheme)
        return own

    def _ask(self, closure: Callable[[], Any] | None) -> Tensor:
        """One step of the one group, by a rule that asks what the closure's loss is here and elsewhere."""
        if closure is None:
            raise Refusal(f"scheme {self._name!r} asks for losses: step() needs a closure that returns the loss")
        check_alone(self._name)
        (group,) = self.param_groups
        leaves, rule = named(group, self._rule.scheme), rule_of(group, self._rule)
        if not leaves:
            raise Refusal("no parameter takes a gradient: thaw one")
        kept, params = self._kept(0), {name: leaf.detach() for name, leaf in leaves.items()}
        objective = Closure(closure, leaves, self._module)
        oracle = Oracle(objective, leaves=objective.leaves)
        loss, moved, state = rule.step(oracle, params, kept.rule, self._now())
        for name, leaf in leaves.items():
            leaf.copy_(moved[name])
        self._keep(0, kept.stepped(state))
        self.passes += oracle.passes
        return loss

    def _now(self) -> Tensor:
        """The progress of the training; a group that was thawed or added later is as far as the others."""
        share = self.progress
        if share is None and self._total_steps is None and self._scheduled:
            raise Refusal("the rule has a schedule: give total_steps=, or set optimizer.progress before each step")
        if share is None:
            share = min(self._steps / self._total_steps, 1.0) if self._total_steps else 0.0
        return torch.tensor(share, dtype=torch.float64)

    @cached_property
    def _scheduled(self) -> bool:
        return has_schedule(self._rule)

    @property
    def _steps(self) -> float:
        """The steps of the group that has made most."""
        groups = [map(self.state.get, group["params"]) for group in self.param_groups]
        first = (next((entry["step"] for entry in entries if entry), 0.0) for entries in groups)
        return max(map(float, first), default=0.0)

    @property
    def _name(self) -> str:
        return name_of(type(self._rule.scheme))

    # --- the state ---------------------------------------------------------------------------------------

    def _fresh(self, group: Group) -> GroupMemory:
        """The state before the first step."""
        params = {name: real(param.detach()) for name, param in named(group, self._rule.scheme).items()}
        return GroupMemory(*rule_of(group, self._rule).init(params), torch.zeros((), dtype=torch.float64))

    def _entries(self, group: Group, leaves: Tensors | None = None) -> dict[str, dict[str, Any]]:
        leaves = named(group, self._rule.scheme) if leaves is None else leaves
        return dict(zip(leaves, map(self.state.__getitem__, leaves.values()), strict=True))

    def _kept(self, index: int, leaves: Tensors | None = None) -> GroupMemory:
        """The state at this moment, put together from the parameters' entries; `leaves` are the group's, by name."""
        group, standing = self.param_groups[index], self._standing.get(index)
        leaves = named(group, self._rule.scheme) if leaves is None else leaves
        if standing is not None and standing[1].holds(list(map(self.state.__getitem__, leaves.values()))):
            return standing[0]
        entries = self._entries(group, leaves)
        if not any(entry.get("step") for entry in entries.values()):
            return self._fresh(group)  # anew: the parameters may have gone to another device since
        if index not in self._layouts:
            self._layouts[index] = layout_of(self._fresh(group), entries)
        if self._layouts[index].names != tuple(entries):
            raise Refusal("parameters were frozen or thawed after the first step: make another SchemeOptimizer")
        return read(self._layouts[index], entries)

    def _keep(self, index: int, kept: GroupMemory) -> None:
        if index in self._standing and self._standing[index][0] is kept:
            return  # written over where it stands
        entries = self._entries(self.param_groups[index])
        if index not in self._layouts or self._layouts[index].names != tuple(entries):
            self._layouts[index] = layout_of(kept, entries)
        leaves = write(kept, self._layouts[index], entries)
        if kept.step > 0:
            self._standing[index] = (kept, Standing(leaves, self._layouts[index], entries))

    def state_dict(self) -> dict[str, Any]:
        """The state by parameter, and the groups; tensors, numbers and texts only."""
        for group in self.param_groups:
            separate(self._entries(group))
        whole = super().state_dict()
        return {**whole, "state": {at: tree_map_only(Tensor, owned, own) for at, own in whole["state"].items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state of the same rule, with the rates and decays that it brings along."""
        taken: dict[int, GroupMemory] = {}

        def look(_: Any, given: dict[str, Any]) -> dict[str, Any] | None:
            sizes = [
                [len(group["params"]) for group in groups] for groups in (given["param_groups"], self.param_groups)
            ]
            if sizes[0] != sizes[1]:
                return None  # torch's own refusal follows
            groups = list(map(in_order, given["param_groups"], self.param_groups))
            for index, (there, here) in enumerate(zip(groups, self.param_groups, strict=True)):
                if named(here, self._rule.scheme):
                    taken[index] = self._adopted(there, here, given["state"])
            return {**given, "param_groups": groups}

        def take(_: Any) -> None:  # torch has cast everything to the parameters' types, the scalars too
            for index, kept in taken.items():
                self._keep(index, kept)

        before = self.register_load_state_dict_pre_hook(look)
        after = self.register_load_state_dict_post_hook(take, prepend=True)
        try:
            super().load_state_dict(state_dict)
        finally:
            before.remove()
            after.remove()

    def _adopted(self, there: Group, here: Group, saved: dict[Any, dict[str, Any]]) -> GroupMemory:
        """The state saved for a group, checked, in the types and on the devices that belong here."""
        check_rule(there, self.defaults["rule"])
        params, fresh = named(here, self._rule.scheme), self._fresh(here)
        ids = dict(zip(here["params"], there["params"], strict=True))
        entries = {name: saved.get(ids[param], {}) for name, param in params.items()}
        frozen = [name for name, param in params.items() if not param.requires_grad]
        return adopted(entries, fresh, layout_of(fresh, params), frozen)

    def __getstate__(self) -> dict[str, Any]:
        own = {"_rule": self._rule, "_total_steps": self._total_steps, "_module": self._module}
        own |= {"progress": self.progress, "passes": self.passes, "_compile": self._compile}
        own |= {"_layouts": {}, "_standing": {}, "_updates": {}, "_named": {}}
        return {**super().__getstate__(), **own}

    # --- what the rule says and hears ----------------------------------------------------------------

    def _begun(self) -> list[int]:
        """The groups that have stepped."""
        steps = [[entry.get("step") for entry in self._entries(group).values()] for group in self.param_groups]
        return [index for index, own in enumerate(steps) if any(own)]

    def extras(self) -> list[dict[str, Tensor]]:
        """For each group that has stepped: the base rate `lr` of its last step, and what its scheme adds."""
        every = {index: self._leaves(index, self.param_groups[index]) for index in self._begun()}
        found = [self._rule.extras(trained(self._kept(index).rule, leaves)) for index, leaves in every.items()]
        return [tree_map_only(Tensor, torch.clone, own) for own in found]  # the next step writes over the state

    def after_epoch(self, valid_score: float) -> None:
        """Tell the scheme a validation score, the higher the better: decay on plateau listens."""
        for index in self._begun():
            kept = self._kept(index)
            self._keep(index, GroupMemory(*self._rule.after_epoch(kept.rule, valid_score), kept.step))
