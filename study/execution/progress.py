"""One live bar for a whole study on a terminal, and a plain line now and then where the output is piped."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from study.dispatch.outcome import Outcome
from study.plan.key import Key
from study.plan.study import Study
from study.tracking.standing import clock
from trainables.run.stopping import best_score

LINE_SECONDS = 10.0


class Progress:
    """Trials done and running, best so far an arm, time left; on stderr, so that tables can be piped."""

    def __init__(self, study: Study, done: int = 0) -> None:
        self._study = study
        self._best: dict[str, float] = {}
        self._mode = {arm.name: arm.task.mode for arm in study.arms}
        self._running: set[Key] = set()
        self._done, self._before = done, done
        self._started = self._said = time.monotonic()
        self._console = Console(file=sys.stderr)
        self._live = Live(self, console=self._console, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        self._console.print(self.line())

    def started(self, key: Key) -> None:
        """Count a training as running."""
        self._running.add(key)

    def reported(self, key: Key, score: float) -> None:
        """Take in a training's score: the best of each arm is shown.

        Args:
            key: of the training.
            score: its best so far, in the task's own sense.
        """
        self._best[key.arm] = best_score([score, self._best.get(key.arm, score)], self._mode[key.arm])
        if not self._console.is_terminal and time.monotonic() - self._said > LINE_SECONDS:
            self._said = time.monotonic()
            self._console.print(self.line())

    def ended(self, key: Key, outcome: Outcome) -> None:
        """Count a training as done.

        Args:
            key: of the training.
            outcome: how it ended.
        """
        self._running.discard(key)
        self._done += 1

    def note(self, line: str) -> None:
        """Print a line that somebody should read."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def line(self) -> str:
        """The state of the study in one line."""
        seconds = time.monotonic() - self._started
        counts = f"{self._study.name}: {self._done}/{self._study.num_trials} trials, {len(self._running)} running"
        return f"{counts}, {clock(seconds)} so far, {self._left(seconds)} left"

    def _left(self, seconds: float) -> str:
        finished = self._done - self._before
        if not finished:
            return "?"
        return clock(seconds / finished * (self._study.num_trials - self._done))

    def __rich__(self) -> Table:
        share = self._done / self._study.num_trials
        width = 30
        bar = "━" * round(width * share) + "╺" * (width - round(width * share))
        table = Table.grid(padding=(0, 2))
        table.add_row(f"[green]{bar}[/green]", self.line())
        table.add_row("best so far", "  ".join(f"{arm} {score:.4g}" for arm, score in self._best.items()))
        return table
