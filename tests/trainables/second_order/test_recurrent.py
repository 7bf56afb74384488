"""The rules of recurrent layers against the dense Hessian, and nothing falls back."""

import pytest
from torch import Tensor, nn

from tests.trainables.second_order.test_second_order import anywhere, check, problem

KINDS = {"gru": nn.GRU, "lstm": nn.LSTM}
CELLS = {"gru": nn.GRUCell, "lstm": nn.LSTMCell}


class Reader(nn.Module):
    """Words in, what a recurrent layer makes of them out: its states, and what it ends with."""

    def __init__(self, kind: str, **settings) -> None:
        super().__init__()
        self.inside = nn.Linear(2, 2)
        self.layer = KINDS[kind](2, 3, batch_first=True, **settings)
        self.last = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        states, end = self.layer(self.inside(x.reshape(len(x), 3, 2)))
        ends = end if isinstance(end, tuple) else (end,)
        return self.last(states).mean(1) + sum(each.sum(0).sin() for each in ends)


class Stepper(nn.Module):
    """The same by a cell, from a state that depends on the parameters."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.start = nn.Linear(2, 3)
        self.cell = CELLS[kind](2, 3)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.reshape(len(x), 3, 2).unbind(1)
        state = self.start(steps[0])
        state = (state, state.tanh()) if isinstance(self.cell, nn.LSTMCell) else state
        for step in steps:
            state = self.cell(step, state)
        return state[0] * state[1] if isinstance(state, tuple) else state


class Started(nn.Module):
    """A layer whose first states depend on the parameters."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.start, self.layer = nn.Linear(6, 6), KINDS[kind](2, 3, num_layers=2)

    def forward(self, x: Tensor) -> Tensor:
        start = self.start(x).reshape(len(x), 2, 3).transpose(0, 1).contiguous()
        given = (start, start.tanh()) if isinstance(self.layer, nn.LSTM) else start
        return self.layer(x.reshape(len(x), 3, 2).transpose(0, 1), given)[0].square().sum(0)


NETWORKS = {
    "one layer": Reader,
    "no biases": lambda kind: Reader(kind, bias=False),
    "two layers, dropped between": lambda kind: Reader(kind, num_layers=2, dropout=0.3),
    "cells": Stepper,
    "from states": Started,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_along_any_direction(name, kind):
    objective, params = problem(NETWORKS[name](kind))
    check(objective, params, anywhere(params))


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_weights_are_constants(kind):
    objective, params = problem(Reader(kind, num_layers=2))
    fixed = {
        name: params.pop(name) for name in ("layer.weight_hh_l0", "layer.bias_ih_l1", "inside.weight", "inside.bias")
    }
    check(lambda given: objective({**given, **fixed}), params, anywhere(params))
