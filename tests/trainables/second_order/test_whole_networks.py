"""Networks that people train take the fast way, both of them, and no call in them falls back."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.trainables.second_order.test_second_order import anywhere, leaves_of
from trainables.components import find
from trainables.second_order.graph import graph_of
from trainables.second_order.jets import Along
from trainables.second_order.sweep import sweep
from trainables.second_order.tape import Tape, tape_of
from trainables.tasks import Task


class Inverted(nn.Module):
    """A block of MobileNetV2: wide inside, depthwise between, added to its input."""

    def __init__(self, act: type[nn.Module] = nn.ReLU6) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            *(nn.Conv2d(3, 9, 1, bias=False), nn.BatchNorm2d(9), act(inplace=True)),
            *(nn.Conv2d(9, 9, 3, padding=1, groups=9, bias=False), nn.BatchNorm2d(9), act(inplace=True)),
            *(nn.Conv2d(9, 3, 1, bias=False), nn.BatchNorm2d(3)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inside(x)


class Vision(nn.Module):
    """A vision transformer: patches, a token for the class, one pre-norm block."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.token = nn.Conv2d(3, 8, 4, stride=4), nn.Parameter(torch.zeros(1, 1, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, 0.1, "gelu", batch_first=True, norm_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.block(torch.cat([self.token.expand(len(x), -1, -1), patches], 1))[:, 0])


def classifier(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))


def image_problem(network: nn.Module):
    inputs, targets = torch.randn(4, 3, 8, 8, dtype=torch.float64), torch.arange(4)
    return network, lambda call: functional.cross_entropy(call(inputs), targets)


def text_problem(name: str, **settings):
    task = find(Task, name)(length=6, **settings)
    inputs, targets = torch.randint(65, (3, 6)), torch.randint(65, (3, 6))
    return task.model(), lambda call: task.loss(call(inputs), targets)


NETWORKS = {
    "MobileNetV2": lambda: image_problem(classifier(Inverted(), Inverted())),
    "MobileNetV3": lambda: image_problem(classifier(Inverted(nn.Hardswish), Inverted(nn.SiLU))),
    "ViT": lambda: image_problem(Vision()),
    "transformer": lambda: text_problem("shakespeare_transformer", layers=2, width=8, heads=2),
    "GRU": lambda: text_problem("shakespeare_gru", layers=2, hidden=5, dropout=0.2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_it_takes_the_fast_way_with_the_curvature_of_the_graph(name):
    torch.manual_seed(0)
    network, loss = NETWORKS[name]()
    network = network.double()
    params = {key: param.detach() for key, param in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def objective(given):
        torch.manual_seed(1)
        before = {key: buffer.clone() for key, buffer in buffers.items()}
        return loss(lambda inputs: functional_call(network, {**given, **before}, (inputs,)))

    along = Along(anywhere(params))
    with sdpa_kernel(SDPBackend.MATH):
        graph, tape = graph_of(objective, leaves_of(params)), tape_of(objective, leaves_of(params))
        swept = sweep(objective, leaves_of(params), along)
    assert isinstance(tape, Tape)
    expected = pytest.approx(graph.curvature(along).curvature.item(), rel=1e-10)
    assert tape.curvature(along).curvature.item() == expected
    assert swept.curvature.item() == expected
    assert swept.price < 3.5  # a forward pass for nothing and two gradients, where it falls back
    for key, grad in graph.gradient.items():
        torch.testing.assert_close(tape.gradient[key], grad.detach(), rtol=1e-11, atol=1e-14)
