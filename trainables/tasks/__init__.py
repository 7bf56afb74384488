"""Tasks: data, model, loss and target; one file a workload."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional

from trainables.components import Component, name_of
from trainables.data import Data, Split, Tree, check_data

__all__ = ["Classification", "Data", "Split", "Task", "logits_of"]


class Task(Component):
    """Data + model + loss + target. Fields are what a study may vary.

    Inputs, targets and outputs are tensors, or nestings of them: tuples, lists, dicts, the outputs of other people's
    models.

    `metric` names the score, `mode` its sense, and `target` is the score, fixed before any tuning, that ends
    the race (None: not calibrated yet).
    """

    metric: ClassVar[str]
    mode: ClassVar[Literal["max", "min"]]
    target: ClassVar[float | None] = None

    @property
    @abstractmethod
    def chance(self) -> float:
        """The score of a model that has learned nothing; diverged trials are told at it."""

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

    @abstractmethod
    def score(self, outputs: Tree, targets: Tree) -> Tensor:
        """The mean score of a batch, a scalar.

        Args:
            outputs: of the model
            targets: of the data, one an example
        """

    def splits(self) -> Data:
        """The data, refused in one line where our loop cannot take what `data` returns."""
        return check_data(self.data(), name_of(type(self)))

    # The hook below is the one place where a method may be replaced: most tasks do not augment.

    def augment(self, inputs: Tree) -> Tree:
        """A training batch of stored inputs, on the device, changed at random.

        Drawn from torch's global generators, which `Run` seeds at every call: all calls of one step see the same.
        """
        return inputs


class Classification(Task):
    """A task with cross-entropy as its loss and accuracy as its score."""

    metric: ClassVar[str] = "accuracy"
    mode: ClassVar[Literal["max", "min"]] = "max"
    num_classes: ClassVar[int] = 10

    @property
    def chance(self) -> float:
        """One in `num_classes`."""
        return 1 / self.num_classes

    def loss(self, outputs: Tree, targets: Tensor) -> Tensor:
        """Mean softmax cross-entropy; `outputs` are logits (batch, classes), or hold them as `logits`."""
        return functional.cross_entropy(logits_of(outputs), targets)

    def score(self, outputs: Tree, targets: Tensor) -> Tensor:
        """Accuracy."""
        return (logits_of(outputs).argmax(-1) == targets).float().mean()


def logits_of(outputs: Tree) -> Tensor:
    """The logits among the outputs of a model: all of them, or what is called so.

    >>> import torch
    >>> logits_of({"loss": torch.tensor(0.0), "logits": torch.tensor([1.0])})
    tensor([1.])
    """
    if isinstance(outputs, Tensor):
        return outputs
    return outputs["logits"] if isinstance(outputs, Mapping) else outputs.logits
