"""Counts floating-point operations. torch's own counter would import its compiler: seconds, in every process."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Flops(TorchDispatchMode):
    """The floating-point operations of products (matrices, convolutions) below it, by torch's own formulas.

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
        self.total, self._formulas = 0, flop_registry

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
