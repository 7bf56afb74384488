"""One trial in this process and this thread: a debugger stops in its code, and Ctrl-C ends it."""

from collections.abc import Iterator

import torch

from trainables.run.loop import Run
from trainables.trial import Record, Trial


def records(trial: Trial, device: str | torch.device | None = None) -> Iterator[Record]:
    """Train a trial here, one record after another.

    Args:
        trial: what is trained; its data and its model are made at once, before the first record is asked for.
        device: by default the GPU, if there is one.

    Returns:
        The records, each computed when it is asked for.

    >>> trial = Trial.parse({"task": "quadratic", "batch_size": "full", "scheme.lr": 1.0, "epochs": 2})
    >>> [record.epoch for record in records(trial, "cpu")]
    [1.0, 2.0]
    """
    torch.set_num_threads(trial.threads)
    run = Run(trial, device or ("cuda" if torch.cuda.is_available() else "cpu"))
    _ = run.flops_per_example  # counted now, once: the time of an epoch is that of its steps and its evaluation
    return iter(run)
