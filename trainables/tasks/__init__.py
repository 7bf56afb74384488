"""Tasks: data, model, loss and target; one file a workload."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from numbers import Real
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.components import Component, name_of
from trainables.data import Data, Split, Tree, check_data
from trainables.refusal import Refusal
from trainables.seeds import seeded

__all__ = ["Classification", "Data", "Regression", "Split", "Task", "Workload", "logits_of"]


class Workload(Component):
    """The work of a trial and how it is judged: a `Task`, or a `Training` with a loop of its own.

    `metric` names the score, `mode` its sense, and `target` is the score, fixed before any tuning, that ends
    the race (None: not calibrated yet).
    """

    word: ClassVar[str] = "task"
    inherit: ClassVar[str] = "trainables.tasks.Task, or trainables.training.Training with a loop of its own"

    whole_epochs: ClassVar[bool] = False  # the length of a trial is a whole number of epochs
    without: ClassVar[tuple[str, ...]] = ()  # fields of a trial that mean nothing for it

    metric: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]]
    target: ClassVar[float | None] = None

    @property
    @abstractmethod
    def chance(self) -> float:
        """The score of a model that has learned nothing; diverged trials are told at it."""

    def check(self) -> None:
        """Refuses a task that does not say how its scores are read."""
        name = name_of(type(self))
        metric, mode = getattr(self, "metric", None), getattr(self, "mode", None)
        if not isinstance(metric, str) or not metric:
            raise Refusal(f"task {name!r}: metric must name its score, got {metric!r}")
        if mode not in ("max", "min"):
            raise Refusal(f"task {name!r}: mode must be 'max' or 'min', got {mode!r}")
        for level, value in {"chance": getattr(type(self), "chance", None), "target": self.target}.items():
            later = isinstance(value, (property, cached_property)) or (level == "target" and value is None)
            if not later and not (isinstance(value, Real) and math.isfinite(value)):
                raise Refusal(f"task {name!r}: {level} must be a number, got {value!r}")


class Task(Workload):
    """Data + model + loss + target, trained by our loop. Fields are what a study may vary.

    Inputs, targets and outputs are tensors, or nestings of them: tuples, lists, dicts, the outputs of other people's
    models.

    `whole_split = True` asks for the score of all outputs of a split at once, where it is no mean over batches (F1,
    AUC, R²): by `score`, which then gets all of them on the CPU, or by a `scorer` in its place. That is a method (or a
    class) that returns a new `torchmetrics.Metric`, fed batch by batch; or one of all outputs and targets that returns
    the score. Mini-batches have no such score: the `train_score` of a record is NaN.
    """

    whole_split: ClassVar[bool] = False
    scorer: ClassVar[Any] = None

    @abstractmethod
    def data(self) -> Data:
        """The data on the CPU, in memory or mapped into it; the same tensors at every call of one process."""

    @abstractmethod
    def model(self) -> nn.Module:
        """A new model on the CPU, its parameters drawn from torch's global generators, which are seeded before."""

    @abstractmethod
    def prepare(self, inputs: Tree) -> Tree:
        """A batch of stored inputs, on the device, as the model takes it: of a tuple or a dict all of its arguments."""

    @abstractmethod
    def loss(self, outputs: Tree, targets: Tree) -> Tensor:
        """The mean loss of a batch, a scalar.

        Args:
            outputs: of the model
            targets: of the data, one an example
        """

    def splits(self) -> Data:
        """The data, the same in every process; refused in one line where our loop cannot take what `data` returns."""
        with seeded(torch.device("cpu"), 0):  # whoever shuffles without a generator of their own
            return check_data(self.data(), name_of(type(self)))

    def check(self) -> None:
        """Refuses a task that says in no way, or in two, how it is scored, or not how its scores are read."""
        super().check()
        name = name_of(type(self))
        if self.scorer is not None and not self.whole_split:
            raise Refusal(f"task {name!r}: a scorer scores whole splits: say whole_split = True beside it")
        if self.scorer is None and type(self).score is Task.score:
            raise Refusal(f"task {name!r} has no score(outputs, targets): write it, or a scorer and whole_split = True")

    # The hooks below are the one place where a method may be replaced: most tasks do not augment, and a `scorer`
    # stands in for `score`.

    def score(self, outputs: Tree, targets: Tree) -> Tensor:
        """The mean score of a batch, a scalar.

        Args:
            outputs: of the model
            targets: of the data, one an example
        """
        raise NotImplementedError(f"{type(self).__name__}.score")

    def counted(self, targets: Tree) -> Tensor | float:
        """The share of a batch's targets that its mean loss and score are of, a scalar; the others are ignored.

        Args:
            targets: of the data, one an example
        """
        return 1.0

    def augment(self, inputs: Tree) -> Tree:
        """A training batch of stored inputs, on the device, changed at random.

        Drawn from torch's global generators, which `Run` seeds at every call: all calls of one step see the same.
        """
        return inputs


