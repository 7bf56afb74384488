"""A recurrent network that spells: the next character of Shakespeare."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from trainables.space import setting
from trainables.tasks.shakespeare import NUM_CHARACTERS, Shakespeare


class Speller(nn.Module):
    """Characters (batch, length) to the logits of the next ones (batch, length, characters)."""

    def __init__(self, hidden: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(NUM_CHARACTERS, hidden)
        self.gru = nn.GRU(hidden, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, NUM_CHARACTERS)

    def forward(self, characters: Tensor) -> Tensor:
        return self.head(self.dropout(self.gru(self.embedding(characters))[0]))


@dataclass(frozen=True)
class ShakespeareGRU(Shakespeare):
    """A gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), its state 0 at the start of every window."""

    # lr-study target shakespeare_gru --epochs 5 --trials 32 --seeds 5; 2026-11-24
    target: ClassVar[float | None] = 2.50928

    hidden: int = setting(128, valid=(1, 100_000))
    layers: int = setting(1, valid=(1, 100))
    dropout: float = setting(0.0, valid=(0.0, 0.95))

    def model(self) -> nn.Module:
        """Embedding, recurrent layers, and a linear layer."""
        return Speller(self.hidden, self.layers, self.dropout)
