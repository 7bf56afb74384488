"""One rule for the hidden matrices of a network, another for the rest: Muon beside AdamW, as people run it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainables.directions.adam import Adam
from trainables.optimizers.muon import Muon
from trainables.oracle import Oracle, Recipe, Tensors
from trainables.packaged import Packaged, PackagedState, asked
from trainables.refusal import Refusal
from trainables.rules import Composed, Decoupled, Rule, State, Step
from trainables.schemes.fixed import Fixed


class SplitState(NamedTuple):
    """The states of both rules, and whose parameters are whose."""

    hidden: State
    rest: State
    matrices: tuple[str, ...]  # the names of the parameters that are the first rule's
    share: float  # of all numbers in the parameters that are in these


@dataclass(frozen=True)
class Split(Rule):
    """Two rules side by side, on one gradient: `hidden` moves the hidden matrices, `rest` everything else.

    Hidden matrices are the weights of two dimensions that are neither an embedding's, nor tied to one, nor of the last
    module with parameters (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon). Convolutions are the rest's.
    Records hold the `lr` of the hidden matrices, `rest_lr`, and `hidden_share`, that of all numbers in the parameters
    which are in hidden matrices. By default it is Muon beside AdamW.
    """

    hidden: Rule = field(default_factory=lambda: Packaged(Muon()))
    rest: Rule = field(default_factory=lambda: Composed(Adam(), Fixed(lr=1e-3), Decoupled()))

    def check(self) -> None:
        """Refuses a side that is split itself, or that asks for more than a gradient."""
        for name, side in self._sides().items():
            if isinstance(side, Split):
                raise Refusal(f"{name}: split is a split in a split: name a composed rule, or a packaged one")
            if isinstance(side, Composed) and side.scheme.asks:
                raise Refusal(f"{name}: a side of a split is given its gradient: {name}.scheme may ask for no more")

    def init(self, params: Tensors) -> SplitState:
        """Refused: names and shapes do not tell an embedding from a hidden matrix."""
        raise Refusal("rule: split tells parameters by the modules that they are in: it begins with a model")

    def begin(self, params: Tensors, model: nn.Module) -> SplitState:
        """The states of both rules.

        Args:
            params: by name
            model: whose parameters they are

        Raises:
            Refusal: the model has no hidden matrix, or nothing else, or a rule can do nothing with its parameters
        """
        self.check()
        ours, theirs = divided(params, model)
        state = SplitState(self.hidden.init(ours), self.rest.init(theirs), tuple(ours), share_of(ours, theirs))
        for name, side in {"hidden": state.hidden, "rest": state.rest}.items():
            if isinstance(side, PackagedState):
                check_gradient_serves(name, side.live.optimizer)
        return state

    def step(self, oracle: Oracle, params: Tensors, state: SplitState, progress: Tensor) -> Step:
        """One gradient, and a step of each rule along its part of it."""
        return self._stepped(self.hidden.step, self.rest.step, oracle, params, state, progress)

    def compiled(self) -> Callable[[Oracle, Tensors, SplitState, Tensor], Step]:
        """Both steps compiled."""
        hidden, rest = self.hidden.compiled(), self.rest.compiled()

        def step(oracle: Oracle, params: Tensors, state: SplitState, progress: Tensor) -> Step:
            return self._stepped(hidden, rest, oracle, params, state, progress)

        return step

    def _stepped(
        self,
        hidden: Callable[..., Step],
        rest: Callable[..., Step],
        oracle: Oracle,
        params: Tensors,
        state: SplitState,
        progress: Tensor,
    ) -> Step:
        told = Told(*oracle.gradient(params))
        ours, theirs = _parts(params, state.matrices)
        left = hidden(told, ours, state.hidden, progress)
        right = rest(told, theirs, state.rest, progress)
        moved = _joined(params, left.params, right.params)
        return Step(left.loss, moved, state._replace(hidden=left.state, rest=right.state))

    def evaluated(self, params: Tensors, state: SplitState) -> Tensors:
        """The parameters to evaluate, of each rule its own; `params` themselves where neither keeps an average."""
        ours, theirs = _parts(params, state.matrices)
        left, right = self.hidden.evaluated(ours, state.hidden), self.rest.evaluated(theirs, state.rest)
        return params if left is ours and right is theirs else _joined(params, left, right)

    def after_epoch(self, state: SplitState, valid_score: float) -> SplitState:
        """Tells both."""
        hidden, rest = (
            self.hidden.after_epoch(state.hidden, valid_score),
            self.rest.after_epoch(state.rest, valid_score),
        )
        return state._replace(hidden=hidden, rest=rest)

    def extras(self, state: SplitState) -> dict[str, Tensor]:
        """The extras of the rule of the hidden matrices, the other's behind `rest_`, and `hidden_share`."""
        rest = {f"rest_{name}": value for name, value in self.rest.extras(state.rest).items()}
        share = torch.tensor(state.share, dtype=torch.float64)
        return {**self.hidden.extras(state.hidden), **rest, "hidden_share": share}

    def save(self, state: SplitState) -> dict[str, Any]:
        """Both states as they are saved, and whose parameters are whose."""
        sides = {"hidden": self.hidden.save(state.hidden), "rest": self.rest.save(state.rest)}
        return {**sides, "matrices": list(state.matrices), "share": state.share}

    def load(self, params: Tensors, data: Mapping[str, Any]) -> SplitState:
        """Both states, put back.

        Args:
            params: by name, those that belong to the state
            data: from `save`
        """
        ours, theirs = _parts(params, data["matrices"])
        hidden, rest = self.hidden.load(ours, data["hidden"]), self.rest.load(theirs, data["rest"])
        return SplitState(hidden, rest, tuple(data["matrices"]), data["share"])

    def _sides(self) -> dict[str, Rule]:
        return {"hidden": self.hidden, "rest": self.rest}


