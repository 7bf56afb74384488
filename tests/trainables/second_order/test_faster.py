"""The faster way to a curvature is taken by a rule on what was recorded, and has the curvature of the others."""

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from tests.trainables.second_order.test_second_order import anywhere, by_dense_hessian, leaves_of
from trainables.minibatch import Minibatch
from trainables.oracle import Oracle
from trainables.second_order.graph import Graph
from trainables.second_order.jets import Along
from trainables.second_order.tape import Tape, faster_of, tape_of


class ByHand(nn.Module):
    """A long short-term memory, its gates written out."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.input, self.state = nn.Linear(inputs, 4 * hidden), nn.Linear(hidden, 4 * hidden, bias=False)
        self.head, self.hidden = nn.Linear(hidden, 3), hidden

    def forward(self, x: Tensor) -> Tensor:
        h = c = x.new_zeros(len(x), self.hidden)
        for now in x.unbind(1):
            i, f, g, o = (self.input(now) + self.state(h)).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return self.head(h)


class Cells(nn.Module):
    """One cell of torch's at every step."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell, self.head = cell, nn.Linear(cell.hidden_size, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for now in x.unbind(1):
            state = self.cell(now, state)
        return self.head(state[0] if isinstance(state, tuple) else state)


class Layer(nn.Module):
    """All steps in one call."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(layer.hidden_size, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0][:, -1])


class Again(nn.Module):
    """One layer several times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.layer, self.head, self.times = nn.Linear(2, 2), nn.Linear(2, 3), times

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, 0]
        for _ in range(self.times):
            x = torch.tanh(self.layer(x))
        return self.head(x)


def problem(network: nn.Module, steps=5, inputs=2, size=4):
    """The cross-entropy of a network in double precision, as a function of its parameters, and these."""
    torch.manual_seed(0)
    network = network.double()
    x, targets = torch.randn(size, steps, inputs, dtype=torch.float64), torch.arange(size) % 3
    params = {name: param.detach() for name, param in network.named_parameters()}
    return lambda given: functional.cross_entropy(functional_call(network, given, (x,)), targets), params


def taken(objective, params):
    return type(faster_of(objective, leaves_of(params)))


LOOPS = {
    "an LSTM by hand": lambda: ByHand(2, 3),
    "cells of an LSTM": lambda: Cells(nn.LSTMCell(2, 3)),
    "cells of a GRU": lambda: Cells(nn.GRUCell(2, 3)),
    "one small layer four times": lambda: Again(4),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_recurrence_step_by_step_takes_the_graph_with_the_curvature_of_jets_and_of_the_dense_hessian(name):
    objective, params = problem(LOOPS[name]())
    assert taken(objective, params) is Graph
    jets = tape_of(objective, leaves_of(params))
    assert isinstance(jets, Tape)
    along = Along(anywhere(params))
    expected = pytest.approx(by_dense_hessian(objective, params, along.vector), rel=1e-10)
    assert faster_of(objective, leaves_of(params)).curvature(along).curvature.item() == expected
    assert jets.curvature(along).curvature.item() == expected


@pytest.mark.parametrize(
    "network",
    [lambda: Layer(nn.LSTM(2, 3, batch_first=True)), lambda: Layer(nn.GRU(2, 3, batch_first=True)), lambda: Again(3)],
    ids=["an LSTM in one call", "a GRU in one call", "a layer three times"],
)
def test_what_is_no_loop_keeps_its_jets(network):
    assert taken(*problem(network())) is Tape


@pytest.mark.parametrize(("hidden", "way"), [(64, Graph), (512, Tape)])
def test_a_loop_by_hand_keeps_its_jets_where_its_products_are_large(hidden, way):
    """A million multiply-adds a call lie between the two; most calls have none."""
    assert taken(*problem(ByHand(2, hidden), size=64)) is way


def test_cells_take_the_graph_whatever_their_size():
    assert taken(*problem(Cells(nn.GRUCell(2, 512)), size=64)) is Graph


@pytest.mark.parametrize(("network", "passes"), [(lambda: ByHand(2, 3), 3.0), (lambda: Again(1), None)])
def test_the_count_of_passes_is_that_of_the_way_taken(network, passes):
    objective, params = problem(network())
    told = {}
    for keep in ("auto", "adjoints"):
        oracle = Oracle(objective)
        _, gradient = oracle.gradient(params, keep)
        oracle.curvature(params, gradient, own_decay={})
        told[keep] = oracle.passes
    assert told["auto"] == (passes or told["adjoints"])


@pytest.mark.parametrize(("recipe", "passes"), [("graph", 1.5), ("sweep", None)])
def test_the_graph_serves_a_share_of_the_batch_too(recipe, passes):
    """Half of the examples: half of a gradient and of two more."""
    objective, params = problem(ByHand(2, 3), size=4)
    half, _ = problem(ByHand(2, 3), size=2)
    batch, vector = Minibatch(objective, lambda share: half), anywhere(params)
    expected = by_dense_hessian(half, params, vector)
    assert batch.curvature(params, Along(vector), 0.5, recipe).item() == pytest.approx(expected, rel=1e-10)
    assert passes is None or batch.passes == passes
