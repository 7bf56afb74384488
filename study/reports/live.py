"""A page that is rewritten while its study runs, by a process of the lowest priority now and then."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from study.reports.kept import folder_of
from trainables.refusal import Refusal

FIRST_SECONDS = 90.0  # a short study has its page at the end, and all its cores until then
LEAST_SECONDS = 30.0  # between two writings
SHARE = 20  # and so many times what the last one took: else it eats the cores that the study measures
END_SECONDS = 5.0
LOWEST = 19  # priority
SILENT = subprocess.DEVNULL


class LivePage:
    """Rewrites a study's page while it is entered; a writing that fails is left out, and ends nothing.

    Every writing is a process of its own, which shares neither the driver's interpreter nor its memory, nor its
    terminal: Ctrl-C is the driver's, which ends it.
    """

    def __init__(self, study: str, storage: Path, tracking_uri: str, *, first: float = FIRST_SECONDS) -> None:
        """Prepare it; nothing is written before it is entered.

        Args:
            study: its name.
            storage: the folder that holds the folder of its page.
            tracking_uri: the MLflow store that holds its record.
            first: seconds before the first writing.
        """
        folder = folder_of(storage, study)
        self._words = [sys.executable, "-m", "study.reports.live", study, str(folder.resolve())]
        self._path, self._known, self._first = folder / "report.html", {"MLFLOW_TRACKING_URI": tracking_uri}, first
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Self:
        sys.stderr.write(f"The page, rewritten while trials run:  {self._path}\n")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        pause = self._first
        while not self._over.wait(pause):
            started = time.monotonic()
            with suppress(OSError):  # no memory for a process, for one
                self._write_once()
            pause = max(LEAST_SECONDS, SHARE * (time.monotonic() - started))

    def _write_once(self) -> None:
        environment = {**os.environ, **self._known, "OMP_NUM_THREADS": "1"}  # no argument: everybody can read those
        writing = subprocess.Popen(  # noqa: S603 — this program
            self._words, env=environment, stdin=SILENT, stdout=SILENT, stderr=SILENT, start_new_session=True
        )
        while writing.poll() is None:
            if self._over.wait(0.2):
                writing.terminate()
                with suppress(subprocess.TimeoutExpired):
                    writing.wait(END_SECONDS)
                writing.kill()
                writing.wait()


def write(study: str, folder: str) -> None:
    """Write the page of a recorded study once, as little as possible in the way of others.

    Args:
        study: its name, in the store that MLFLOW_TRACKING_URI names.
        folder: of the page.
    """
    os.nice(LOWEST)  # before the imports that follow
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    from study.records.material import of_study
    from study.reports.writing import write as write_page

    with suppress(Refusal):  # nothing is recorded yet, or nothing follows from it
        write_page(of_study(study, os.environ["MLFLOW_TRACKING_URI"]), Path(folder))


if __name__ == "__main__":
    write(*sys.argv[1:])
