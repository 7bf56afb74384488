"""The time of a training by what it was spent on: phases of its steps, and the dearest functions."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from cProfile import Profile as Profiler
from cProfile import label
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.data.dataloader import _BaseDataLoaderIter

from trainables.run.course import Course
from trainables.run.loop import Run

ROWS = 12  # of the dearest functions


class CallTime(NamedTuple):
    """The seconds that a function took."""

    name: str
    calls: int
    own: float  # in itself
    whole: float  # with all that it called


class Profile:
    """Python's own profiler around a training, in the thread that trains.

    It makes every call of a Python function dearer, and not what runs below Python: among many small operations the
    shares of Python are told too high. On a GPU each operation is waited for, so that its time falls where it was
    asked for; make the profile before anything is on the GPU.
    """

    def __init__(self) -> None:
        os.environ.setdefault("CUDA_LAUNCH_BLOCKING", "1")  # CUDA reads it when it starts
        self._profiler, self.seconds = Profiler(), 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what this thread does."""
        started = time.perf_counter()
        self._profiler.enable()
        try:
            yield
        finally:
            self._profiler.disable()
            self.seconds += time.perf_counter() - started

    def phases(self) -> dict[str, float]:
        """Seconds by phase, all of them together those that were watched.

        Of a loop that is not `Run` it is known what torch's own parts take, whoever asks them: the passes of an
        evaluation, or of a closure that an optimizer calls, are in `forward` as well.
        """
        stats = self._stats()

        def whole(*functions: Callable[..., Any] | CodeType) -> float:
            codes = [one if isinstance(one, CodeType) else one.__code__ for one in functions]  # type: ignore[attr-defined]
            return sum(stats[label(code)].whole for code in codes if label(code) in stats)

        backward = whole(torch.autograd.grad, torch.autograd.backward)
        step, evaluation = whole(Run.step), whole(Run._record)
        if step:
            parts = {"data": whole(Course.batches), "forward": whole(_objective()), "backward": backward}
            parts |= {"update": max(0.0, step - sum(parts.values())), "evaluation": evaluation}
        else:
            parts = {"data": whole(_BaseDataLoaderIter.__next__), "forward": whole(nn.Module._wrapped_call_impl)}
            parts |= {"backward": backward, "optimizer": whole(_optimizers_step())}
        return {**parts, "other": max(0.0, self.seconds - sum(parts.values()))}

    def dearest(self, count: int = ROWS) -> list[CallTime]:
        """The functions that took the most time in themselves."""
        return sorted(self._stats().values(), key=lambda spent: -spent.own)[:count]

    def table(self) -> list[str]:
        """Phases and dearest functions as lines of text."""
        if not self.seconds:
            return ["nothing was trained: there is no time to tell of"]
        lines = [f"{self.seconds:.2f} s under the profiler, which makes Python look dearer than it is"]
        for name, seconds in self.phases().items():
            lines.append(f"  {name:<12}{seconds:9.2f} s {seconds / self.seconds:5.0%}")
        lines.append(f"  {'calls':>9} {'own s':>8} {'whole s':>8}  dearest functions")
        return lines + [f"  {one.calls:9} {one.own:8.3f} {one.whole:8.3f}  {one.name}" for one in self.dearest()]

    def _stats(self) -> dict[Any, CallTime]:
        self._profiler.create_stats()
        stats: dict[Any, Any] = self._profiler.stats  # type: ignore[assignment]  — by (file, line, name)
        return {place: CallTime(_name(place), calls, own, whole) for place, (_, calls, own, whole, _) in stats.items()}


def _objective() -> CodeType:
    """The function inside of `Run.objective`, which computes the loss of a mini-batch."""
    codes = [code for code in Run.objective.__code__.co_consts if isinstance(code, CodeType)]
    return next(code for code in codes if code.co_name == "objective")


def _optimizers_step() -> CodeType:
    """The function that torch puts around the step of every optimizer."""
    wrapped: Any = torch.optim.Optimizer.profile_hook_step(lambda *_: None)
    return wrapped.__code__


def _name(place: tuple[str, int, str]) -> str:
    """A function by its name and file.

    >>> _name(("/lib/torch/nn/functional.py", 7, "relu")), _name(("~", 0, "<built-in method torch._C._nn.linear>"))
    ('relu (nn/functional.py:7)', 'torch._C._nn.linear')
    """
    file, line, name = place
    if file == "~":
        return name.removeprefix("<").removesuffix(">").removeprefix("built-in method ")
    return f"{name} ({'/'.join(Path(file).parts[-2:])}:{line})"
