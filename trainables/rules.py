"""Rules: all that turns a gradient into a step. The one place where parameters move."""

from abc import abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from trainables.components import Component, members, name_of
from trainables.decay import Coupled, Decay, Decoupled
from trainables.directions import Direction
from trainables.directions.sgd import SGD
from trainables.oracle import Oracle, Tensors
from trainables.refusal import Refusal
from trainables.schemes import Gradients, Known, Rate, Scheme
from trainables.schemes.fixed import Fixed
from trainables.updates import update_of
from trainables.updates.flat import Packs, packs_of

State: TypeAlias = Any


class Step(NamedTuple):
    """The result of one step of a rule."""

    loss: Tensor  # the mini-batch loss before the step, a scalar
    params: Tensors
    state: State


class Rule(Component):
    """From parameters and a mini-batch to the next parameters."""

    elsewhere: ClassVar[tuple[str, ...]] = ("trainables.packaged", "trainables.split")

    @classmethod
    def implied(cls, given: Collection[str]) -> str | None:
        """An optimizer of other people's is a rule of its own; refuses what is composed beside it."""
        if "optimizer" not in given:
            return None
        beside = [key for key in given if key.partition(".")[0] in ("direction", "scheme")]
        if beside:
            raise Refusal(f"optimizer is a rule of its own, and takes no {beside[0]} beside it: leave one of them out")
        return "packaged"

    @abstractmethod
    def init(self, params: Tensors) -> State:
        """The state before the first step."""

    def begin(self, params: Tensors, model: nn.Module) -> State:
        """The state before the first step of a model; of most rules the same for all that have these parameters.

        Args:
            params: by name
            model: whose parameters they are
        """
        return self.init(params)

    @abstractmethod
    def step(self, oracle: Oracle, params: Tensors, state: State, progress: Tensor) -> Step:
        """Take one step; nothing is written into `params` or `state`.

        Args:
            oracle: loss, gradient and curvature of this step's mini-batch
            params: by name
            state: from `init`, or from the step before
            progress: of the training, in [0, 1], a scalar
        """

    @abstractmethod
    def compiled(self) -> Callable[[Oracle, Tensors, State, Tensor], Step]:
        """`step` with its update compiled; other bits, same mathematics."""

    @abstractmethod
    def evaluated(self, params: Tensors, state: State) -> Tensors:
        """The parameters to evaluate: an average, for the rules that keep one.

        Args:
            params: by name
            state: after a step; nothing is written into it
        """

    @abstractmethod
    def after_epoch(self, state: State, valid_score: float) -> State:
        """The state after an evaluation.

        Args:
            state: before it
            valid_score: on validation data, the higher the better
        """

    @abstractmethod
    def extras(self, state: State) -> dict[str, Tensor]:
        """Scalars that belong into every `Record`, the rate `lr` among them."""

    def save(self, state: State) -> Any:
        """The state as a checkpoint holds it: tensors, numbers, texts, lists and dicts of these."""
        return tree_flatten(state)[0]

    def load(self, params: Tensors, data: Any) -> State:
        """The state that was saved, on the devices where a new one would lie.

        Args:
            params: by name, those that belong to the state
            data: from `save`
        """
        fresh, structure = tree_flatten(self.init(params))
        return tree_unflatten([leaf.to(like.device) for leaf, like in zip(data, fresh, strict=True)], structure)


class ComposedState(NamedTuple):
    """The state of a composed rule."""

    directions: dict[str, Any]  # one direction state a parameter
    scheme: Any
    lr: Tensor  # the base of the last rate, a scalar


