"""A small transformer of many tensors that spells: the next character of Shakespeare."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.refusal import Refusal
from trainables.space import setting
from trainables.tasks.shakespeare import NUM_CHARACTERS, Shakespeare


class Block(nn.Module):
    """Attention to what came before, then two linear layers, each on the normalised sum of all before it."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_layers = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attend(self.before_attention(x)))
        return x + self.dropout(self.layers(self.before_layers(x)))

    def attend(self, x: Tensor) -> Tensor:
        """Mix into every place the places up to itself, as it asks for them."""
        parts = self.query_key_value(x).chunk(3, -1)
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(seen.transpose(1, 2).flatten(-2))


class Decoder(nn.Module):
    """Characters (batch, length) to the logits of the next ones (batch, length, characters)."""

    def __init__(self, length: int, width: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.characters, self.places = nn.Embedding(NUM_CHARACTERS, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, NUM_CHARACTERS)

    def forward(self, characters: Tensor) -> Tensor:
        places = torch.arange(characters.shape[1], device=characters.device)
        return self.head(self.norm(self.blocks(self.characters(characters) + self.places(places))))


@dataclass(frozen=True)
class ShakespeareTransformer(Shakespeare):
    """A decoder of pre-norm blocks (Vaswani et al. 2017, arXiv 1706.03762; Radford et al. 2019).

    Twelve layers of width 48: 150 tensors, most of them small, as networks that people train have them.
    """

    # at half of these epochs (at their end 3.75781): lr-study target shakespeare_transformer batch_size=32
    # --epochs 0.25 --trials 32 --seeds 20 --record-every 0.025; 2026-11-29
    target: ClassVar[float | None] = 3.86583

    width: int = setting(48, valid=(1, 10_000))
    layers: int = setting(12, valid=(1, 1000))
    heads: int = setting(4, valid=(1, 1000))
    dropout: float = setting(0.0, valid=(0.0, 0.95))

    def check(self) -> None:
        """Refuses heads that do not divide the width."""
        super().check()
        if self.width % self.heads:
            raise Refusal(f"width must be a multiple of heads, got {self.width} and {self.heads}")

    def model(self) -> nn.Module:
        """Embeddings of characters and places, blocks, and a linear layer."""
        return Decoder(self.length, self.width, self.layers, self.heads, self.dropout)
