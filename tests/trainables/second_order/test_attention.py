"""The rules that attention, gates and groups need, against the dense Hessian: none of these networks falls back."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.trainables.second_order.test_second_order import anywhere, around, check, dense, images, problem


class Block(nn.Module):
    """A pre-norm transformer block of two heads over four tokens of width four."""

    def __init__(self, **settings) -> None:
        super().__init__()
        self.settings = settings
        self.first, self.second = nn.LayerNorm(4), nn.LayerNorm(4)
        self.query, self.key, self.value, self.out = (nn.Linear(4, 4) for _ in range(4))
        self.inside = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(len(x), 4, 4)
        normed = self.first(x)
        heads = [layer(normed).reshape(len(x), 4, 2, 2).transpose(1, 2) for layer in (self.query, self.key, self.value)]
        seen = functional.scaled_dot_product_attention(*heads, **self.settings)
        x = x + self.out(seen.transpose(1, 2).reshape(len(x), 4, 4))
        return (x + self.inside(self.second(x))).flatten(1)


class Tokens(nn.Module):
    """Words looked up, attended to by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(5, 4), nn.Embedding(6, 4)
        self.read = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        words = self.words((x.abs() * 3).long() % 5) + self.places(torch.arange(6))
        seen = torch.softmax(words @ words.transpose(1, 2) / 2, -1) @ words
        return self.read(seen.mean(1))


def block(**settings) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), Block(**settings), nn.Linear(16, 3))


SEES = torch.tensor([[1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]).bool()  # the last one nothing

NETWORKS = {
    "silu": dense(nn.SiLU()),
    "leaky relu": dense(nn.LeakyReLU(0.2)),
    "elu": dense(nn.ELU(1.3)),
    "log": around(lambda x: torch.log(1 + x.square())),
    "quotient": around(lambda x: x / (2 + x.square()) + torch.div(1.0, 3 + x * x) - x / torch.arange(1, 8)),
    "softmax": dense(nn.Softmax(-1)),
    "softmax over examples": around(lambda x: x.softmax(0) * torch.log_softmax(x, 1)),
    "products": around(lambda x: torch.tanh(x @ x.t()) @ x),
    "a product with a constant": around(lambda x: torch.matmul(torch.ones(5, 5, dtype=x.dtype), x) * x),
    "products, broadcast": around(lambda x: torch.matmul(x.reshape(5, 1, 7), x.t().reshape(1, 7, 5))[:, 0] @ x),
    "attention": block(),
    "attention, causal": block(is_causal=True),
    "attention, masked": block(attn_mask=SEES),
    "attention, biased": block(attn_mask=torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(4, 4), scale=0.3),
    "tokens": Tokens(),
    "group norm": nn.Sequential(nn.Linear(6, 8), nn.GroupNorm(2, 8), nn.SiLU(), nn.Linear(8, 3)),
}
IMAGES = {
    "depthwise": images(
        *(nn.GroupNorm(2, 4), nn.SiLU(), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.GroupNorm(1, 4), nn.SiLU()),
        left=64,
    ),
    "plain group norm": images(nn.GroupNorm(2, 4, affine=False), nn.Tanh(), left=64),
}


@pytest.mark.parametrize("name", [*NETWORKS, *IMAGES])
def test_every_network_along_any_direction(name):
    with sdpa_kernel(SDPBackend.MATH):  # for the dense Hessian
        objective, params = problem((NETWORKS | IMAGES)[name], width=72 if name in IMAGES else 6)
        check(objective, params, anywhere(params))
