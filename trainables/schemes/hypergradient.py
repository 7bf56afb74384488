"""Hypergradient descent: the rate itself goes downhill, by the gradient of the last step's effect."""

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from trainables.oracle import Tensors, products, total
from trainables.schemes import Known, Rate, Scheme
from trainables.space import LogUniform, searched, setting


class Memory(NamedTuple):
    """The memory that the next hypergradient needs."""

    lr: Tensor  # α, a scalar
    previous: Tensors  # the last step's direction, shaped like the parameters; 0 before the first


@dataclass(frozen=True)
class Hypergradient(Scheme):
    """α_t = α_{t−1} + β ⟨g_t, d_{t−1}⟩, then θ_{t+1} = θ_t − α_t d_t  (Baydin et al. 2018, arXiv 1703.04782, eq. 5–8).

    d is whatever the direction made of the gradient: g (SGD-HD), v (momentum), g + μv (SGDN-HD), m̂/(√v̂+ε) (Adam-HD),
    and −⟨g_t, d_{t−1}⟩ is the derivative of this mini-batch's loss by the rate of the last step, but for decoupled
    decay, which stands outside of d. g includes coupled weight decay. The first step has no hypergradient. The
    `multiplicative` form is
    α_t = α_{t−1}(1 + β ⟨g_t, d_{t−1}⟩/(‖g_t‖ ‖d_{t−1}‖)).

    α₀ is `lr`, β is `beta`: 1e-3 in the paper for SGD-HD and SGDN-HD, 1e-7 or 1e-8 for Adam-HD, about 0.05 for the
    multiplicative form. As in the paper nothing keeps α from going negative; `multilevel` has such safeguards.
    One-step hypergradients are biased to small rates (Wu et al. 2018, arXiv 1803.02021).

    >>> from trainables.schemes import Gradients
    >>> scheme, params = Hypergradient(lr=0.1, beta=0.01), {"w": torch.zeros(2)}
    >>> state, g = scheme.init(params), {"w": torch.tensor([3.0, 4.0])}
    >>> for _ in range(2):  # the second time ⟨g, d⟩ = 25
    ...     rate, state = scheme.rate(Known(None, Gradients(g, g), g, state, params, torch.tensor(0.0)))
    >>> round(rate.base.item(), 6)
    0.35
    """

    elementwise: ClassVar[bool] = True
    lr: float = searched(LogUniform(1e-6, 1e1), default=1e-3, valid=(0.0, float("inf")))
    beta: float = searched(LogUniform(1e-10, 1.0), default=1e-3, valid=(0.0, float("inf")))
    form: Literal["additive", "multiplicative"] = setting("additive")

    def init(self, params: Tensors) -> Memory:
        """The rate is lr, and there is no direction yet."""
        zeros = {name: torch.zeros_like(param) for name, param in params.items()}
        return Memory(scalar(self.lr, params), zeros)

    def rate(self, known: Known) -> tuple[Rate, Memory]:
        """The rate after one step on itself."""
        grads = known.grads
        state: Memory = known.state
        slope = total(products(grads.decayed, state.previous))
        if self.form == "additive":
            lr = state.lr + self.beta * slope
        else:
            squares = (total(products(tensors, tensors)) for tensors in (grads.decayed, state.previous))
            lr = state.lr * (1 + self.beta * cosine(slope, *squares))
        return Rate(lr), Memory(lr, known.direction)


def scalar(value: float | Tensor, params: Tensors) -> Tensor:
    """Make a scalar of a state, on the device of the parameters so that no step waits for a copy.

    Args:
        value: a number, or a tensor under `vmap`
        params: by name; the CPU is the device where there are none

    Returns:
        A tensor of no dimension, in float64.
    """
    device = next(iter(params.values())).device if params else None
    return torch.as_tensor(value, dtype=torch.float64, device=device)


def cosine(product: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """⟨a, b⟩/(‖a‖ ‖b‖), and 0 where one of them has no length.

    Args:
        product: ⟨a, b⟩
        left: ‖a‖²
        right: ‖b‖²

    Returns:
        The cosine, in the common shape of the three.

    >>> cosine(torch.tensor([3.0, 0.0]), torch.tensor([9.0, 1.0]), torch.tensor([4.0, 0.0])).tolist()
    [0.5, 0.0]
    """
    lengths = left.sqrt() * right.sqrt()
    return torch.where(lengths > 0, product / torch.where(lengths > 0, lengths, 1.0), 0.0)
