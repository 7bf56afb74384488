"""A task's model as a function of its parameters: what it predicts, how well, and BatchNorm's statistics anew."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from trainables.components import name_of
from trainables.data import Split, Tree, floating
from trainables.oracle import Tensors
from trainables.refusal import Refusal
from trainables.run.scoring import tally_of, weighted
from trainables.seeds import seeded
from trainables.tasks import Task, logits_of

EVALUATION_BATCH = 2000


class Scores(NamedTuple):
    """Mean loss of a split, and its score: a mean over batches, or one of the whole split."""

    loss: float
    score: float


class Predictor:
    """The model of a task: outputs as a function of parameters, buffers and inputs; in training mode but for `scores`.

    >>> from trainables.tasks.quadratic import Quadratic
    >>> predictor = Predictor(Quadratic(), "float32", torch.device("cpu"), seed=0)
    >>> params, buffers = predictor.start()
    >>> predictor(params, buffers, torch.zeros(2, 10)).shape
    torch.Size([2, 10])
    """

    def __init__(self, task: Task, precision: str, device: torch.device, seed: int) -> None:
        """`seed` decides where the parameters start, whatever the state of torch's generators."""
        self._task, self._device, self._mixed = task, device, precision == "bfloat16"
        self._dtype = torch.float64 if precision == "float64" else torch.float32
        with seeded(device, seed):
            model = task.model()
        if any(param.is_complex() for param in model.parameters()):
            raise Refusal(
                f"the model of task {name_of(type(task))!r} has complex parameters: give it a loop of its own"
            )
        model = model.to(device)  # a cast to a type would make complex buffers real
        self.model = (model.double() if precision == "float64" else model.float()).train()
        self.frozen = {name: p.detach() for name, p in self.model.named_parameters() if not p.requires_grad}
        self.norms = {name: m for name, m in self.model.named_modules() if isinstance(m, _BatchNorm)}

    def start(self) -> tuple[Tensors, Tensors]:
        """The parameters that are trained, and the buffers, as the model was made."""
        params = {name: p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad}
        return params, {name: buffer.detach().clone() for name, buffer in self.model.named_buffers()}

    def __call__(self, params: Tensors, buffers: Tensors, inputs: Tree) -> Tree:
        """The outputs; in training mode, modules write their statistics into `buffers`, or put others there.

        Args:
            params: by name; frozen ones may be among them, in place of this model's own
            buffers: by name; written into
            inputs: of the task, as stored
        """
        places, names = _arguments(floating(self._task.prepare(inputs), self._dtype))
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._mixed):
            whole = {**self.frozen, **params, **buffers}
            outputs = functional_call(self.model, whole, places, names)
        assigned = [name for name, buffer in buffers.items() if whole[name] is not buffer]  # `self.mean = …` in forward
        buffers |= {name: whole[name].detach() for name in assigned}
        return floating(outputs, torch.float32) if self._mixed else outputs

    @torch.no_grad()
    def scores(self, params: Tensors, buffers: Tensors, split: Split, labels: list[Tensor] | None = None) -> Scores:
        """Loss and score of a split, in evaluation mode; NaN where it is empty.

        Args:
            params: by name
            buffers: by name
            split: its rows are taken in batches
            labels: takes the predicted labels, batch by batch; None: nobody wants them

        Raises:
            Refusal: every target is ignored
        """
        loss, counted = torch.zeros(2, dtype=torch.float64, device=self._device)
        tally = tally_of(self._task, self._device)
        with self._evaluating():
            for rows in split.rows.split(EVALUATION_BATCH):
                inputs, targets = split.at(rows)
                outputs = self(params, _copied(buffers), inputs)
                if labels is not None:
                    logits = logits_of(outputs)
                    labels.append(logits.argmax(-1).to(_narrowest(logits.shape[-1])).cpu())
                weight = len(rows) * self._task.counted(targets)
                loss, counted = loss + weighted(weight, self._task.loss(outputs, targets)), counted + weight
                tally.add(outputs, targets, weight)
        size = float(counted)
        if len(split) and not size:
            raise Refusal(f"no target of {len(split)} that are to be judged counts: all are ignored")
        mean = float(loss) / size if size else math.nan
        # Other people's metrics of a whole split may refuse what is not finite; it has diverged, and needs no score.
        told = math.isfinite(mean) or (len(split) and not self._task.whole_split)
        return Scores(mean, tally.score(size) if told else math.nan)

    @torch.no_grad()
    def refreshed(self, params: Tensors, buffers: Tensors, batches: Iterable[Tree], noise: int) -> Tensors:
        """The buffers with BatchNorm's statistics averaged anew over batches of inputs, in training mode.

        Args:
            params: by name
            buffers: by name; not written into
            batches: of inputs
            noise: the seed of what the network draws, a dropout for one
        """
        fresh = _copied(buffers)
        momenta = {name: norm.momentum for name, norm in self.norms.items()}
        for name, norm in self.norms.items():
            norm.momentum = None  # a plain mean over the batches
            prefix = f"{name}." if name else ""
            fresh |= {prefix + key: _reset(key, buffer) for key, buffer in norm.named_buffers(recurse=False)}
        with seeded(self._device, noise):
            for inputs in batches:
                self(params, fresh, inputs)
        for name, norm in self.norms.items():
            norm.momentum = momenta[name]
        return fresh

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()


def _copied(buffers: Tensors) -> Tensors:
    """Buffers that a network may write into."""
    return {name: buffer.clone() for name, buffer in buffers.items()}


def _arguments(prepared: Tree) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of the model by place and by name: a tuple is spread over places, a dict over names."""
    if isinstance(prepared, Mapping):
        return (), dict(prepared)
    return (prepared if isinstance(prepared, tuple) else (prepared,)), {}


def _reset(key: str, buffer: Tensor) -> Tensor:
    """A buffer of BatchNorm before it has seen anything: variance 1, mean 0, no batches."""
    return torch.ones_like(buffer) if key == "running_var" else torch.zeros_like(buffer)


def _narrowest(num_classes: int) -> torch.dtype:
    """The smallest type that holds the number of every class: labels are kept once a record."""
    return next(kind for kind in (torch.uint8, torch.int16, torch.int32) if num_classes - 1 <= torch.iinfo(kind).max)