@dataclass(frozen=True)
class Composed(Rule):
    """θ ← shrink(θ) − base · scale ⊙ d: a direction says where, a scheme says how far, a decay pulls to zero.

    >>> oracle = Oracle(lambda params: (params["w"] ** 2).sum() / 2)
    >>> rule, params = Composed(scheme=Fixed(lr=0.5)), {"w": torch.tensor([2.0])}
    >>> rule.step(oracle, params, rule.init(params), torch.tensor(0.0)).params["w"].item()
    1.0
    """

    direction: Direction = field(default_factory=SGD)
    scheme: Scheme = field(default_factory=Fixed)
    decay: Decay = field(default_factory=Coupled)

    def check(self) -> None:
        """Refuses a direction or a decay that the scheme cannot work with."""
        scheme, direction = name_of(type(self.scheme)), name_of(type(self.direction))
        if self.scheme.needs_descent and not self.direction.descends:
            good = ", ".join(name for name, member in members(Direction).items() if member.descends)  # type: ignore[attr-defined]
            raise Refusal(f"scheme {scheme!r} needs a direction that descends: one of {good}; got {direction!r}")
        if self.scheme.needs_descent and isinstance(self.decay, Decoupled):
            raise Refusal(f"scheme {scheme!r} needs the penalty in the loss: decay 'coupled', got 'decoupled'")

    def init(self, params: Tensors) -> ComposedState:
        """The states of all parts."""
        self.check()
        for name, param in params.items():
            if param.is_complex():
                raise Refusal(f"parameters must be real, got {name!r} of {param.dtype}: keep its torch.view_as_real")
        directions = {name: self.direction.init(param) for name, param in params.items()}
        return ComposedState(directions, self.scheme.init(params), torch.zeros((), dtype=torch.float64))

    def step(self, oracle: Oracle, params: Tensors, state: ComposedState, progress: Tensor) -> Step:
        """One gradient, then the update."""
        loss, raw = oracle.gradient(params, self.scheme.keeps(state.scheme))
        with torch.no_grad():
            return Step(loss, *self.update(raw, params, state, progress, oracle))

    def update(
        self,
        raw: Tensors,
        params: Tensors,
        state: ComposedState,
        progress: Tensor,
        oracle: Oracle | None = None,
        numel: Tensor | int | None = None,
        frozen: Collection[str] = (),
    ) -> tuple[Tensors, ComposedState]:
        """Update the parameters; a pure function of tensors wherever the scheme does not ask the oracle.

        A parameter without a gradient stays where it is. To its state that is a gradient of zero, decay included, and
        to the scheme a direction of zero as well: no step is made along it.

        Args:
            raw: the gradient of the mini-batch, without weight decay; some parameters may have none
            params: by name, shaped like the gradient
            state: from `init`, or from the step before
            progress: of the training, in [0, 1], a scalar
            oracle: asked for more, by the schemes that do
            numel: elements of the parameters, where `params` holds zeros besides
            frozen: the parameters that do not train: no mean over elements is over theirs

        Returns:
            The parameters after the step, and the state.
        """
        still = {name: torch.zeros_like(param) for name, param in params.items() if name not in raw}
        held, raw = {**params, **still}, self.dense({**params, **still, **raw}, state)
        packs = self._packs(raw, held, state)
        decay, flat, grads = self.decay.at(progress), packs.joined(held), packs.joined(raw, copy=True)
        decayed, states = decay.couple(grads, flat), packs.states(state.directions)
        applied = {name: self._applied(grad, states[name], flat[name]) for name, grad in decayed.items()}
        direction, views = {name: d for name, (d, _) in applied.items()}, packs.views()
        seen = Gradients(views(grads), views(decayed), decay.penalised(params))
        known = Known(oracle, seen, views(direction) | still, state.scheme, params, progress, numel, frozen)
        rate, scheme = self._told(self.scheme.rate(known))
        rate = rate if rate.scale is None else rate._replace(scale=packs.spread(rate.scale))
        moved = {name: self._moved(decay, param, direction[name], rate, name) for name, param in flat.items()}
        after = packs.named_states({name: own for name, (_, own) in applied.items()})
        return views(moved) | {name: params[name] for name in still}, ComposedState(after, scheme, rate.base)

    def _told(self, told: Any) -> tuple[Rate, Any]:
        """A scheme's answer, refused where it is another thing: other people write schemes."""
        pair: Any = told if isinstance(told, tuple) and len(told) == 2 else (None, None)
        if isinstance(pair[0], Rate) and isinstance(pair[0].base, Tensor):
            return told
        raise Refusal(
            f"scheme {name_of(type(self.scheme))!r}: rate() must return (Rate(base), state), base a tensor such as "
            f"torch.tensor(self.lr), got {told!r}"[:300]
        )

    def advance(self, grad: Tensor, param: Tensor, state: Any, rate: Rate, progress: Tensor) -> tuple[Tensor, Any]:
        """Move one tensor at a rate that no tensor had a part in.

        Args:
            grad: without weight decay
            param: shaped like it
            state: of its direction
            rate: of the step; its scale, if any, under the empty name
            progress: of the training, in [0, 1], a scalar

        Returns:
            The tensor after the step, and the state of its direction.
        """
        decay = self.decay.at(progress)
        decayed = decay.couple({"": grad}, {"": param})[""]
        direction, after = self._applied(decayed, state, param)
        return self._moved(decay, param, direction, rate, ""), after

    def _packs(self, raw: Tensors, params: Tensors, state: ComposedState) -> Packs:
        """The tensors that the arithmetic is called on; the parameters themselves where a direction looks at each."""
        if not self.direction.elementwise:
            return Packs(list(params), [])
        return packs_of(params, raw, state.directions, apart=self.decay.on == "matrices")

    def _applied(self, grad: Tensor, state: Any, param: Tensor) -> tuple[Tensor, Any]:
        """The direction and its state; without a dimension they would take the type of the direction's scalars."""
        direction, after = self.direction.apply(grad, state, param)
        if grad.dim() > 0:
            return direction, after
        return direction.to(grad.dtype), tree_map(lambda new, old: new.to(old.dtype), after, state)

    def dense(self, raw: Tensors, state: ComposedState) -> Tensors:
        """The gradients; sparse ones with their zeros, where no direction remembers them.

        Args:
            raw: by name
            state: before the step

        Raises:
            Refusal: a gradient is sparse, and the direction remembers it.
        """
        sparse = next((name for name, grad in raw.items() if grad.is_sparse), None)
        if sparse is None:
            return raw
        if state.directions[sparse] != ():
            direction = name_of(type(self.direction))
            raise Refusal(f"direction {direction!r} takes no sparse gradient, {sparse!r} has one: sgd does")
        return {name: grad.to_dense() if grad.is_sparse else grad for name, grad in raw.items()}

    def _moved(self, decay: Decay, param: Tensor, direction: Tensor, rate: Rate, name: str) -> Tensor:
        scaled = direction if rate.scale is None else rate.scale[name] * direction
        # One pass over memory instead of two. The casts keep vmap, for whom `base` is no scalar, from promoting, and a
        # tensor of no dimension, which is one itself.
        shrunk, base = decay.shrink(param, rate.base).to(param.dtype), rate.base.to(param.dtype)
        return torch.addcmul(shrunk, scaled.to(param.dtype), -base)

    def compiled(self) -> Callable[[Oracle, Tensors, ComposedState, Tensor], Step]:
        """The step with its update compiled; it takes over the memory of `params` and `state`."""
        if self.scheme.asks:
            scheme = name_of(type(self.scheme))
            raise Refusal(f"compile: true needs a scheme that asks for nothing but the gradient, got {scheme!r}")
        update = update_of(self, compile=True)

        def step(oracle: Oracle, params: Tensors, state: ComposedState, progress: Tensor) -> Step:
            loss, raw = oracle.gradient(params)
            with torch.no_grad():
                return Step(loss, *update(raw, params, state, progress))

        return step

    def evaluated(self, params: Tensors, state: ComposedState) -> Tensors:
        """The parameters themselves."""
        return params

    def after_epoch(self, state: ComposedState, valid_score: float) -> ComposedState:
        """Tells the scheme."""
        return state._replace(scheme=self.scheme.after_epoch(state.scheme, valid_score))

    def extras(self, state: ComposedState) -> dict[str, Tensor]:
        """The base rate of the last step, and what the scheme adds."""
        own = self.scheme.extras(state.scheme)
        if "lr" in own:
            raise Refusal(f"scheme {name_of(type(self.scheme))!r}: lr is the base rate, choose another name")
        return {"lr": state.lr, **own}
