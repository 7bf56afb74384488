"""Whatever the recorder has not seen through to the end is differentiated twice by torch: no wrong number."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.trainables.second_order.test_second_order import (
    Called,
    anywhere,
    around,
    by_dense_hessian,
    check,
    dense,
    leaves_of,
    problem,
)
from trainables.oracle import Oracle
from trainables.second_order.graph import Graph
from trainables.second_order.jets import Along
from trainables.second_order.sweep import sweep
from trainables.second_order.tape import Tape, tape_of


def falls_back(objective, params) -> None:
    """Both fast recipes leave it to the graph of the gradient, and the curvature is that of the dense Hessian."""
    vector = anywhere(params)
    expected = pytest.approx(by_dense_hessian(objective, params, vector), rel=1e-10)
    kept = tape_of(objective, leaves_of(params))
    assert isinstance(kept, Graph)
    assert kept.curvature(Along(vector)).curvature.item() == expected
    assert sweep(objective, leaves_of(params), Along(vector)).curvature.item() == expected


def masked(x: Tensor) -> Tensor:
    x[x < 0] = 0
    return x


def column(x: Tensor) -> Tensor:
    x[:, 0] = 0
    return x.sum(1, keepdim=True) * x


def through_a_view(x: Tensor) -> Tensor:
    view = x[:, 2:4]
    view[:] = 0.5
    return torch.tanh(x)


def view_of_what_changed(x: Tensor) -> Tensor:
    view = x[:, 2:]
    x[:, 3] = torch.tanh(x[:, 0])
    return x * view.sum(1, keepdim=True)


def without_autograd(x: Tensor) -> Tensor:
    with torch.no_grad():
        x.clamp_(min=0)
    return torch.sigmoid(x)


def behind_detach(x: Tensor) -> Tensor:
    x.detach()[:, 1] = 0
    return torch.sigmoid(x)


def root_of_what_changes(x: Tensor) -> Tensor:
    square = x.square()
    root = square.sqrt()  # torch keeps the root alone
    square.zero_()
    return x * root


def filled_from_outside(x: Tensor) -> Tensor:
    room = torch.zeros(len(x), 9, dtype=x.dtype)
    room[:, :7] = x
    return torch.tanh(room[:, :7])


def gradient_reversed(x: Tensor) -> Tensor:
    x = torch.tanh(x)
    x.register_hook(lambda grad: -grad)
    return x


WRITTEN = {
    "a mask": masked,
    "a column": column,
    "through a view": through_a_view,
    "below a view": view_of_what_changed,
    "without autograd": without_autograd,
    "behind detach": behind_detach,
    "after its use": root_of_what_changes,
    "into a tensor from outside": filled_from_outside,
    "a reversed gradient": gradient_reversed,
    "masked_fill_": lambda x: torch.tanh(x.masked_fill_(x > 1, 0.0)),
    "index_copy_": lambda x: x.index_copy_(1, torch.tensor([1]), x[:, :1].exp()).square(),
    "in place, by operator": lambda x: x.__isub__(x.sum(1, keepdim=True)).square(),
    "swapped halves": lambda x: x.copy_(x.flip(1).clone()).square(),
}
"""Ways to write into what was noted."""


@pytest.mark.parametrize("name", WRITTEN)
def test_a_tensor_that_is_written_into_falls_back(name):
    falls_back(*problem(around(WRITTEN[name])))


ARGUMENTS = {
    "floor of a division": lambda x: torch.div(x, 0.3, rounding_mode="floor") + x * x,
    "rounded division": lambda x: x * x.div(0.3, rounding_mode="trunc"),
    "no rounding": lambda x: torch.tanh(torch.div(x, 0.3, rounding_mode=None)),
}
"""Arguments that a rule has not heard of."""


@pytest.mark.parametrize("name", ["floor of a division", "rounded division", "no rounding"])
def test_an_argument_without_a_rule_falls_back(name):
    falls_back(*problem(around(ARGUMENTS[name])))


def test_a_result_that_is_written_into_a_tensor_is_refused_as_torch_refuses_it():
    objective, params = problem(around(lambda x: torch.sqrt(x, out=torch.empty_like(x).detach())))
    for recipe in (tape_of, lambda *args: sweep(*args, Along(anywhere(params)))):
        with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
            recipe(objective, leaves_of(params))


def attending(x: Tensor) -> Tensor:
    rows = x.reshape(1, len(x), -1)
    return functional.scaled_dot_product_attention(rows, torch.tanh(rows), rows)[0].sinh()  # it has no rule


def test_logits_that_are_written_into_after_the_loss_fall_back():
    def loss(outputs: Tensor) -> Tensor:
        found = functional.cross_entropy(outputs, torch.arange(len(outputs)) % 3)  # torch keeps its logarithms
        with torch.no_grad():
            outputs.zero_()
        return found

    falls_back(*problem(dense(nn.Tanh()), loss))


def test_attention_has_a_second_derivative_in_its_mathematical_form():
    objective, params = problem(around(attending))
    vector = anywhere(params)
    oracle = Oracle(objective)
    oracle.gradient(params, keep="graph")
    with sdpa_kernel(SDPBackend.MATH):
        falls_back(objective, params)
        expected = by_dense_hessian(objective, params, vector)
    assert oracle.curvature(params, vector).item() == pytest.approx(expected, rel=1e-10)
    for recipe in (tape_of, lambda *args: sweep(*args, Along(vector))):
        recipe(objective, leaves_of(params))  # outside of it, where torch would take a fused one


def test_a_tensor_detached_in_place_is_a_constant():
    def detached(x: Tensor) -> Tensor:
        fixed = torch.tanh(x)
        return x * fixed.detach_()

    objective, params = problem(around(detached))
    check(objective, params, anywhere(params))


def test_a_parameter_with_a_hook_has_no_gradient_that_a_layer_knows():
    """A hook that shortens a gradient, as many loops have it: the direction is no longer the layer's own."""
    objective, params = problem(nn.Sequential(nn.Linear(6, 12), Called(torch.tanh), nn.Linear(12, 12)))
    leaves = leaves_of(params)
    for leaf in leaves.values():
        leaf.register_hook(lambda grad: grad.clamp(-0.01, 0.01))
    tape = tape_of(objective, leaves)
    assert isinstance(tape, Tape)
    expected = by_dense_hessian(objective, params, tape.gradient)
    assert tape.curvature(Along(tape.gradient, scale=1.0)).curvature.item() == pytest.approx(expected, rel=1e-10)
