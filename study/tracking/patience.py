"""How long MLflow's client asks a server that does not answer."""

import contextlib
import os
import threading
from collections.abc import Iterator

IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}  # MLflow's own: 7, and 120 s


class _Impatience:
    """How many threads want MLflow's client to ask once, and what stood in the environment before the first of them."""

    def __init__(self) -> None:
        self._lock, self._wanted, self._before = threading.Lock(), 0, dict[str, str | None]()

    def begin(self) -> None:
        with self._lock:
            if not self._wanted:
                self._before = {name: os.environ.get(name) for name in IMPATIENT}
                os.environ.update(IMPATIENT)
            self._wanted += 1

    def end(self) -> None:
        with self._lock:
            self._wanted -= 1
            for name, value in self._before.items() if not self._wanted else ():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


_impatience = _Impatience()


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """MLflow's client asks once and not for minutes: who waits, and what is asked again, is decided by the caller."""
    _impatience.begin()
    try:
        yield
    finally:
        _impatience.end()
