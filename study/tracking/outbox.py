"""What waits for a store that does not answer: in memory, then on disk, and written in order as soon as it does."""

import pickle
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO, Any

RETRY_SECONDS = 2.0
IN_MEMORY = 1000  # writes; more wait on disk
ON_DISK = 2**30  # bytes; when there are more the study waits too


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


class Outbox:
    """Hands every write to `write` in the order in which it was put: at once, or when the store answers again.

    `write` may be called again with a write that has failed. What it raises counts as "does not answer" where
    `is_away` says so; anything else is raised to whoever puts the next one.
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
        self._catching_up = False
        self._error: Exception | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits: the store answered the last time."""
        return not self._catching_up

    def put(self, item: Any) -> None:
        """Write, now or later. Waits only where more is due than disk and memory may hold."""
        with self._changed:
            self._refuse()
            while self._catching_up:
                if self._backlog.append(item):
                    return
                self._changed.wait(RETRY_SECONDS)
                self._refuse()
            try:
                self._write(item)
            except Exception as error:
                if not self._is_away(error):
                    raise
                self._backlog.append(item)
                self._catching_up = True
                self._say(f"the MLflow store does not answer, the study goes on meanwhile: {_line(error)}")
                threading.Thread(target=self._catch_up, name="outbox", daemon=True).start()

    def wait(self, seconds: float | None = None) -> bool:
        """Until everything is written, or so long; whether it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or not self._catching_up, seconds)
            self._refuse()
            return not self._catching_up

    def _refuse(self) -> None:
        if self._error:
            raise self._error

    def _catch_up(self) -> None:
        since = time.monotonic()
        while True:
            with self._changed:
                if not len(self._backlog):
                    self._catching_up = False
                    self._changed.notify_all()
                    self._say(f"the MLflow store answers again, after {time.monotonic() - since:.0f} s; all is written")
                    return
                item = self._backlog.first()
            try:
                self._write(item)
            except Exception as error:
                if self._is_away(error):
                    time.sleep(RETRY_SECONDS)
                    continue
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                self._backlog.pop()
                self._changed.notify_all()


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class Backlog:
    """A queue of things that can be pickled: the first of them in memory, the rest in a file that has no name."""

    def __init__(self) -> None:
        self._head: deque[Any] = deque()
        self._file: IO[bytes] | None = None
        self._in_file = self._read = 0  # things that wait there, and the place of the first

    def __len__(self) -> int:
        return len(self._head) + self._in_file

    def first(self) -> Any:
        """What waits longest."""
        return self._head[0]

    def append(self, item: Any) -> bool:
        """Whether there was room for it."""
        if not self._in_file and len(self._head) < IN_MEMORY:
            self._head.append(item)
            return True
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 — as long as this
            end = self._file.seek(0, 2)
            if end >= ON_DISK:
                return False
            return self._spilled(item, end, self._file)
        except OSError:  # the disk is full
            return False

    def _spilled(self, item: Any, end: int, file: IO[bytes]) -> bool:
        try:
            pickle.dump(item, file)
            file.flush()
        except OSError:
            file.truncate(end)
            raise
        self._in_file += 1
        return True

    def pop(self) -> None:
        """What waited longest is done."""
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