IGNORED = -100  # of torch's cross_entropy: a target that counts nothing


class Classification(Task):
    """A task with cross-entropy as its loss and accuracy as its score."""

    metric: ClassVar[str] = "accuracy"
    mode: ClassVar[Literal["max", "min"]] = "max"
    num_classes: ClassVar[int] = 10

    @property
    def chance(self) -> float:
        """One in `num_classes`."""
        return 1 / self.num_classes

    def counted(self, targets: Tree) -> Tensor | float:
        """The share of targets that are not −100."""
        return _counts(targets).float().mean() if isinstance(targets, Tensor) else 1.0

    def loss(self, outputs: Tree, targets: Tensor) -> Tensor:
        """Mean softmax cross-entropy; `outputs` are logits (batch, classes), or hold them as `logits`."""
        return functional.cross_entropy(logits_of(outputs), targets)

    def score(self, outputs: Tree, targets: Tensor) -> Tensor:
        """Accuracy, of targets that are not ignored: those of −100, which the loss leaves out.

        Raises:
            Refusal: where there are other labels than one a target, or chance is that of more classes than logits.
        """
        logits = logits_of(outputs)
        if logits.shape[:-1] != targets.shape:
            shapes = f"{tuple(logits.shape)} and targets of {tuple(targets.shape)}"
            raise Refusal(f"accuracy takes logits of one axis more than the targets, got {shapes}: write a score")
        if logits.shape[-1] < self.num_classes and type(self).chance is Classification.chance:
            raise Refusal(f"the network gives {logits.shape[-1]} logits, and num_classes says {self.num_classes}")
        return (logits.argmax(-1) == targets).float().sum() / _counts(targets).float().sum()


def _counts(targets: Tensor) -> Tensor:
    """Mark the targets that are not ignored; of 8 bits without a sign, −100 would be 156."""
    return targets.long() != IGNORED


class Regression(Task):
    """A task of real targets with the squared error as its loss and score."""

    metric: ClassVar[str] = "mean squared error"
    mode: ClassVar[Literal["max", "min"]] = "min"

    @property
    def chance(self) -> float:
        """The score of the mean of the training targets, on the validation data where there are any."""
        data = self.splits()
        seen, judged = data.train, data.valid if len(data.valid) else data.train
        mean = seen.targets[seen.rows].double().mean(0)
        return float((judged.targets[judged.rows].double() - mean).square().mean())

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean of (output − target)² over everything; a last axis of 1 may be missing in one of both.

        Raises:
            Refusal: where `outputs` and `targets` differ in any other axis.
        """
        there, wanted = tuple(outputs.shape), tuple(targets.shape)
        if there != wanted and (*there, 1) != wanted and there != (*wanted, 1):
            raise Refusal(f"outputs of shape {there} for targets of shape {wanted}: a mean square needs equal ones")
        return functional.mse_loss(outputs, targets.to(outputs.dtype).view_as(outputs))

    def score(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss itself."""
        return self.loss(outputs, targets)


def logits_of(outputs: Tree) -> Tensor:
    """The logits among the outputs of a model: all of them, or what is called so.

    >>> import torch
    >>> logits_of({"loss": torch.tensor(0.0), "logits": torch.tensor([1.0])})
    tensor([1.])
    """
    if isinstance(outputs, Tensor):
        return outputs
    logits = outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", None)
    if logits is None:
        raise Refusal(
            f"the model returns a {type(outputs).__name__} without logits: return them alone or under that name, or "
            "write loss and score of your own"
        )
    return logits
