"""A loop of the user's is given a `Session`: its trial, the optimizer of its rule, and an ear for how it goes."""

import math
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from trainables.rates import lr_of
from trainables.refusal import Refusal
from trainables.run.heeding import Heeding
from trainables.run.kept import check_kept, put_back, schedules_of
from trainables.run.meter import Meter, cost
from trainables.run.names import check_name
from trainables.run.stepping import Over, Stepping
from trainables.run.stopping import Rung, stopped_at
from trainables.schedules import has_schedule
from trainables.seeds import seed_all, seed_of
from trainables.trial import Record, Trial

UNTOLD: Any = object()


class Session:
    """The view that a `Training` has of its trial.

    Python's, numpy's and torch's global generators are seeded from the trial's seed before `train` is called, and from
    seed and epoch before every pass of `epochs()`. Where the training is over, by its budget, a stopper or a number
    that is not finite, `report` does not return.

    Attributes:
        seed, batch_size, precision, threads, gradient_clip: of the trial. The seed is below 2³², as numpy's must be;
            the last is None or a number; torch knows the threads already, all else is for the loop to heed.
        num_epochs: epochs in all, and so reports.
        device: where the trial runs.
        folder: where trainers that own their epochs may keep their checkpoints. It goes with the trial.
        resume_from: the newest checkpoint there, where this trial was killed and its trainer keeps its own; else None.
    """

    def __init__(
        self,
        trial: Trial,
        device: str | torch.device,
        folder: Path,
        bars: Sequence[Rung] = (),
        hand_over: Callable[[], None] = lambda: None,
    ) -> None:
        """Open a session.

        Args:
            trial: whose task is a `Training`.
            device: where it runs.
            folder: for a trainer's own checkpoints; it need not exist.
            bars: what its validation score must have reached by certain records.
            hand_over: called between two epochs; may wait, and may raise `Over`.
        """
        self.trial, self.device, self.folder, self._bars = trial, torch.device(device), folder, tuple(bars)
        self.seed, self.threads, self.num_epochs = trial.seed % 2**32, trial.threads, int(trial.epochs)
        self.resume_from: str | None = None
        self.records: list[Record] = []
        self.states: dict[str, Any] | None = None  # of what `epochs` keeps, to be put back
        self.kept: dict[str, Any] = {}
        self.over = self.diverged = self.stopped = False
        self.notes: list[str] = []  # on what its user should know, to be told by whoever trains it
        self.rehearsing = False  # the first step is the last
        self.heeding = Heeding(trial)
        self.stepping: Stepping | None = None
        self.meter = Meter()
        self.owns_epochs = True  # False from the first pass of `epochs()` on
        self._hand_over, self._open, self._judged, self._evaluations = hand_over, False, False, 0
        self._extras: dict[str, float] = {}
        self._steps_per_epoch: int | None = None  # as told, for a rule with a schedule, until they turn out otherwise

    # --- what a loop calls ------------------------------------------------------------------------------

    @property
    def batch_size(self) -> Any:
        """The trial's batch size: a number, or "full"."""
        return self.heeding.asked("batch_size")

    @property
    def precision(self) -> str:
        """float32, bfloat16 or float64."""
        return self.heeding.asked("precision")

    @property
    def gradient_clip(self) -> float | None:
        """The largest norm of a gradient; None: it is not clipped."""
        return self.heeding.asked("gradient_clip")

    def optimizer(
        self, params: Any, *, steps_per_epoch: int | None = UNTOLD, total_steps: int | None = None
    ) -> torch.optim.Optimizer:
        """The optimizer of the trial's rule, whatever that is.

        Args:
            params: a module, or what every torch optimizer takes; rules that read layers need a module or names.
            steps_per_epoch: steps that it will make in an epoch, for schedules; None where nobody knows, in a stream:
                schedules then move at reports only.
            total_steps: steps in all, instead.

        Raises:
            Refusal: it was made before, or the rule has a schedule and no steps are told.
        """
        if self.stepping:
            raise Refusal("session.optimizer makes one optimizer a trial: give it all parameters, in groups if need be")
        for name, told in {"steps_per_epoch": steps_per_epoch, "total_steps": total_steps}.items():
            if told is not UNTOLD and told is not None and not told >= 1:
                raise Refusal(f"session.optimizer({name}={told}): at least one, or the loader is empty")
        untold = steps_per_epoch is UNTOLD and total_steps is None
        if untold and has_schedule(self.trial.rule):
            raise Refusal(
                "the trial's rule has a schedule: say session.optimizer(…, steps_per_epoch=len(loader)), or "
                "total_steps, or steps_per_epoch=None for a stream: the schedule then moves at reports only"
            )
        if total_steps is None and not untold and steps_per_epoch is not None:
            total_steps = steps_per_epoch * self.num_epochs
            self._steps_per_epoch = steps_per_epoch if has_schedule(self.trial.rule) else None
        self.stepping = Stepping(self.trial.rule, params, total_steps, self._end_if_over)
        self.stepping.goes_on(self.records, self.num_epochs)
        self.meter.start()
        return self.stepping.optimizer

    def epochs(self, **kept: Any) -> Iterator[int]:
        """The epochs that are left to train, from 0 on; `session.report` belongs into each.

        Args:
            kept: all that a resumed training needs, each with `state_dict` and `load_state_dict`: the models and the
                optimizer at least, and an LR scheduler if there is one. With nothing kept, a training that was killed
                begins again.
        """
        self.owns_epochs = False
        self._refuse_theirs(kept)
        if kept:
            self._take(kept)
        while len(self.records) < self.num_epochs and not self.over:
            epoch, self._open = len(self.records), True
            seed_all(self.device, seed_of(self.trial.seed, "epoch", epoch))
            self.meter.start()
            yield epoch
            if len(self.records) == epoch:
                raise Refusal(f"epoch {epoch} has ended without session.report(valid_score=…)")
            self.meter.pause()
            if not self.over:
                self._hand_over()

    @contextmanager
    def evaluating(self, refresh: Iterable[Any] | None = None) -> Iterator[None]:
        """The parameters as they are to be judged: for rules that keep an average, the average. Time is not charged.

        Args:
            refresh: batches of training data, as the module takes them or in a tuple with its inputs first; with a rule
                that keeps an average, the statistics of the one module with a BatchNorm are made anew from them.

        Raises:
            Refusal: there are such statistics, of one module without batches, or of several.
        """
        self.meter.pause()
        self._judged = True
        self._evaluations += 1
        try:
            with self._stepping().judged(refresh, self.device) if self._evaluations == 1 else nullcontext():
                yield
        finally:
            self._evaluations -= 1
            if not self._evaluations:
                self.meter.start()

    def log(self, **values: float | torch.Tensor) -> None:
        """Add numbers of your own to the next record."""
        for name in values:
            check_name(name)
        self._extras |= {name: _number(value, f"session.log({name}=…)") for name, value in values.items()}

    def report(
        self,
        valid_score: float | torch.Tensor,
        *,
        train_loss: float | torch.Tensor = UNTOLD,
        train_score: float | torch.Tensor = UNTOLD,
        valid_loss: float | torch.Tensor = UNTOLD,
        test_score: float | torch.Tensor = UNTOLD,
        passes: float = UNTOLD,
        flops: float = UNTOLD,
    ) -> None:
        """Tell how an epoch went; does not return where the training is over.

        What is not told is NaN in the record. A told number that is not finite means that the training has diverged.

        Args:
            valid_score: in the sense of the training's `mode`.
            train_loss: mean over the epoch.
            train_score: likewise.
            valid_loss: on what the score is of.
            test_score: on data that decides nothing.
            passes: gradients, or their equivalents, since the last report; else the optimizer's steps are counted.
            flops: floating-point operations since the last report.

        Raises:
            Refusal: the epoch has been reported, nothing was ever trained, or an average was not evaluated inside of
                `evaluating()`. An epoch whose steps a `GradScaler` has left out is one.
        """
        if self.over:
            raise Over
        self.meter.pause()
        stepping = self._stepping()
        told = {"train_loss": train_loss, "train_score": train_score, "valid_loss": valid_loss}
        heard = {n: _number(value, f"session.report({n}=…)") for n, value in told.items() if value is not UNTOLD}
        score, test = _number(valid_score), {} if test_score is UNTOLD else {"test_score": _number(test_score)}
        self.diverged = not all(map(math.isfinite, [score, *heard.values(), *test.values()]))
        self._check(stepping)
        if self.diverged:
            score, heard["valid_loss"] = self.trial.task.chance, math.nan
            test = dict.fromkeys(test, score)
        extras = stepping.heard(None if self.diverged else self._sign * score)
        self._refuse_taken(extras)
        self._charge(stepping, passes, flops)
        record = Record(
            **{**dict.fromkeys(told, math.nan), **heard},
            epoch=float(len(self.records) + 1),
            valid_score=score,
            lr=extras.pop("lr"),
            passes=stepping.passes,
            flops=self.meter.flops,
            steps=stepping.steps,
            seconds=self.meter.seconds,
            diverged=self.diverged,
            extras={**extras, **self._extras, **test},
        )
        self.records.append(record)
        self._go_on_or_end(stepping)

    # --- what it means ------------------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """True where no report is left to come."""
        return self.diverged or self.stopped or len(self.records) >= self.num_epochs

    @property
    def _sign(self) -> int:
        return 1 if self.trial.task.mode == "max" else -1

    def goes_on(self, records: Sequence[Record]) -> None:
        """Take up a training that has told these records."""
        self.records = list(records)
        if records:
            last = records[-1]
            self.meter.goes_on(last)
            self.diverged = last.diverged
            self.stopped = self._falls_short() and not self.diverged
        self.over = self.finished

    def _falls_short(self) -> bool:
        signed = [self._sign * record.valid_score for record in self.records]
        return len(signed) < self.num_epochs and stopped_at(self._bars, signed) is not None

    def _go_on_or_end(self, stepping: Stepping) -> None:
        if len(self.records) == 1:
            self.heeding.check()
            self._say_of_rates(stepping)
        self._compare_steps(stepping.steps)
        self._open = self._judged = False
        self._extras = {}
        self.stopped = not self.diverged and self._falls_short()
        stepping.goes_on(self.records, self.num_epochs)
        self.over = self.finished
        if self.over and (self.owns_epochs or self.diverged or self.stopped):
            self._hand_over()
            raise Over
        if self.owns_epochs:
            self._hand_over()
        self.meter.start()

    def _compare_steps(self, made: int) -> None:
        """Say, once, that epochs have other numbers of steps than the schedule was told."""
        told, self._steps_per_epoch = self._steps_per_epoch, None
        if told is not None and made == told * len(self.records):
            self._steps_per_epoch = told
        elif told is not None:
            self.say(
                f"session.optimizer was told steps_per_epoch={told}, and {made} steps were made by the end of epoch "
                f"{len(self.records)}: the schedule ends {'early' if made > told * len(self.records) else 'late'}"
            )

    def _say_of_rates(self, stepping: Stepping) -> None:
        """Say that no group starts at the trial's rate: a search over it may have nothing to find."""
        rate, starts = lr_of(self.trial.flat()), stepping.starts  # a tensor's in single precision, for one
        if rate is not None and starts and not any(math.isclose(start, rate, rel_tol=1e-6) for start in starts):
            self.say(
                "no parameter group starts at the trial's learning rate: where a scheduler (OneCycleLR, CyclicLR) or "
                "the loop sets rates of its own, a search over the rate finds nothing"
            )

    def say(self, note: str) -> None:
        """Tell the user something, on a line of its own and to whoever trains this.

        Args:
            note: one line.
        """
        self.notes.append(note)
        sys.stderr.write(f"{note}\n")

    def _end_if_over(self) -> None:
        """Asked before and after every step of the optimizer."""
        if self.rehearsing and self.stepping and self.stepping.steps:
            self.heeding.check()
            self.over = True
        if self.over:
            raise Over

    def _charge(self, stepping: Stepping, passes: float, flops: float) -> None:
        """Add what a report says that it cost; what it does not say is left as counted."""
        if passes is not UNTOLD:
            stepping.passes = cost("passes", passes) + (self.records[-1].passes if self.records else 0.0)
        if flops is not UNTOLD:
            self.meter.tell(flops)

    def _refuse_taken(self, extras: Collection[str]) -> None:
        """Refuse a number of the user's under the name of one of the rule's, and those under one of the record's."""
        for name in extras:
            if name != "lr":
                check_name(name, "a rule's extras")
        for name in self._extras:
            if name in extras:
                raise Refusal(f"session.log: {name} is a number of the trial's rule: choose another name")

    def _refuse_theirs(self, kept: dict[str, Any]) -> None:
        """Refuse an LR scheduler of the user's where the rule's own schedule would write over it."""
        if self.stepping and self.stepping.writes_rates and (theirs := schedules_of(self.stepping.optimizer, kept)):
            raise Refusal(f"the trial's rule has a schedule, which would write over {theirs[0]}: leave that out")

    def _check(self, stepping: Stepping) -> None:
        if not self.owns_epochs and not self._open:
            raise Refusal("session.report belongs into a pass of session.epochs(), once")
        if stepping.moved:
            raise Refusal(
                "the trial's rule has a schedule, which writes over what your LR scheduler sets: leave that out"
            )
        if not stepping.steps and not self.diverged:
            raise Refusal("the session's optimizer has not stepped: is another one in use?")
        if stepping.averages and not self._judged:
            raise Refusal(
                "the trial's rule is judged by an average of its parameters: evaluate inside of "
                "`with session.evaluating():`, then report"
            )

    def _stepping(self) -> Stepping:
        if self.stepping is None:
            raise Refusal("the trial's rule has trained nothing: make the optimizer by session.optimizer(model, …)")
        return self.stepping

    def _take(self, kept: dict[str, Any]) -> None:
        """Check what is to be kept, and put its state back where the training goes on."""
        stepping = self._stepping()
        check_kept(kept, stepping.optimizer)
        stepping.trains(value for value in kept.values() if isinstance(value, torch.nn.Module))
        self.kept = kept
        put_back(kept, self.states or {})
        self.states = None  # once: a loop may call `epochs` again


def _number(value: Any, where: str = "session.report") -> float:
    try:
        return float(value.detach() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, RuntimeError):
        raise Refusal(f"{where} takes numbers, got {value!r}"[:200]) from None
