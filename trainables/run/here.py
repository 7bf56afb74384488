"""One trial in this process and this thread: a debugger stops in its code, and Ctrl-C ends it."""

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path

import torch

from trainables.components import name_of
from trainables.run.loop import Run
from trainables.run.own_loop import run_to_its_end, told_its_end
from trainables.run.process_settings import as_it_was
from trainables.session import Session
from trainables.training import Training
from trainables.trial import Record, Trial


def train(
    trial: Trial,
    show: Callable[[Record], None],
    device: str | torch.device | None = None,
    watch: AbstractContextManager[object] | None = None,
) -> None:
    """Train a trial here, from its beginning to its end.

    Args:
        trial: by our loop, or by a loop of its own.
        show: is told every record when it is there.
        device: by default the GPU, if there is one.
        watch: entered when all is made that our loop needs, and left when the training ends.

    Raises:
        Refusal: the session of a loop of its own is used wrongly.
        RuntimeError: what it runs calls sys.exit().
        BaseException: whatever else it raises.

    >>> trial = Trial.parse({"task": "quadratic", "batch_size": "full", "scheme.lr": 1.0, "epochs": 2})
    >>> train(trial, lambda record: print(record.epoch), "cpu")
    1.0
    2.0
    """
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    watching = nullcontext() if watch is None else watch
    torch.set_num_threads(trial.threads)
    try:
        if isinstance(trial.task, Training):
            _by_its_own_loop(trial, trial.task, show, where, watching)
        else:
            _by_ours(trial, show, where, watching)
    except SystemExit as ended:
        raise RuntimeError(f"{name_of(type(trial.task))} or its rule has called sys.exit({ended.code!r})") from ended


def _by_ours(
    trial: Trial, show: Callable[[Record], None], device: torch.device, watching: AbstractContextManager[object]
) -> None:
    run = Run(trial, device)
    _ = run.flops_per_example  # counted now, once: the time of an epoch is that of its steps and its evaluation
    with watching:
        for record in run:
            show(record)


def _by_its_own_loop(
    trial: Trial,
    task: Training,
    show: Callable[[Record], None],
    device: torch.device,
    watching: AbstractContextManager[object],
) -> None:
    """As `OwnLoop`, which needs a thread because whoever waits for its records does other things between them."""
    shown = 0

    def show_new() -> None:
        nonlocal shown
        for record in session.records[shown:]:
            shown += 1
            show(record)

    with tempfile.TemporaryDirectory(prefix="lr-study-") as folder, as_it_was(device):
        session = Session(trial, device, Path(folder), hand_over=show_new)
        import_module("torch._dynamo")  # as the first optimizer does: seconds that are not the loop's
        with watching:
            run_to_its_end(task, session)
            show_new()
        told_its_end(session)
