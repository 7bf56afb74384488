"""Dropout whose masks are drawn beforehand: the very draws that torch makes inside of a network, made outside of it."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

DROPOUTS = (functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d)


class Site(NamedTuple):
    """A place in a network at which it drops something."""

    kind: Any  # one of DROPOUTS
    ones: Tensor  # laid out in memory as what is dropped: the order of the draws follows it
    share: float  # that is dropped

    def mask(self) -> Tensor:
        """The factors of one call, drawn from torch's global generator as the network itself would draw them."""
        return self.kind(self.ones, self.share)


class Noted(TorchFunctionMode):
    """Notes the dropouts of the network that runs below it.

    >>> with Noted() as noted:
    ...     _ = torch.nn.Dropout(0.5)(torch.zeros(2, 3))
    >>> [(site.share, tuple(site.ones.shape)) for site in noted.sites]
    [(0.5, (2, 3))]
    """

    def __init__(self) -> None:
        super().__init__()
        self.sites: list[Site] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in DROPOUTS and kwargs["training"]:
            self.sites.append(Site(func, torch.ones_like(args[0].detach()), kwargs["p"]))
        return func(*args, **(kwargs or {}))


class Answered(TorchFunctionMode):
    """Answers the dropouts of the network that runs below it with masks, in the order of its calls.

    >>> with Answered([torch.tensor([2.0, 0.0])]):
    ...     torch.nn.Dropout(0.5)(torch.tensor([3.0, 4.0]))
    tensor([6., 0.])
    """

    def __init__(self, masks: Iterable[Tensor]) -> None:
        super().__init__()
        self._masks = iter(masks)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in DROPOUTS and kwargs["training"]:
            return args[0] * next(self._masks)
        return func(*args, **(kwargs or {}))
