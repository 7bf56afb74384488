"""Writes that wait for a store that does not answer: in memory, then on disk, and in order as soon as it does."""

import pickle
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO, Any

from study.tracking.store import shown
from trainables.refusal import first_line

RETRY_SECONDS = 2.0
IN_MEMORY = 1000  # writes; more wait on disk
ON_DISK = 2**30  # bytes; when there are more the study waits too


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


class Outbox:
    """Hands every write to `write` in the order in which it was put, from a thread of its own: nobody waits for it.

    `write` may be called again with a write that has failed. What it raises counts as "does not answer" where
    `is_away` says so; anything else is the end, and is raised to whoever puts or waits from then on.
    """

    def __init__(
        self,
        write: Callable[[Any], None],
        is_away: Callable[[Exception], bool],
        say: Callable[[str], None] = _say,
    ) -> None:
        self._write, self._is_away, self._say = write, is_away, say
        self._backlog = Backlog()
        self._changed = threading.Condition()
        self._writing = False  # whether there is a thread; it ends when nothing waits
        self._away_since: float | None = None
        self._error: Exception | None = None

    @property
    def answers(self) -> bool:
        """True where the store answered the last time."""
        return self._away_since is None

    def put(self, item: Any) -> None:
        """Hand over a write; waits only where more is due than disk and memory may hold."""
        with self._changed:
            self._refuse()
            while not self._backlog.append(item):
                self._changed.wait(RETRY_SECONDS)
                self._refuse()
            if not self._writing:
                threading.Thread(target=self._empty, name="outbox", daemon=True).start()
                self._writing = True

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until everything is written, at most so many seconds; False where something is not."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not self._writing, seconds)
            self._refuse()
            return not self._writing

    def _refuse(self) -> None:
        if self._error:
            raise self._error

    def _empty(self) -> None:
        while True:
            with self._changed:
                if not len(self._backlog):
                    self._writing = False
                    self._changed.notify_all()
                    return
                item = self._backlog.first()
            try:
                self._write(item)
            except Exception as error:
                if self._is_away(error):
                    self._away(error)
                    time.sleep(RETRY_SECONDS)
                    continue
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._backlog.pop()
                self._back()
                self._changed.notify_all()

    def _away(self, error: Exception) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._say(f"the MLflow store does not answer, the study goes on meanwhile: {shown(first_line(error))}")

    def _back(self) -> None:
        if self._away_since is not None and not len(self._backlog):
            seconds = time.monotonic() - self._away_since
            self._say(f"the MLflow store answers again, after {seconds:.0f} s; all is written")
            self._away_since = None


class Backlog:
    """A queue of things that can be pickled: the first of them in memory, the rest in a file that has no name."""

    def __init__(self) -> None:
        self._head: deque[Any] = deque()
        self._file: IO[bytes] | None = None
        self._in_file = self._read = 0  # things that wait there, and the place of the first

    def __len__(self) -> int:
        return len(self._head) + self._in_file

    def first(self) -> Any:
        """The write that waits longest."""
        return self._head[0]

    def append(self, item: Any) -> bool:
        """Add a write; False where there was no room for it."""
        if not self._in_file and len(self._head) < IN_MEMORY:
            self._head.append(item)
            return True
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 — as long as this
            end = self._file.seek(0, 2)
            if end >= ON_DISK:
                return False
            return self._spilled(item, end, self._file)
        except OSError:  # the disk is full
            return False

    def _spilled(self, item: Any, end: int, file: IO[bytes]) -> bool:
        left = pickle.dumps(item)
        try:
            while left:  # a disk that is nearly full takes a part
                left = left[file.write(left) :]
        except OSError:
            file.truncate(end)
            raise
        self._in_file += 1
        return True

    def pop(self) -> None:
        """Remove the write that waited longest: it is done."""
        self._head.popleft()
        if self._head or not self._in_file or self._file is None:
            return
        self._file.seek(self._read)
        while self._in_file and len(self._head) < IN_MEMORY:
            self._head.append(pickle.load(self._file))  # noqa: S301 — our own, and nobody else can open it
            self._in_file -= 1
        self._read = self._file.tell()
        if not self._in_file:
            self._file.close()
            self._file, self._read = None, 0
