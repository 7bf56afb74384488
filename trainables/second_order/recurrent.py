# ruff: noqa: A002 — the arguments have torch's names
"""Recurrent layers and cells as torch calls them: layer after layer, each with its jets."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from trainables.second_order.activations import dropout as dropped
from trainables.second_order.arithmetic import mapped
from trainables.second_order.jets import Jet, Lifted, Parts
from trainables.second_order.recurrence import Layer, gru_jet, lstm_jet
from trainables.second_order.shapes import stack

Starts = tuple[Tensor, ...]
Ran = tuple[Tensor, list[Tensor], list[Lifted]]  # states at every step, the last ones, the calls they come from


def gru(
    input: Tensor,
    hx: Tensor,
    params: list[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Parts | None:
    """The states of the last layer at every step, and those of every layer after the last step."""

    def run(x: Tensor, starts: Starts, weights: list[Tensor]) -> Ran:
        value = torch.gru(x, starts[0][None], weights, has_biases, 1, 0.0, train, False, False)[0]
        layer = Layer(x, starts, tuple(weights), value.detach())
        call = Lifted(value, (x, *starts, *weights), partial(gru_jet, layer), macs=layer.macs)
        last = mapped(value[-1], value, lambda tangent: tangent[-1])
        return value, [last.value], [call, last]

    drops = dropout if train else 0.0
    return _layers(run, input, (hx,), params, has_biases, num_layers, drops, bidirectional, batch_first)


def lstm(
    input: Tensor,
    hx: tuple[Tensor, Tensor],
    params: list[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Parts | None:
    """The same, and the cells of every layer after the last step."""

    def run(x: Tensor, starts: Starts, weights: list[Tensor]) -> Ran:
        given = [start[None] for start in starts]
        value, _, cell = torch.lstm(x, given, weights, has_biases, 1, 0.0, train, False, False)
        layer = Layer(x, starts, tuple(weights), value.detach())
        calls = _apart((value, cell[0]), (x, *starts, *weights), layer, lstm_jet)
        states = calls[1].value
        last = mapped(states[-1], states, lambda tangent: tangent[-1])
        return states, [last.value, calls[2].value], [*calls, last]

    drops = dropout if train else 0.0
    return _layers(run, input, hx, params, has_biases, num_layers, drops, bidirectional, batch_first)


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Lifted | None:
    """One step of a gated recurrent unit."""
    weights = tuple(weight for weight in (w_ih, w_hh, b_ih, b_hh) if weight is not None)
    if input.dim() != 2 or len(weights) == 3:
        return None
    value = torch.gru_cell(input, hx, w_ih, w_hh, b_ih, b_hh)
    layer = Layer(input[None], (hx,), weights, value.detach()[None])

    def jet(dx: Jet, *rest: Jet) -> Jet:
        found = gru_jet(layer, _step(dx), *rest)
        return Jet(found.first[0], found.second[0], found.macs)  # type: ignore[index]

    return Lifted(value, (input, hx, *weights), jet, macs=layer.macs, cell=True)


def lstm_cell(
    input: Tensor,
    hx: tuple[Tensor, Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Parts | None:
    """One step of a long short-term memory."""
    weights = tuple(weight for weight in (w_ih, w_hh, b_ih, b_hh) if weight is not None)
    if input.dim() != 2 or len(weights) == 3:
        return None
    values = torch.lstm_cell(input, hx, w_ih, w_hh, b_ih, b_hh)
    layer = Layer(input[None], tuple(hx), weights, values[0].detach()[None])

    def jet(layer: Layer, dx: Jet, *rest: Jet) -> Jet:
        return lstm_jet(layer, _step(dx), *rest)

    both, h, c = _apart(values, (input, *hx, *weights), layer, jet)
    return Parts((h.value, c.value), (both._replace(cell=True), h, c))


def _step(dx: Jet) -> Jet:
    first, second = (tangent if tangent is None else tangent[None] for tangent in (dx.first, dx.second))
    return Jet(first, second)


def _apart(
    values: tuple[Tensor, ...], inputs: tuple[Tensor, ...], layer: Layer, jet: Callable[..., Jet]
) -> list[Lifted]:
    """One call of two results: a flat tensor of both, and views of it."""
    both = torch.cat([value.flatten() for value in values])
    at = values[0].numel()
    shapes = values[0].shape, values[1].shape
    first = mapped(both[:at].view(shapes[0]), both, lambda tangent: tangent[:at].view(shapes[0]))
    second = mapped(both[at:].view(shapes[1]), both, lambda tangent: tangent[at:].view(shapes[1]))
    return [Lifted(both, inputs, partial(jet, layer), macs=layer.macs), first, second]


def _known(
    input: Tensor, params: object, has_biases: bool, num_layers: int, dropout: float, bidirectional: bool
) -> bool:
    """True for padded batches, one direction, and states that are not projected."""
    size = 4 if has_biases else 2
    if not isinstance(params, (list, tuple)) or bidirectional or len(params) != size * num_layers:
        return False
    # there dropout is drawn by the library that runs all layers in one
    return not (dropout and num_layers > 1 and input.is_cuda)


def _layers(
    run: Callable[[Tensor, Starts, list[Tensor]], Ran],
    input: Tensor,
    starts: Starts,
    params: list[Tensor],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    bidirectional: bool,
    batch_first: bool,
) -> Parts | None:
    """Run layer after layer, each on the states of the one before; None for what has no jets here."""
    if not _known(input, params, has_biases, num_layers, dropout, bidirectional):
        return None
    calls: list[Lifted] = []

    def put(call: Lifted) -> Tensor:
        calls.append(call)
        return call.value

    def turned(x: Tensor) -> Tensor:
        return put(mapped(x.transpose(0, 1), x, lambda tangent: tangent.transpose(0, 1))) if batch_first else x

    x, ends, size = turned(input), list[list[Tensor]](), len(params) // num_layers
    for n in range(num_layers):
        begins = [put(mapped(start[n], start, lambda tangent, n=n: tangent[n])) for start in starts]
        x, last, more = run(x, tuple(begins), params[n * size : (n + 1) * size])
        calls += more
        ends.append(last)
        if dropout and n + 1 < num_layers:
            x = put(dropped(x, dropout))  # type: ignore[arg-type]
    finals = [put(stack(list(each))) for each in zip(*ends, strict=True)]
    return Parts((turned(x), *finals), tuple(calls))
