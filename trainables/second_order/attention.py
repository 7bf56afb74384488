# ruff: noqa: A002 — the arguments have torch's names
"""Second-order jets of softmax, and of attention by its parts."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order.jets import Jet, Lifted, plus, times
from trainables.second_order.products import product_jet


def softmax(input: Tensor, dim: int | None = None, _stacklevel: Any = 3, dtype: Any = None) -> Lifted | None:
    """P = softmax X along `dim`."""
    if dim is None or dtype is not None or not isinstance(_stacklevel, int):
        return None
    value = torch.softmax(input, dim)
    return Lifted(value, (input,), lambda dx: softmax_jet(value, dx, dim))


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: Any = 3, dtype: Any = None) -> Lifted | None:
    """L = log softmax X, P = exp L:  L̇ = c = Ẋ − ΣPẊ,  L̈ = Ẍ − ΣPẌ − ΣPc²."""
    if dim is None or dtype is not None or not isinstance(_stacklevel, int):
        return None
    value = torch.log_softmax(input, dim)
    return Lifted(value, (input,), lambda dx: Jet(*_centred(value.exp(), dx, dim)))


def softmax_jet(value: Tensor, dx: Jet, dim: int) -> Jet:
    """Ṗ = Pc with c = Ẋ − ΣPẊ,  P̈ = P(c² − ΣPc² + Ẍ − ΣPẌ), sums along `dim`.

    Args:
        value: P
        dx: of X
        dim: along which P sums to 1
    """
    centred, bent = _centred(value, dx, dim)
    if centred is None or bent is None:
        return Jet()
    return Jet(value * centred, value * (centred.square() + bent))


def _centred(probabilities: Tensor, dx: Jet, dim: int) -> tuple[Tensor | None, Tensor | None]:
    """c = Ẋ − ΣPẊ and its derivative, Ẍ − ΣPẌ − ΣPc²."""

    def mean(tensor: Tensor) -> Tensor:
        return (probabilities * tensor).sum(dim, keepdim=True)

    if dx.first is None:
        return None, None
    centred = dx.first - mean(dx.first)
    pulled = None if dx.second is None else dx.second - mean(dx.second)
    return centred, plus(pulled, (-mean(centred.square())).expand_as(centred))


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Lifted | None:
    """Y = PV with P = softmax(sQKᵀ + M), some of it dropped: the jets of two products and a softmax between them."""
    if enable_gqa or (attn_mask is not None and attn_mask.requires_grad):
        return None
    state = _noise(query.device) if dropout_p else None
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale)
    kept = None if state is None else _mask_drawn_at(state, (*out.shape[:-1], key.shape[-2]), out, dropout_p)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    pairs = out[..., 0].numel() * key.shape[-2]

    def jet(dq: Jet, dk: Jet, dv: Jet) -> Jet:
        turned, tilted = key.transpose(-2, -1) * factor, Jet(_turned(dk.first, factor), _turned(dk.second, factor))
        scores = query @ turned
        mask = _added(scores, attn_mask, is_causal)
        probabilities = torch.softmax(scores if mask is None else scores + mask, -1)
        if mask is not None:  # who may look at nothing sees nothing, as in torch
            probabilities = probabilities.masked_fill((mask == -math.inf).all(-1, keepdim=True), 0.0)
        inner = product_jet(query, turned, dq, tilted)
        moved = softmax_jet(probabilities, inner, -1)
        if kept is not None:
            probabilities, moved = probabilities * kept, Jet(times(kept, moved.first), times(kept, moved.second))
        outer = product_jet(probabilities, value, moved, dv)
        return outer._replace(macs=outer.macs + inner.macs + pairs * query.shape[-1])

    return Lifted(out, (query, key, value), jet, macs=float(pairs * (query.shape[-1] + value.shape[-1])))


def _noise(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _mask_drawn_at(state: Tensor, shape: tuple[int, ...], like: Tensor, p: float) -> Tensor:
    """The mask that torch has drawn for probabilities of that shape; its generator is left as it stands."""
    ones = torch.ones(shape, dtype=like.dtype, device=like.device, requires_grad=True)
    with torch.random.fork_rng(devices=[like.device] if like.device.type == "cuda" else []):
        torch.cuda.set_rng_state(state, like.device) if like.device.type == "cuda" else torch.set_rng_state(state)
        return functional.dropout(ones, p, True).detach()


def _turned(tangent: Tensor | None, factor: float) -> Tensor | None:
    return None if tangent is None else tangent.transpose(-2, -1) * factor


def _added(scores: Tensor, mask: Tensor | None, causal: bool) -> Tensor | None:
    """The mask as a summand: −∞ where nobody may look."""
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is None or mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, -math.inf)
