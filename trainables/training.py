"""The user's own loop: one method, which is given a `Session`."""

from abc import abstractmethod
from typing import ClassVar

from trainables.session import Session
from trainables.tasks import Workload


class Training(Workload):
    """A training with a loop of its own: any data, any number of models, other people's trainers.

        @dataclass(frozen=True)
        class Mine(Training):
            metric, mode, chance = "accuracy", "max", 0.1

            def train(self, session):
                model, loader = ..., ...
                optimizer = session.optimizer(model, steps_per_epoch=len(loader))
                for epoch in session.epochs(model=model, optimizer=optimizer):
                    for inputs, targets in loader:
                        ...
                    with session.evaluating():
                        score = ...
                    session.report(valid_score=score)

    Fields are hyper-parameters, as everywhere; `metric`, `mode` and `chance` are class attributes, and `target` may be.
    """

    whole_epochs: ClassVar[bool] = True
    without: ClassVar[tuple[str, ...]] = (
        "accumulate", "compile", "fuse", "record_every", "artifacts", "scale_invariance", "evaluate_test",
    )  # fmt: skip

    @abstractmethod
    def train(self, session: Session) -> None:
        """Train, and report a validation score after every epoch.

        Args:
            session: what the trial is, the optimizer of its rule, and where scores are told.
        """
