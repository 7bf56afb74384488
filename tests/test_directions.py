"""Every direction: the promises of its suite, and torch.optim's own trajectory."""

import pytest
import torch

from trainables.components import members
from trainables.directions import Direction
from trainables.directions.adam import Adam
from trainables.directions.momentum import Momentum, Nesterov
from trainables.directions.sgd import SGD
from trainables.rules import Composed, Coupled, Decoupled
from trainables.schemes.fixed import Fixed
from trainables.testing import DirectionSuite, noisy_bowl, steps, two_layers


class TestDirections(DirectionSuite):
    @pytest.fixture(params=members(Direction).values(), ids=members(Direction))
    def direction(self, request):
        return request.param()


def of_torch(optimizer, count, **settings):
    """The parameters after `count` steps of torch's own optimizer down the same bowl."""
    leaves = {name: param.requires_grad_() for name, param in two_layers().items()}
    theirs = optimizer(leaves.values(), **settings)
    for step in range(count):
        _, gradient = noisy_bowl(step).gradient(leaves)
        for name, leaf in leaves.items():
            leaf.grad = gradient[name]
        theirs.step()
    return {name: leaf.detach() for name, leaf in leaves.items()}


@pytest.mark.parametrize(
    ("rule", "optimizer", "settings"),
    [
        (Composed(SGD(), Fixed(lr=0.1)), torch.optim.SGD, {"lr": 0.1}),
        (Composed(SGD(), Fixed(lr=0.1), Coupled(0.05)), torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.05}),
        (Composed(Momentum(0.8), Fixed(lr=0.02)), torch.optim.SGD, {"lr": 0.02, "momentum": 0.8}),
        (
            Composed(Momentum(0.8), Fixed(lr=0.02), Coupled(0.05)),
            torch.optim.SGD,
            {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.05},
        ),
        (
            Composed(Nesterov(0.8), Fixed(lr=0.02), Coupled(0.05)),
            torch.optim.SGD,
            {"lr": 0.02, "momentum": 0.8, "weight_decay": 0.05, "nesterov": True},
        ),
        (Composed(Adam(), Fixed(lr=0.01)), torch.optim.Adam, {"lr": 0.01}),
        (
            Composed(Adam(0.8, 0.99, 1e-6), Fixed(lr=0.01), Coupled(0.05)),
            torch.optim.Adam,
            {"lr": 0.01, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 0.05},
        ),
        (Composed(Adam(), Fixed(lr=0.01), Decoupled(0.1)), torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    ],
)
def test_fifty_steps_equal_torch_optim(rule, optimizer, settings):
    ours, _ = steps(rule, 50)
    theirs = of_torch(optimizer, 50, **settings)
    for name, param in ours.items():
        torch.testing.assert_close(param, theirs[name], rtol=0, atol=1e-12)
