# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of losses."""

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order.elementary import Slopes, chained
from trainables.second_order.jets import Jet, Lifted, plus, times


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Lifted | None:
    """J = mean_n log Σ_j exp z_nj − ⟨q_n, z_n⟩ with targets q, softmax p, over the rows that are not ignored:

    J̇ = mean_n ⟨p − q, ż⟩,  J̈ = mean_n [Σ_j p_j ż_j² − (Σ_j p_j ż_j)² + ⟨p − q, z̈⟩].
    """
    usual = weight is None and size_average is None and reduce is None and reduction == "mean"
    classes = input.dim() == 2 and not target.is_floating_point()
    if not (usual and classes):
        return None
    value = functional.cross_entropy(input, target, ignore_index=ignore_index, label_smoothing=label_smoothing)

    def jet(dz: Jet) -> Jet:
        if dz.first is None:
            return Jet()
        size, num_classes = input.shape
        kept = target != ignore_index
        # Of each row among all: 0 or, where none is ignored, exactly 1.
        share = (kept * (size / kept.sum(dtype=torch.float64))).to(input.dtype).unsqueeze(1)
        probabilities = torch.softmax(input, 1)
        expected = (probabilities * dz.first).sum(1, keepdim=True)
        spread = (share * probabilities * (dz.first - expected).square()).sum() / size
        hot = functional.one_hot(target.where(kept, 0).long(), num_classes).to(input.dtype)
        aim = hot * (1 - label_smoothing) + label_smoothing / num_classes
        residual = share * (probabilities - aim) / size
        pulled = None if dz.second is None else (residual * dz.second).sum()
        return Jet((residual * dz.first).sum(), plus(spread, pulled))

    return Lifted(value, (input,), jet)


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Lifted | None:
    """J = mean R² with R = X − T:  J̇ = 2 mean RṘ,  J̈ = 2 mean(Ṙ² + RR̈); or their sums."""
    if not (weight is None and size_average is None and reduce is None and reduction in ("mean", "sum")):
        return None
    if input.shape != target.shape:
        return None
    value = functional.mse_loss(input, target, reduction=reduction)

    def jet(dx: Jet, dt: Jet) -> Jet:
        share = 2.0 / input.numel() if reduction == "mean" else 2.0
        residual = input - target
        moved = plus(dx.first, times(-1, dt.first))
        bent = plus(dx.second, times(-1, dt.second))
        if moved is None:
            return Jet()
        curved = plus(moved.square().sum(), None if bent is None else (residual * bent).sum())
        return Jet(share * (residual * moved).sum(), times(share, curved))

    return Lifted(value, (input, target), jet)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Lifted | None:
    """ℓ = −t log p − (1 − t) log(1 − p): ℓ' = (p − t)/p(1 − p),  ℓ'' = (p² − 2pt + t)/p²(1 − p)².

    Both with torch's own smallest denominators: a sigmoid may be 1 to the last bit.
    """
    if size_average is not None or reduce is not None:
        return None
    value = functional.binary_cross_entropy(input, target, weight, reduction=reduction)

    def slopes() -> tuple[Tensor, Tensor]:
        small, rest = 1e-12, 1 - input
        spread = input.square() - 2 * input * target + target
        bend = spread / ((input + small).square() * (rest + small).square())
        return (input - target) / (input * rest).clamp(min=small), bend

    return _pointwise(value, input, slopes, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Lifted | None:
    """ℓ = (1 − t)z + (1 − t + wt) log(1 + e⁻ᶻ): ℓ' = (1 − t) − (1 − t + wt)σ(−z),  ℓ'' = (1 − t + wt)σ(z)σ(−z)."""
    if size_average is not None or reduce is not None:
        return None
    value = functional.binary_cross_entropy_with_logits(
        input, target, weight, reduction=reduction, pos_weight=pos_weight
    )

    def slopes() -> tuple[Tensor, Tensor]:
        share = 1 - target + (target if pos_weight is None else pos_weight * target)
        gate = torch.sigmoid(-input)
        return (1 - target) - share * gate, share * gate * (1 - gate)

    return _pointwise(value, input, slopes, weight, reduction)


def _pointwise(value: Tensor, input: Tensor, slopes: Slopes, weight: Tensor | None, reduction: str) -> Lifted:
    """A loss of each number, weighed, then their mean, their sum, or all of them."""

    def reduced(tangent: Tensor | None) -> Tensor | None:
        weighed = tangent if tangent is None or weight is None else tangent * weight
        if weighed is None or reduction == "none":
            return weighed
        return weighed.sum() / input.numel() if reduction == "mean" else weighed.sum()

    def jet(dx: Jet) -> Jet:
        each = chained(dx, *slopes())
        return Jet(reduced(each.first), reduced(each.second))

    return Lifted(value, (input,), jet)
