"""Fixed schedules: the rate is a function of progress and of nothing else."""

from dataclasses import dataclass, field
from typing import ClassVar

from trainables.oracle import Tensors
from trainables.schedules import Constant, Schedule
from trainables.schemes import Known, Rate, Scheme
from trainables.space import LogUniform, searched


@dataclass(frozen=True)
class Fixed(Scheme):
    """rate = lr · schedule(progress).

    >>> from trainables.schemes import Gradients
    >>> import torch
    >>> from trainables.schedules import Cosine
    >>> grads, halfway = Gradients({}, {}), torch.tensor(0.5)
    >>> rate, _ = Fixed(lr=0.1, schedule=Cosine()).rate(Known(None, grads, {}, (), {}, halfway))
    >>> round(rate.base.item(), 6)
    0.05
    """

    elementwise: ClassVar[bool] = True
    blind: ClassVar[bool] = True
    lr: float = searched(LogUniform(1e-5, 1e1), default=0.1, valid=(0.0, float("inf")))
    schedule: Schedule = field(default_factory=Constant)

    def init(self, params: Tensors) -> tuple[()]:
        """No state."""
        return ()

    def rate(self, known: Known) -> tuple[Rate, tuple[()]]:
        """The schedule's rate."""
        return Rate(self.lr * self.schedule(known.progress)), known.state
