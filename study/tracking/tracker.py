"""The writer: one study into MLflow, every write of which can be repeated."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from study.dispatch.outcome import Recorded, SourceRecord, Status
from study.plan.key import Key
from study.plan.study import Search, Study
from study.tracking import view
from study.tracking.outbox import Outbox
from study.tracking.searches import Searches
from study.tracking.store import (
    CANCEL,
    PREFIX,
    PRICE,
    STORAGE,
    TERMINAL,
    client,
    experiment_of,
    is_away,
    is_reopened,
    own_tags,
    parameter_text,
    prices_of,
    recorded_of,
    records_of,
    runs_of,
    shown,
    trial_runs,
    without_retries,
)
from study.tracking.writer import Artifact, End, Item, Mark, Open, Points, Tag, Writer
from trainables.price import Price, written
from trainables.refusal import Refusal
from trainables.tasks import Workload
from trainables.trial import Record, Trial, finite_or_nan

BATCH = 1000  # MLflow's limit on the metrics of one call
FLUSH_SECONDS = 2.0
READ_SECONDS = 1.0  # for what is being written, where something is read back while trials run
LEAVE_SECONDS = 10.0  # an interrupted study waits so long for a store that does not answer
AWAY = (MlflowException, OSError)
Point: TypeAlias = tuple[str, float, int, int]
CANCEL_SECONDS = 5.0  # between two looks whether the study has been cancelled


class Tracker:
    """Writes one study into MLflow; every write can be repeated."""

    def __init__(
        self,
        study: Study,
        uri: str,
        provenance: Mapping[str, str] | None = None,
        recorded: Callable[[Key], None] = lambda key: None,
        check: Callable[[], None] = lambda: None,
        ignored: str | None = None,
    ) -> None:
        """Open the study's experiment, made if it is not there; refuse one of the same name with other contents.

        `recorded` is called, from another thread, when the end of a trial is in the store. `check` is called before
        everything that is written, and raises where this driver must not write any more. `ignored` is the request to
        end that an earlier driver was told; None: whatever stands there now.
        """
        self.study, self.uri = study, uri
        self._client = client(uri)
        self._experiment = experiment_of(self._client, study.name, uri)
        self._provenance = dict(provenance or {})
        self.searches = Searches(study, uri, self._client, self._experiment, self._provenance)
        self._runs: dict[Key, Recorded] = {}
        self.prices: dict[str, list[Price]] = {}  # by arm
        self._waiting: dict[Key, list[Point]] = defaultdict(list)
        self._flushed = self._asked = time.monotonic()
        stands = self._client.get_experiment(self._experiment).tags.get(CANCEL, "")
        self._ignored = stands if ignored is None else ignored
        self._cancelled = False
        self._load()
        self._recorded, self._check = recorded, check
        self._writer = Writer(self._client, self._experiment, {key: known.run_id for key, known in self._runs.items()})
        self._outbox = Outbox(self._written, is_away)

    @property
    def answers(self) -> bool:
        """True where the store answered the last time it was asked to write."""
        return self._outbox.answers

    def recorded(self) -> dict[Key, Recorded]:
        """Every trial the record knows, finished or not, when everything that was handed over is written."""
        self.wait()
        return {key: known._replace(run_id=self._writer.runs[key]) for key, known in self._runs.items()}

    def measured(self, key: Key) -> list[SourceRecord] | None:
        """Read the mean scale that a trial recorded, in order; the last of repeated points counts.

        None where the store does not answer now, or does not have everything yet: nobody waits for it in Tune's loop.
        """
        if not (self.answers and self.wait(READ_SECONDS)):
            return None
        run = self._writer.runs.get(key)
        if run is None:
            return []
        try:
            with without_retries():
                columns = [self._history(run, name) for name in SourceRecord._fields]
                most = records_of(self._client.get_run(run))
        except AWAY as error:
            if is_away(error):
                return None
            raise
        numbers = sorted(number for number in set.intersection(*map(set, columns)) if number <= most)
        return [SourceRecord(*(column[number] for column in columns)) for number in numbers]

    def remember_storage(self, storage: Path) -> None:
        """Write down where pages and checkpoints are, for whoever reports on the study or forgets it."""
        self._client.set_experiment_tag(self._experiment, STORAGE, str(storage))

    def start(self, search: Search, key: Key, trial: Trial) -> None:
        """Write down that a training starts, or starts again.

        Args:
            search: to which it belongs; it has been opened.
            key: of the training.
            trial: its parameters, written once.
        """
        known = self._runs.get(key)
        attempts = known.attempts + 1 if known else 1
        own = {
            "key": key.path,
            "searcher": search.arm.settings.searched_by,
            **_levels(trial.task),
            **self.searches.tags("trial", search),
            "k": str(key.k),
            "seed_number": str(key.seed_number),
            "seeds": str(search.arm.settings.seeds),
        }
        tags = {f"{PREFIX}{name}": text for name, text in own.items()} if known is None else {}
        tags |= {f"{PREFIX}attempts": str(attempts)}
        if known is None:
            name = f"{key.arm}-{key.repetition}-{key.k}"
            tags |= {MLFLOW_RUN_NAME: name, MLFLOW_PARENT_RUN_ID: self.searches.run(search)}
        new = known is None or not known.params  # a driver may die between the two calls
        flat = trial.flat()
        shown = [*view.axes(key.arm, flat), *flat.items()] if new else []
        params = [(name, parameter_text(value)) for name, value in shown]
        self._outbox.put(Open(key, tags, params))
        versions = self._provenance.get("versions", "")
        self._runs[key] = Recorded("", flat, None, float("nan"), attempts, versions)

    def log(self, key: Key, number: int, record: Record) -> None:
        """Take in a record of a training; it is written with the next flush.

        Args:
            key: of the training, which has started.
            number: of the record, 1 the first.
            record: its numbers.
        """
        now = int(time.time() * 1000)
        told = record.flat()
        first = ("valid_score", "passes")  # of what all runs have, MLflow's compare page draws what came first
        names = [*first, *(name for name in told if name not in first)]
        self._waiting[key] += [(name, finite_or_nan(told[name]), now, number) for name in names]
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def price(self, search: Search, price: Price) -> None:
        """Write down beside a search what a step of its arm was measured to cost.

        Args:
            search: of the trial before which it was measured.
            price: with what it was measured at.
        """
        own = self.prices.setdefault(search.arm.name, [])
        own.append(price)
        self._outbox.put(Tag(self.searches.run(search), f"{PREFIX}{PRICE}{len(own)}", written([price])))

    def finish(self, key: Key, status: Status, score: float, error: str = "", **tags: str) -> None:
        """Write down that a training has ended: its metrics first, its status last.

        Args:
            key: of the training.
            status: how it ended.
            score: its best validation score, in the task's own sense.
            error: why it failed; empty where it did not.
            tags: further words to be kept, by name; empty ones are not.
        """
        now = int(time.time() * 1000)
        self._waiting[key].insert(0, (view.BEST, score, now, 0))  # first, as in `log`
        told = {"status": status, "score": repr(score), "error": error[:5000], **tags}
        self._flush(key, [(f"{PREFIX}{name}", value) for name, value in told.items() if value])
        self._runs[key] = self._runs[key]._replace(status=status, score=score)
        self._outbox.put(End(key, "FAILED" if status == "failed" else "FINISHED", now))

    def reopen(self, failed: Iterable[Key]) -> None:
        """Mark trainings that have failed as open, and all that are under way: the next driver draws them anew.

        What is under way may have been drawn from what failed. All of them get other runs.
        """
        under_way = [key for key, known in self._runs.items() if known.status is None]
        for key in (*failed, *under_way):
            self._runs[key] = self._runs[key]._replace(status=None)
            self._outbox.put(Points(key, [], [(f"{PREFIX}status", "failed")]))
            self._outbox.put(End(key, "KILLED", int(time.time() * 1000)))

    def keep(self, key: Key, file: Path) -> None:
        """Keep a file of a training beside its run; handed over before the status, so that a finished trial has it.

        Args:
            key: of the training.
            file: nothing happens where it is not there.
        """
        if file.exists():
            self._outbox.put(Artifact(key, str(file)))

    def cancelled(self) -> bool:
        """True once somebody has asked for the end since this driver began; looked up every few seconds."""
        now = time.monotonic()
        if now - self._asked > CANCEL_SECONDS and self.answers:
            self._asked = now
            with contextlib.suppress(*AWAY), without_retries():
                tags = self._client.get_experiment(self._experiment).tags
                self._cancelled = tags.get(CANCEL, "") not in ("", self._ignored)
        return self._cancelled

    def flush(self) -> None:
        """Hand over every metric that is still here."""
        for key in list(self._waiting):
            self._flush(key)
        self._flushed = time.monotonic()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the store has everything that was handed over, at most so many seconds; False where it has not."""
        return self._outbox.wait(seconds)

    def close(self, *, complete: bool) -> None:
        """Write what is left. Where a study is complete, or the part of it that ran, the searches of which nothing is
        missing are finished; all others are marked as interrupted.

        A complete study waits for the store as long as it takes. An interrupted one waits a little: what is not
        recorded then is run again.
        """
        self.flush()
        now = int(time.time() * 1000)
        missing = self.study.missing(key for key, known in self._runs.items() if known.status is not None)
        for search, run in self.searches.runs.items():
            self._outbox.put(Mark(run, "FINISHED" if complete and not missing[search] else "KILLED", now))
        for key, recorded in self._runs.items():
            if recorded.status is None:
                self._outbox.put(End(key, "KILLED", now))
        if not self.wait(None if complete else LEAVE_SECONDS):
            raise Refusal(
                f"the MLflow store {shown(self.uri)} does not answer: what it has not got is run again, when the same "
                "command goes on"
            )

    # --- inside --------------------------------------------------------------------------------------

    def _load(self) -> None:
        trials, surplus = trial_runs(self._client, self._experiment)
        for key in [key for key, run in trials.items() if is_reopened(run)]:  # its parameters may be others now
            surplus.append(trials.pop(key))
        parents, twice = _once(runs_of(self._client, self._experiment, "search"), trials.values())
        self._runs = {key: recorded_of(run) for key, run in trials.items()}
        succeeded = any(known.status not in (None, "failed") for known in self._runs.values())
        self.searches.adopt(parents, self._runs, succeeded=succeeded)
        self.prices = prices_of(parents)
        for run in (*surplus, *twice):
            self._client.delete_run(run.info.run_id)

    def _history(self, run: str, name: str) -> dict[int, float]:
        return {point.step: point.value for point in self._client.get_metric_history(run, name)}

    def _written(self, item: Item) -> None:
        self._check()
        self._writer(item)
        if isinstance(item, End) and item.status in TERMINAL:
            self._recorded(item.key)

    def _flush(self, key: Key, tags: Sequence[tuple[str, str]] = ()) -> None:
        """What waits of a trial, in as few calls as may be; tags go with the last of them."""
        metrics = self._waiting.pop(key, [])
        while len(metrics) > BATCH:
            self._outbox.put(Points(key, metrics[:BATCH], []))
            metrics = metrics[BATCH:]
        if metrics or tags:
            self._outbox.put(Points(key, metrics, list(tags)))


def _once(parents: Sequence[Run], trials: Iterable[Run]) -> tuple[list[Run], list[Run]]:
    """One run a search, the one that trials name; and those that were made although no answer came, and made again."""
    named = {trial.data.tags.get(MLFLOW_PARENT_RUN_ID) for trial in trials}
    kept: dict[tuple[str, str], Run] = {}
    twice: list[Run] = []
    for run in sorted(parents, key=lambda run: run.info.run_id not in named):  # the oldest of those that are alike
        tags = own_tags(run)
        if kept.setdefault((tags["arm"], tags["repetition"]), run) is not run:
            twice.append(run)
    return [run for run in parents if run not in twice], twice


def _levels(task: Workload) -> dict[str, str]:
    """What a report must know of a task, so that it needs no code of other people's."""
    target = {} if task.target is None else {"target": repr(float(task.target))}
    return {"mode": task.mode, "metric": task.metric, "chance": repr(float(task.chance)), **target}
