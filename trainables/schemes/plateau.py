"""Decay on plateau: the rate falls when the validation score has stopped improving."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from trainables.oracle import Tensors
from trainables.schemes import Known, Rate, Scheme
from trainables.space import LogUniform, searched, setting


class Watch(NamedTuple):
    """The memory of the validation score; scalars, of no dimension."""

    factor: Tensor  # the product of all drops so far
    best: Tensor  # the best score so far
    waited: Tensor  # evaluations since then


@dataclass(frozen=True)
class Plateau(Scheme):
    """rate ← factor · rate whenever `patience` evaluations in a row have not improved the validation score.

    The classical rule ε ← 0.1 ε (Goodfellow, Bengio & Courville 2016, section 8.3); the oracle in the tests
    is torch's `ReduceLROnPlateau(mode="max", threshold=0)`, which waits one evaluation longer for equal `patience`.

    >>> scheme = Plateau(factor=0.5, patience=1)
    >>> state = scheme.init({})
    >>> for score in (0.8, 0.8):
    ...     state = scheme.after_epoch(state, score)
    >>> state.factor.item()
    0.5
    """

    elementwise: ClassVar[bool] = True
    blind: ClassVar[bool] = True
    lr: float = searched(LogUniform(1e-5, 1e1), default=0.1, valid=(0.0, float("inf")))
    factor: float = setting(0.1, valid=(0.0, 1.0))
    patience: int = setting(2, valid=(1, 1_000_000))

    def init(self, params: Tensors) -> Watch:
        """Nothing seen yet: best = −∞."""
        one = torch.ones((), dtype=torch.float64)
        return Watch(one, torch.full_like(one, -torch.inf), torch.zeros_like(one))

    def rate(self, known: Known) -> tuple[Rate, Watch]:
        """The rate after all drops so far."""
        return Rate(self.lr * known.state.factor), known.state

    def after_epoch(self, state: Watch, valid_score: float) -> Watch:
        """One evaluation more: a new best resets the wait, the `patience`-th miss drops the rate."""
        improved = state.best < valid_score
        waited = torch.where(improved, 0.0, state.waited + 1)
        drops = waited >= self.patience
        return Watch(
            factor=torch.where(drops, self.factor * state.factor, state.factor),
            best=torch.where(improved, valid_score, state.best),
            waited=torch.where(drops, 0.0, waited),
        )
