"""The cost of a rule: time, FLOPs and memory of one training step, as multiples of plain SGD's, and its price."""

import statistics
import weakref
from collections.abc import Mapping
from typing import Any, NamedTuple
from weakref import WeakSet

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from trainables.price import differ
from trainables.refusal import Refusal
from trainables.run.flops import Flops
from trainables.run.loop import Run
from trainables.run.pricing import gradient, seconds
from trainables.trial import Trial

BASE = "sgd"
WARM_UP = 5  # steps before the first that counts: compilation, and what is allocated once


class Overhead(NamedTuple):
    """One training step of a rule; the multiples are of plain SGD's on the same task, device and precision."""

    name: str
    seconds: float  # median
    time: float  # median over rounds of the ratio to SGD's step of the same round
    flops: float  # of products (matrices, convolutions), as torch counts them
    memory: float  # parameters, state, and the most that the step holds besides
    passes: float  # gradients that the step asked for, as records count them
    gradients: float  # median over rounds of the ratio to one forward and backward of the step's own mini-batch
    refused: str = ""  # why there are no numbers

    @property
    def differs(self) -> bool:
        """True where the price that was measured and the one that is counted differ by more than a quarter."""
        return not self.refused and differ(self.gradients, self.passes)


class _Measured(NamedTuple):
    seconds: list[float]
    passes: float
    gradients: list[float]
    flops: float
    memory: float


def overhead(
    common: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]], steps: int = 30, device: str = "cpu"
) -> list[Overhead]:
    """The overhead of each row, `common` and the row's own keys making a trial; the first is plain SGD.

    Steps are interleaved, one of every rule a round and before it one gradient of its mini-batch, so that what else the
    machine does hits all alike.

    Args:
        common: keys of all trials: task, batch size, precision
        rows: the keys of each rule, by name
        steps: how many are measured
        device: as torch names it

    Returns:
        Plain SGD, then one entry a row, those that cannot run last, with the reason.

    >>> first, *_ = overhead({"task": "quadratic"}, {}, steps=3)
    >>> first.name, first.time, first.flops, first.memory
    ('sgd', 1.0, 1.0, 1.0)
    """
    base = Run(Trial.parse({**common, "direction": "sgd", "scheme": "fixed", "compile": False}), device)
    runs, refused = {BASE: base}, dict[str, str]()
    for name, row in rows.items():
        try:
            runs[name] = Run(Trial.parse({**common, **row}), device)
        except Refusal as refusal:
            refused[name] = str(refusal)
    with torch.random.fork_rng():
        measured = _measured(runs, steps)
    least = measured[BASE]
    found = [_compared(name, own, least) for name, own in measured.items()]
    nothing = dict.fromkeys(Overhead._fields[1:-1], float("nan"))
    return found + [Overhead(name=name, **nothing, refused=why) for name, why in refused.items()]


def _compared(name: str, own: _Measured, base: _Measured) -> Overhead:
    ratios = [ours / theirs for ours, theirs in zip(own.seconds, base.seconds, strict=True)]
    flops = own.flops / base.flops if base.flops else 1.0
    multiples = statistics.median(ratios), flops, own.memory / base.memory
    gradients = [step / gradient for step, gradient in zip(own.seconds, own.gradients, strict=True)]
    return Overhead(name, statistics.median(own.seconds), *multiples, own.passes, statistics.median(gradients))


def _measured(runs: Mapping[str, Run], steps: int) -> dict[str, _Measured]:
    for run in runs.values():
        torch.set_num_threads(run.trial.threads)
        for _ in range(WARM_UP):
            run.step()
    steps_of, gradients = ({name: list[float]() for name in runs} for _ in range(2))
    before = {name: run.passes for name, run in runs.items()}
    for _ in range(steps):
        for name, run in runs.items():
            gradients[name].append(seconds(gradient(run), run.device) / run.trial.accumulate)
            steps_of[name].append(seconds(run.step, run.device))
    passes = {name: (run.passes - before[name]) / steps for name, run in runs.items()}
    return {
        name: _Measured(steps_of[name], passes[name], gradients[name], _flops(run), _bytes(run))
        for name, run in runs.items()
    }


def _flops(run: Run) -> float:
    """Of one step; a compiled update has no products of its own that would be missed."""
    with Flops() as counted:  # torch's own counter follows modules by hooks, from which no curvature is recorded
        run.step()
    return float(counted.total)


def _bytes(run: Run) -> float:
    """Parameters and state, and the most that one step holds besides."""
    held = [leaf.untyped_storage() for leaf in _tensors((run.params, run.buffers, run.trial.rule.save(run.rule_state)))]
    storages = {storage.data_ptr(): storage.nbytes() for storage in held}
    if run.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(run.device)
        before = torch.cuda.memory_allocated(run.device)
        run.step()
        most = torch.cuda.max_memory_allocated(run.device) - before
    else:
        with Allocations() as seen:
            run.step()
        most = seen.most
    return sum(storages.values()) + most


class Allocations(TorchDispatchMode):
    """Counts the bytes of tensors made inside it: those alive now, and the most at any moment.

    What a kernel or a compiled function allocates within itself is not seen.

    >>> with Allocations() as seen:
    ...     a = torch.zeros(1000)
    ...     b = a + 1
    ...     del a
    ...     c = b.exp_()[:10]
    >>> seen.alive, seen.most
    (4000, 8000)
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive, self.most = 0, 0
        self._known = WeakSet[Any]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for tensor in _tensors((args, kwargs)):
            self._known.add(tensor.untyped_storage())  # made before, or counted already
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage not in self._known:
                self._known.add(storage)
                self.alive += storage.nbytes()
                self.most = max(self.most, self.alive)
                weakref.finalize(storage, self._freed, storage.nbytes())
        return result

    def _freed(self, size: int) -> None:
        self.alive -= size


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]
