"""Counts floating-point operations. torch's own counter would import its compiler: seconds, in every process."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


def _recurrent() -> dict[Any, Any]:
    """Formulas of recurrent layers that are one operation: each step multiplies all their matrices by a batch.

    Backwards it is twice that, the gradient of the layer's inputs included, asked for or not.
    """
    aten = torch.ops.aten

    def forward(inputs: Any, weights: Any, *rest: Any, **others: Any) -> int:
        every = weights if isinstance(weights, list | tuple) else [weights, rest[0]]
        rows = inputs.numel() // inputs.shape[-1]
        return 2 * rows * sum(each.numel() for each in every if each.dim() > 1)

    def backward(*given: Any, **others: Any) -> int:
        return 2 * forward(*given)

    both = {"mkldnn_rnn_layer": forward, "mkldnn_rnn_layer_backward": backward}
    both |= {"_cudnn_rnn": forward, "_cudnn_rnn_backward": backward}
    return {getattr(aten, name): formula for name, formula in both.items() if hasattr(aten, name)}


class Flops(TorchDispatchMode):
    """The floating-point operations of products (matrices, convolutions, recurrent layers) below it.

    A product of n×m and m×k matrices takes 2nmk; what works on each element counts nothing.

    >>> import torch
    >>> with Flops() as counted:
    ...     _ = torch.ones(2, 3) @ torch.ones(3, 5)
    >>> counted.total
    60
    """

    def __init__(self) -> None:
        from torch.utils.flop_counter import flop_registry  # imports triton, which nobody else here needs

        super().__init__()
        self.total, self._formulas = 0, {**flop_registry, **_recurrent()}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else every first call imports torch._dynamo

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = self._formulas.get(func._overloadpacket)
        if formula is None:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        out = func(*args, **kwargs)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=out)
        return out
