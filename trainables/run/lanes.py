"""One step of K trainings as one program: `torch.func.vmap` over gradient and update, a lane a training.

No reduction crosses lanes: what happens in one changes no bit of another, be it a NaN.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.utils._pytree import tree_map

from trainables.components import floats, with_floats
from trainables.data import Tree, detached
from trainables.oracle import Tensors, clipped
from trainables.rules import Composed
from trainables.run.dropout import Answered
from trainables.run.loop import Run
from trainables.trial import Trial


class State(NamedTuple):
    """The state of all lanes: every tensor has one row a lane."""

    params: Tensors
    buffers: Tensors
    rule: Any
    loss: Tensor  # (lanes,) sums since the lane's last record, over examples
    score: Tensor  # likewise


class Drawn(NamedTuple):
    """A mini-batch of every lane: every tensor has one row a lane."""

    inputs: Tree  # (lanes, examples, …) as stored, augmented
    targets: Tree
    masks: list[Tensor]  # of the dropouts, in the order of the network's calls
    size: int  # examples of one lane


class Gradient(NamedTuple):
    """The gradient of a mini-batch in every lane, and what the network leaves behind."""

    raw: Tensors
    loss: Tensor
    buffers: Tensors
    score: Tensor


class Lanes:
    """The step of all lanes, a function of tensors alone.

    Real numbers that differ between lanes are tensors of one number a lane; where they are equal they stay numbers, so
    that what a rule leaves out at 0 or ∞ stays left out.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        """Take over what never changes.

        Args:
            runs: one a lane, of trials that differ in real numbers and seeds alone.
        """
        first = runs[0]
        self._trial, self._task, self._predictor = first.trial, first.task, first.predictor
        self._frozen = stacked([run.predictor.frozen for run in runs], first.device)
        self._numbers = _numbers([run.trial for run in runs], first.device)

    def step(self, before: State, batches: Sequence[Drawn], progress: Tensor) -> State:
        """The state after one step of every lane.

        Args:
            before: nothing is written into it
            batches: those whose gradients the step follows on average
            progress: (lanes,) of the trainings, in [0, 1]
        """
        size = sum(batch.size for batch in batches)
        found, buffers, score = list[Gradient](), before.buffers, before.score
        for batch in batches:
            found.append(self.gradient(before.params, buffers, batch))
            buffers, score = found[-1].buffers, score + batch.size * found[-1].score
        loss, raw = _mean(found, [batch.size / size for batch in batches])
        with torch.no_grad():
            params, rule = vmap(self._update)(self._numbers, raw, before.params, before.rule, progress)
        return State(params, buffers, rule, before.loss + size * loss, score)

    def gradient(self, params: Tensors, buffers: Tensors, batch: Drawn) -> Gradient:
        """The gradient of one mini-batch in every lane.

        Args:
            params: by name
            buffers: by name; not written into
            batch: of every lane
        """
        whole = vmap(grad_and_value(self._objective, has_aux=True))
        raw, (loss, (after, score)) = whole(params, self._frozen, buffers, batch.inputs, batch.targets, batch.masks)
        return Gradient(raw, loss, after, score)

    def _objective(
        self, params: Tensors, frozen: Tensors, buffers: Tensors, inputs: Tree, targets: Tree, masks: list[Tensor]
    ) -> tuple[Tensor, tuple[Tensors, Tensor]]:
        """The loss of one lane, its buffers after the pass, and its score."""
        after = {name: buffer.clone() for name, buffer in buffers.items()}
        with Answered(masks) if masks else nullcontext():
            outputs = self._predictor({**params, **frozen}, after, inputs)
        loss = self._task.loss(outputs, targets)
        if self._task.whole_split:
            return loss, (after, torch.full_like(loss.detach(), torch.nan))
        return loss, (after, self._task.score(detached(outputs), targets))

    def _update(self, numbers: Tensors, raw: Tensors, params: Tensors, rule: Any, progress: Tensor) -> Any:
        """The update of one lane."""
        trial = with_floats(self._trial, numbers)
        assert isinstance(trial.rule, Composed)  # noqa: S101 — `refuse_unfusable` has let no other pass
        if trial.gradient_clip is not None:
            raw = clipped(raw, trial.gradient_clip)
        return trial.rule.update(raw, params, rule, progress)


def stacked(trees: Sequence[Any], device: torch.device) -> Any:
    """One nesting of tensors with a row for each of several, all alike.

    Args:
        trees: nestings of tensors
        device: where the rows shall lie
    """
    return tree_map(lambda *leaves: torch.stack([leaf.to(device) for leaf in leaves]), *trees)


def row(tree: Any, place: int) -> Any:
    """A copy of one row of every tensor.

    Args:
        tree: a nesting of tensors
        place: which row

    >>> row({"w": torch.tensor([[1.0], [2.0]])}, 1)
    {'w': tensor([2.])}
    """
    return tree_map(lambda leaf: leaf[place].clone(), tree)


def _numbers(trials: Sequence[Trial], device: torch.device) -> Tensors:
    """The real numbers of the update that differ between lanes, by key."""
    every = [{**floats(trial.rule), "gradient_clip": trial.gradient_clip} for trial in trials]
    differ = [key for key, value in every[0].items() if any(each[key] != value for each in every)]
    return {key: torch.tensor([each[key] for each in every], dtype=torch.float64, device=device) for key in differ}


def _mean(found: Sequence[Gradient], weights: Sequence[float]) -> tuple[Tensor, Tensors]:
    """Loss and gradient over the mini-batches of a step, as `Oracle.over` adds them up."""
    first, *others = found
    if not others:
        return first.loss, first.raw
    raw = {name: weights[0] * grad for name, grad in first.raw.items()}
    for each, weight in zip(others, weights[1:], strict=True):
        raw = {name: torch.add(grad, each.raw[name], alpha=weight) for name, grad in raw.items()}
    losses = [weight * each.loss for weight, each in zip(weights, found, strict=True)]
    return torch.stack(losses).sum(0), raw
