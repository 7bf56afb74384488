"""Limit how long MLflow's client asks a server that does not answer."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT

_asking = threading.local()  # `depth`: how many contexts this thread is in


def _unless_asked_once(variable: Any, value: int) -> None:
    """Let a variable of MLflow's have another value in a thread that asks once: MLflow knows but the whole process."""
    ordinary = variable.get
    variable.get = lambda: value if getattr(_asking, "depth", 0) else ordinary()


_unless_asked_once(MLFLOW_HTTP_REQUEST_MAX_RETRIES, 0)  # MLflow's own: 7
_unless_asked_once(MLFLOW_HTTP_REQUEST_TIMEOUT, 30)  # 120 s


@contextlib.contextmanager
def without_retries() -> Iterator[None]:
    """MLflow's client does not retry inside this context, in this thread; other threads keep its patience."""
    _asking.depth = getattr(_asking, "depth", 0) + 1
    try:
        yield
    finally:
        _asking.depth -= 1
