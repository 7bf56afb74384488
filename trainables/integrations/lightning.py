"""Lightning's `Trainer` as the loop of a `Training`: a trainer with the trial's settings, and a callback that reports.

def train(self, session):
module = MyModule(session)  # its configure_optimizers returns session.optimizer(self, …)
trainer(session, "valid_accuracy").fit(module, train_loader, valid_loader, ckpt_path=session.resume_from)
"""

from contextlib import ExitStack
from typing import Any

from trainables.refusal import Refusal, not_installed
from trainables.seeds import seed_all, seed_of
from trainables.session import Session

try:
    import lightning
    from lightning.pytorch.callbacks import ModelCheckpoint
except ImportError as error:
    raise not_installed("Lightning's Trainer", "lightning", "lightning") from error

PRECISION = {"float32": "32-true", "bfloat16": "bf16-mixed", "float64": "64-true"}


def trainer(session: Session, score: str, **given: Any) -> lightning.Trainer:
    """A trainer with the trial's settings, that reports once an epoch, keeps its checkpoints, and is quiet.

    Args:
        session: of the trial.
        score: the name under which the module logs its validation score.
        given: arguments of `lightning.Trainer` that are to differ; its callbacks come beside ours.
    """
    checkpoints = ModelCheckpoint(str(session.folder), every_n_epochs=1, save_top_k=-1)
    settings: dict[str, Any] = {
        "max_epochs": session.num_epochs,
        "accelerator": "gpu" if session.device.type == "cuda" else "cpu",
        "devices": 1,
        "precision": PRECISION[session.precision],
        "gradient_clip_val": session.gradient_clip,
        "logger": False,
        "num_sanity_val_steps": 0,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    callbacks = [Reporting(session, score), checkpoints, *given.pop("callbacks", [])]
    return lightning.Trainer(**{**settings, **given}, callbacks=callbacks)


class Reporting(lightning.Callback):
    """Reports the score of every validation to the session; its time is not charged."""

    def __init__(self, session: Session, score: str) -> None:
        """`score` is the name under which the module logs it."""
        self._session, self._score, self._evaluating, self._batches = session, score, ExitStack(), 0

    def on_fit_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.val_check_interval != 1.0 or isinstance(trainer.val_check_interval, int):  # 1: after every batch
            raise Refusal(f"a validation ends an epoch here: leave out val_check_interval={trainer.val_check_interval}")
        if trainer.check_val_every_n_epoch != 1:
            every = trainer.check_val_every_n_epoch
            raise Refusal(f"every epoch has its validation here: leave out check_val_every_n_epoch={every}")

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        # Seeds the epoch: Lightning's own resume gives back no generators.
        seed_all(self._session.device, seed_of(self._session.trial.seed, "epoch", trainer.current_epoch))

    def on_validation_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._evaluating.enter_context(self._session.evaluating())

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *batch: Any, **others: Any
    ) -> None:
        self._batches += 1

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        self._evaluating.close()
        if self._score not in trainer.callback_metrics:
            raise Refusal(f"the module logs no {self._score!r}: self.log({self._score!r}, …) as it validates")
        # A step follows several mini-batches, each with a gradient.
        passes = {"passes": self._batches} if trainer.accumulate_grad_batches > 1 else {}
        self._batches = 0
        self._session.report(trainer.callback_metrics[self._score], **passes)
