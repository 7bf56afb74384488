"""The control of a scheme that shrinks its rate: the same base, shrunk everywhere alike, by a measured curve."""

import math
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.oracle import Tensors
from trainables.refusal import Refusal
from trainables.schedules import Constant, Schedule
from trainables.schemes import Known, Rate, Scheme
from trainables.space import LogUniform, searched, setting


class Memory(NamedTuple):
    """The memory that the record is told from."""

    scale: Tensor  # the last m(progress), a scalar


class Piece(NamedTuple):
    """The curve from one moment up to the next piece."""

    start: float  # progress, in [0, 1)
    scale: float


@dataclass(frozen=True)
class Control(Scheme):
    """rate = lr · schedule(progress) · m(progress), m a curve of constant pieces.

    A study derives m from another arm (`control_of: cprop`): the mean of that arm's s over all elements and over the
    steps between two of its records, so that up to every record the sums of both rates agree. What CProp
    (Preechakul & Kijsirikul 2019, arXiv 1912.11493) gains over its control it gains by telling elements apart, not
    by a smaller rate.

    `scales` writes m as `start:scale` pairs, starts in progress. Decoupled decay sees lr · schedule alone, as with
    CProp.

    >>> from trainables.schemes import Gradients
    >>> scheme = Control(lr=0.1, scales="0:1 0.5:0.25")
    >>> params, grads = {"w": torch.zeros(3)}, Gradients({}, {})
    >>> for progress in (0.0, 0.49, 0.5):
    ...     rate, _ = scheme.rate(Known(None, grads, {}, scheme.init(params), params, torch.tensor(progress)))
    ...     print(round((rate.base * rate.scale["w"]).item(), 6))
    0.1
    0.1
    0.025
    """

    elementwise: ClassVar[bool] = True
    blind: ClassVar[bool] = True
    lr: float = searched(LogUniform(1e-5, 1e1), default=0.1, valid=(0.0, float("inf")))
    schedule: Schedule = field(default_factory=Constant)
    scales: str = setting("0:1")

    @property
    def scaled(self) -> bool:
        """Always: m."""
        return True

    def check(self) -> None:
        """Refuses what is no curve."""
        curve = pieces(self.scales)
        starts = [piece.start for piece in curve]
        rising = all(left < right for left, right in zip(starts, [*starts[1:], 1.0], strict=True))
        if starts[0] != 0 or not rising or any(not 0 <= piece.scale < math.inf for piece in curve):
            raise _no_curve(self.scales)

    def init(self, params: Tensors) -> Memory:
        """Nothing is remembered but for the record."""
        return Memory(torch.ones((), dtype=torch.float64))

    def rate(self, known: Known) -> tuple[Rate, Memory]:
        """The schedule's rate, and m of this moment for every element."""
        starts, scales = known.progress.new_tensor(pieces(self.scales), dtype=torch.float64).unbind(1)
        scale = scales[(starts <= known.progress).sum() - 1]
        return Rate(self.lr * self.schedule(known.progress), dict.fromkeys(known.params, scale)), Memory(scale)

    def extras(self, state: Memory) -> dict[str, Tensor]:
        """`scale`: m at the last step."""
        return {"scale": state.scale}


def pieces(scales: str) -> list[Piece]:
    """The curve that `scales` writes.

    >>> pieces("0:1 0.5:0.25")
    [Piece(start=0.0, scale=1.0), Piece(start=0.5, scale=0.25)]
    """
    try:
        pairs = [pair.split(":") for pair in scales.split()]
        curve = [Piece(float(start), float(scale)) for start, scale in pairs]
    except ValueError:
        curve = []
    if not curve:
        raise _no_curve(scales)
    return curve


def _no_curve(scales: str) -> Refusal:
    return Refusal(f"scheme.scales needs start:scale pairs, starts rising from 0 and below 1, got {scales!r}")
