"""The training of a `Training`: the user's loop in a thread of its own, which waits between two epochs."""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, NamedTuple, TypeAlias

import torch

from trainables.components import name_of
from trainables.plugins import untrusted
from trainables.refusal import Refusal
from trainables.run.kept import states
from trainables.run.loop import Run
from trainables.run.memory import keep_freed_memory
from trainables.run.process_settings import as_it_was
from trainables.run.stepping import Over
from trainables.run.stopping import Rung, best_score
from trainables.run.trainers_checkpoints import TrainersCheckpoints
from trainables.seeds import seed_all, seed_of
from trainables.session import Session
from trainables.training import Training
from trainables.trial import Record, Trial

GRACE = 30.0  # seconds that a loop has to end when it is told to


class _Ended(NamedTuple):
    """The last message of a thread: the error that ended it, or None."""

    error: BaseException | None


_Message: TypeAlias = Literal["epoch", "over"] | _Ended


class OwnLoop:
    """The training that a `Trial` of a `Training` describes, one `Record` at a time.

    Loop and caller take turns: while one of them runs, the other waits. The state is what the loop asks `epochs()` to
    keep, at the end of an epoch, and all records.

    Attributes:
        trial, device: as given.
        records: so far.
    """

    def __init__(
        self,
        trial: Trial,
        device: str | torch.device = "cpu",
        bars: Sequence[Rung] = (),
        folder: Path | None = None,
    ) -> None:
        """Prepare the training; its loop begins with the first epoch.

        Args:
            trial: whose task is a `Training`.
            device: where it runs.
            bars: what its validation score must have reached by certain records.
            folder: for the checkpoints of a trainer that owns its epochs; a temporary one if none is named.
        """
        keep_freed_memory()
        self.trial, self.device = trial, torch.device(device)
        self._scratch = None if folder else Path(tempfile.mkdtemp(prefix="lr-study-"))
        place = folder or self._scratch or Path()
        self.session = Session(trial, device, place, bars, self._hand_over)
        self._told: SimpleQueue[_Message] = SimpleQueue()  # by the loop
        self._go: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._outside = contextlib.ExitStack()
        self._theirs = TrainersCheckpoints(self.session.folder)

    @property
    def records(self) -> list[Record]:
        """All records so far."""
        return self.session.records

    @property
    def stopped(self) -> bool:
        """True where the training has fallen short of a bar."""
        return self.session.stopped

    @property
    def finished(self) -> bool:
        """True where there is nothing left to do."""
        return self._ended or (self._thread is None and self.session.finished)

    @property
    def best_score(self) -> float:
        """The best validation score so far; chance where there is none, or the training diverged."""
        task = self.trial.task
        if not self.records or self.session.diverged:
            return task.chance
        return best_score([record.valid_score for record in self.records], task.mode)

    @property
    def keeps_own(self) -> bool:
        """True where a trainer keeps checkpoints of its own: the records beside them are to be kept as often."""
        return bool(self._theirs.written)

    def __iter__(self) -> Iterator[Record]:
        while not self.finished:
            record = self.epoch()
            if record is not None:
                yield record

    def epoch(self) -> Record | None:
        """Let the loop train one epoch.

        Returns:
            Its record; None where the loop has ended without one more.

        Raises:
            Refusal: the session is used wrongly.
            RuntimeError: the loop does not end when it is told to.
            BaseException: whatever the user's code raises.
        """
        before = len(self.records)
        self._resume()
        try:
            message = self._told.get()
            if message == "over":
                message = self._end_within(GRACE)
        except BaseException:  # Ctrl-C, for one: what has not ended ends at its next step
            self.session.over = True
            raise
        if isinstance(message, _Ended):
            self._close(message)
        if self.session.owns_epochs:
            self._theirs.look(before)
        return self.records[-1] if len(self.records) > before else None

    def rehearse(self) -> None:
        """Let the loop run up to the first step of its optimizer, and end it there.

        Raises:
            Refusal: it ends without one.
        """
        self.session.rehearsing = True
        self.epoch()
        if self.session.stepping is None or not self.session.stepping.steps:
            name = name_of(type(self.trial.task))
            raise Refusal(f"{name}.train has ended without a step of session.optimizer(…): it trains nothing")

    def close(self) -> None:
        """End a loop that is waiting, or at its next step."""
        self.session.over = True
        if self._thread is not None and not self._ended:
            self._go.put(None)
            with contextlib.suppress(RuntimeError):
                self._end_within(GRACE)
            self._outside.close()
            self._ended = True

    # --- taking turns --------------------------------------------------------------------------------------

    def _resume(self) -> None:
        if self._thread is not None:
            self._go.put(None)
            return
        self._outside.enter_context(as_it_was(self.device))
        self._thread = threading.Thread(target=self._train, name=f"training {self.trial.seed}", daemon=True)
        self._thread.start()

    def _train(self) -> None:
        error = None
        try:
            run_to_its_end(_training(self.trial), self.session)
        except BaseException as raised:  # sys.exit() too: in a worker it would end the process
            error = raised
        self._told.put(_Ended(error))

    def _hand_over(self) -> None:
        """Called by the loop, between two epochs."""
        if self.session.over:
            self._told.put("over")
            return
        self._told.put("epoch")
        self._go.get()
        if self.session.over:
            raise Over

    def _end_within(self, seconds: float) -> _Message:
        """The last message of a loop that was told to end."""
        try:
            while not isinstance(message := self._told.get(timeout=seconds), _Ended):
                pass
        except Empty:
            raise RuntimeError(
                f"the loop of {name_of(type(self.trial.task))} has not ended {seconds:g} s after it was told to: "
                "session.report raises an exception then, which a bare `except:` must let pass"
            ) from None
        return message

    def _close(self, ended: _Ended) -> None:
        self._ended, self.session.over = True, True
        if self._thread is not None:
            self._thread.join()
        self._outside.close()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
        if ended.error is not None:
            raise ended.error
        if not self.session.rehearsing:
            told_its_end(self.session)

    # --- the state -----------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and texts only: `torch.save` it, and read it with `weights_only=True`."""
        return {
            "trial": untrusted(self.trial.flat()),
            "kept": states(self.session.kept),
            "owned": self._theirs.state_dict(),
            "records": [record.flat() for record in self.records],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from `state`, which must be of the same trial."""
        if state["trial"] != self.trial.flat():
            raise ValueError(f"the state is of another trial: {state['trial']} instead of {self.trial.flat()}")
        records = [Record.parse(record) for record in state["records"]]
        if not state["kept"]:  # then the loop goes on where its trainer does, or begins again
            self.session.resume_from, num_records = self._theirs.newest(state["owned"])
            records = records[:num_records]
        self.session.states = state["kept"]
        self.session.goes_on(records)


def begin(
    trial: Trial, device: str | torch.device = "cpu", bars: Sequence[Rung] = (), folder: Path | None = None
) -> Run | OwnLoop:
    """The training of a trial, by our loop or by its own.

    Args:
        trial: what to train.
        device: where.
        bars: what its validation score must have reached by certain records.
        folder: for the checkpoints of a trainer that owns its epochs.
    """
    return OwnLoop(trial, device, bars, folder) if isinstance(trial.task, Training) else Run(trial, device, bars)


def run_to_its_end(training: Training, session: Session) -> None:
    """Let a loop train from its seed until it returns, or its session ends it.

    Args:
        training: whose loop it is.
        session: what the loop is given.

    Raises:
        RuntimeError: where the loop raises `Over` itself.
    """
    seed_all(session.device, seed_of(session.trial.seed, "init"))
    try:
        training.train(session)
    except Over:
        if not session.over:
            raise RuntimeError("Over is raised by the session alone") from None


def told_its_end(session: Session) -> None:
    """Refuse a loop that has ended without a report; of one that has ended before its last epoch, say so."""
    if not session.records:
        raise Refusal(f"{name_of(type(session.trial.task))}.train has ended without session.report(valid_score=…)")
    if not session.finished:
        told, all_ = len(session.records), session.num_epochs
        session.say(f"a training has ended by itself after {told} of {all_} epochs")


def _training(trial: Trial) -> Training:
    if not isinstance(trial.task, Training):
        raise TypeError(f"{name_of(type(trial.task))} has no loop of its own")
    return trial.task
