"""The closure of somebody's training loop, as the objective of an oracle."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from trainables.oracle import Tensors
from trainables.refusal import Refusal


def check_alone(scheme: str) -> None:
    """Refuses a training by several processes, whose replicas would drift apart, each stepping by its own gradient.

    Args:
        scheme: that asks for a closure; DDP shares what `backward()` leaves in .grad, which such a scheme does not read
    """
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        raise Refusal(
            f"scheme {scheme!r} steps by what DDP does not share among processes, and here are "
            f"{distributed.get_world_size()}: train in one, or by a scheme that reads .grad"
        )


class Closure:
    """The loss that a closure returns, as a function of the parameters: one step of a loop that is not ours.

    While the closure runs, the loop's own parameters hold the values asked for. Only the first call moves the
    module's buffers (BatchNorm's statistics) and torch's global generators, as a loop does that calls its model once
    a step; the later ones see the same noise and leave both as the first has left them.

    >>> weight = nn.Parameter(torch.tensor([2.0]))
    >>> objective = Closure(lambda: weight.square().sum(), {"w": weight})
    >>> objective({"w": torch.tensor([3.0])}).item(), weight.item()
    (9.0, 2.0)
    """

    def __init__(self, function: Callable[[], Any], params: Tensors, module: nn.Module | None = None) -> None:
        """`params` are the loop's leaves by name; of a `module`, the buffers move once."""
        self._function, self._params = function, params
        modules = [] if module is None else [*module.modules()]
        self._buffers = [
            (each._buffers, name, buffer.detach().clone())
            for each in modules
            for name, buffer in each._buffers.items()
            if buffer is not None
        ]
        self._cuda = sorted({param.device.index for param in params.values() if param.is_cuda})
        self._noise: list[Tensor] | None = None  # the generators before the first call

    def __call__(self, values: Tensors) -> Tensor:
        """The loss at `values`, gradients enabled, as torch's optimizers call their closures."""
        with self.leaves(values), torch.enable_grad():
            if self._noise is None:
                self._noise = [torch.get_rng_state(), *(torch.cuda.get_rng_state(index) for index in self._cuda)]
                return self._loss()
            with torch.random.fork_rng(self._cuda), _copies(self._buffers):
                torch.set_rng_state(self._noise[0])
                for index, state in zip(self._cuda, self._noise[1:], strict=True):
                    torch.cuda.set_rng_state(state, index)
                return self._loss()

    @contextmanager
    def leaves(self, values: Tensors) -> Iterator[Tensors]:
        """The loop's own parameters, holding `values` for the time being."""
        with _holding((param, values[name].detach()) for name, param in self._params.items()):
            yield self._params

    def _loss(self) -> Tensor:
        """The closure's value, with torch's own kind of closure refused: one that calls backward() leaves gradients."""
        torch.clear_autocast_cache()  # of what the leaves were before: the loop's own autocast would not look again
        kept = [param.grad for param in self._params.values()]
        try:
            for param in self._params.values():
                param.grad = None
            loss = self._function()
            if any(param.grad is not None for param in self._params.values()):
                raise Refusal("the closure must return the loss without calling backward(): the scheme asks for more")
        finally:
            for param, grad in zip(self._params.values(), kept, strict=True):
                param.grad = grad
        if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
            raise Refusal(f"the closure must return the loss, one number that depends on the parameters; got {loss!r}")
        return loss.reshape(()) if loss.dim() else loss


@contextmanager
def _copies(buffers: Sequence[tuple[dict[str, Tensor | None], str, Tensor]]) -> Iterator[None]:
    """Copies in the places of a module's buffers for the time being: it may write into them, or assign others.

    buffers: where each stands, under which name, and what is copied.
    """
    own = [(place, name, place[name]) for place, name, _ in buffers]
    try:
        for place, name, before in buffers:
            place[name] = before.clone()
        yield
    finally:
        for place, name, buffer in own:
            place[name] = buffer


@contextmanager
def _holding(pairs: Iterable[tuple[Tensor, Tensor]]) -> Iterator[None]:
    """Tensors that hold other values for the time being."""
    pairs = list(pairs)
    own = [(tensor, _data(tensor)) for tensor, _ in pairs]
    try:
        for tensor, value in pairs:
            tensor.data = value  # not `copy_`, which would spoil the graphs that hold the tensor
        yield
    finally:
        for tensor, value in own:
            tensor.data = value


def _data(tensor: Tensor) -> Tensor:
    """Its values, unseen by who watches what a closure does."""
    with torch._C.DisableTorchFunction():
        return tensor.data