class Told(Oracle):
    """The oracle of a gradient that is known: whoever asks for it is given a part."""

    def __init__(self, loss: Tensor, gradient: Tensors) -> None:
        """Hold the loss of a mini-batch and its gradient by name."""
        self._loss, self._gradient = loss, gradient

    def gradient(self, params: Tensors, keep: Recipe | None = None) -> tuple[Tensor, Tensors]:
        """The loss, and the gradient by these parameters.

        Args:
            params: those whose part of the gradient is meant
            keep: not used: nothing but the gradient is asked for
        """
        return self._loss, {name: self._gradient[name] for name in params}


def hidden_matrices(model: nn.Module) -> list[str]:
    """Name the weights of two dimensions that are no embedding's, tied to none, and not of the last module.

    Args:
        model: its last module is the last one, in the order in which they were registered, that has parameters itself

    Returns:
        Names as `named_parameters` gives them.

    >>> hidden_matrices(nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 5)))
    ['1.weight']
    """
    with_own = [module for module in model.modules() if next(module.parameters(recurse=False), None) is not None]
    others = [each for each in with_own if isinstance(each, nn.Embedding | nn.EmbeddingBag)] + with_own[-1:]
    excluded = {id(param) for module in others for param in module.parameters(recurse=False)}
    return [name for name, param in model.named_parameters() if param.ndim == 2 and id(param) not in excluded]


def divided(params: Tensors, model: nn.Module) -> tuple[Tensors, Tensors]:
    """The hidden matrices among parameters, and the rest.

    Args:
        params: by name
        model: whose parameters they are

    Raises:
        Refusal: there is no hidden matrix, or nothing else
    """
    matrices = [name for name in hidden_matrices(model) if name in params]
    if not matrices:
        raise Refusal("rule: split finds no hidden matrix in this model: all of it would be the rest's")
    if len(matrices) == len(params):
        raise Refusal(
            "rule: split finds nothing but hidden matrices that train in this model: give it their rule alone"
        )
    return _parts(params, matrices)


def share_of(ours: Tensors, theirs: Tensors) -> float:
    """The share of all numbers that is in the first.

    Args:
        ours: tensors by name
        theirs: the others
    """
    mine, others = (sum(param.numel() for param in part.values()) for part in (ours, theirs))
    return mine / (mine + others)


def check_gradient_serves(name: str, live: torch.optim.Optimizer) -> None:
    """Refuse an optimizer that asks for more than a gradient.

    Args:
        name: of its side
        live: the optimizer
    """
    if "closure" in asked(live):
        raise Refusal(f"{name}: a side of a split is given its gradient: {name}.optimizer asks for a closure")


def _parts(params: Tensors, matrices: Sequence[str]) -> tuple[Tensors, Tensors]:
    """The tensors of these names, and the others."""
    mine = set(matrices)
    return {name: params[name] for name in matrices}, {n: param for n, param in params.items() if n not in mine}


def _joined(params: Tensors, ours: Tensors, theirs: Tensors) -> Tensors:
    """The values of both, in the order of the parameters."""
    both = {**ours, **theirs}
    return {name: both[name] for name in params}
