"""Hugging Face's `Trainer` as the loop of a `Training`: its arguments, optimizers and a callback that reports."""

from contextlib import ExitStack
from typing import Any

import torch

from trainables.refusal import Refusal, not_installed
from trainables.session import Session

try:
    from transformers import TrainerCallback, TrainingArguments
except ImportError as error:
    raise not_installed("Hugging Face's Trainer", "transformers", "huggingface") from error


def arguments(session: Session, **given: Any) -> TrainingArguments:
    """The trial's settings as the trainer takes them, evaluated and saved once an epoch, without any reporting.

    Args:
        session: of the trial.
        given: arguments of `TrainingArguments` that are to differ.

    Raises:
        Refusal: for a precision or batch size that the trainer does not have.
    """
    if session.precision == "float64":
        raise Refusal("Hugging Face's Trainer has no precision: float64: give float32 or bfloat16")
    if session.batch_size == "full":
        raise Refusal("Hugging Face's Trainer takes a batch_size in numbers, got 'full'")
    settings: dict[str, Any] = {
        "output_dir": str(session.folder),
        "num_train_epochs": session.num_epochs,
        "per_device_train_batch_size": session.batch_size,
        "seed": session.seed % 2**32,
        "max_grad_norm": session.gradient_clip or 0.0,  # 0: not clipped; the trainer's own default is 1
        "bf16": session.precision == "bfloat16",
        "use_cpu": session.device.type == "cpu",
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "logging_strategy": "epoch",
        "report_to": [],
        "disable_tqdm": True,
    }
    return TrainingArguments(**{**settings, **given})


def optimizers(optimizer: torch.optim.Optimizer) -> tuple[torch.optim.Optimizer, Any]:
    """The pair that `Trainer(optimizers=…)` takes: the session's optimizer, and a schedule that changes nothing.

    Without a schedule, the trainer would add one of its own, linear to zero.
    """
    return optimizer, _Unchanged(optimizer)


class Reporting(TrainerCallback):
    """Reports the score of every evaluation to the session; its time, but for the first batch, is not charged."""

    def __init__(self, session: Session, score: str) -> None:
        """`score` is the name of the metric, as in `eval_accuracy`."""
        self._session, self._score = session, score
        self._evaluating, self._batches = ExitStack(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        schedule = parts.get("lr_scheduler")
        if not isinstance(getattr(schedule, "scheduler", schedule), _Unchanged):
            raise Refusal("Trainer has its own schedule: say Trainer(optimizers=optimizers(session.optimizer(…)))")
        if args.eval_strategy != "epoch":
            raise Refusal(f"an evaluation ends an epoch here: leave out eval_strategy={args.eval_strategy.value!r}")

    def on_prediction_step(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        if not self._evaluating._exit_callbacks:  # type: ignore[attr-defined]
            self._evaluating.enter_context(self._session.evaluating())

    def on_evaluate(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        metrics = parts["metrics"]
        self._evaluating.close()
        if self._score not in metrics:
            raise Refusal(f"there is no metric {self._score!r}: the evaluation told {', '.join(metrics)}")
        losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
        told = {"train_loss": losses[-1]} if losses else {}
        if "eval_loss" in metrics:
            told["valid_loss"] = metrics["eval_loss"]
        if args.gradient_accumulation_steps > 1:  # a step follows several mini-batches, each with a gradient
            told["passes"] = self._batches
        self._batches = 0
        self._session.report(metrics[self._score], **told)

    def on_substep_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        self._batches += 1

    def on_step_end(self, args: Any, state: Any, control: Any, **parts: Any) -> None:
        self._batches += 1


class _Unchanged(torch.optim.lr_scheduler.LRScheduler):
    """The rate as it is."""

    def get_lr(self) -> list[float | torch.Tensor]:
        return [group["lr"] for group in self.optimizer.param_groups]
