"""Second-order jets of the recurrent layers: gated recurrent units and long short-term memories.

The states that torch returns give all gates at once, so that two linear recurrences alone run step by step: one for
the first derivative of the states, one for the second.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from trainables.second_order.jets import ZERO, Jet, plus, times


class Layer(NamedTuple):
    """One recurrent layer over some steps, with all that it took and gave."""

    input: Tensor  # (steps, batch, inputs)
    start: tuple[Tensor, ...]  # h before the first step, and c of a long short-term memory
    weights: tuple[Tensor, ...]  # W of the input, U of the state, and their biases, if there are any
    value: Tensor  # h after every step

    @property
    def before(self) -> Tensor:
        """The state before every step."""
        return torch.cat([self.start[0][None], self.value[:-1]])

    @property
    def macs(self) -> float:
        """Multiply-adds of the value."""
        return float(self.value[..., 0].numel() * (self.weights[0].numel() + self.weights[1].numel()))


class Activations(NamedTuple):
    """The two shares of all pre-activations, a = Wx + b and u = Uh + b', and what is known of their derivatives."""

    of_input: Tensor
    of_state: Tensor
    first: tuple[Tensor, Tensor]  # ȧ, and u̇ without Uḣ
    second: Tensor  # ä
    macs: float


def activations(layer: Layer, dx: Jet, dw: tuple[Jet, ...]) -> Activations:
    """Both shares at every step, in a few products.

    Args:
        layer: of which
        dx: of its input
        dw: of its weights
    """
    x, before, (weight, recurrent, *shifts) = layer.input, layer.before, layer.weights
    shift, shift_state = shifts or (None, None)
    moved, moved_state = dw[2:] or (ZERO, ZERO)
    of_input, of_state = functional.linear(x, weight, shift), functional.linear(before, recurrent, shift_state)
    products = [(dx.first, weight), (x, dw[0].first), (dx.second, weight), (dx.first, dw[0].first), (x, dw[0].second)]
    pulled, along, bent, mixed, curved = (_product(*pair) for pair in products)
    count = 1 + sum(term is not None for term in (pulled, along, bent, mixed, curved))
    first = _filled(plus(pulled, along, moved.first), of_input)
    first_state = _filled(plus(_product(before, dw[1].first), moved_state.first), of_state)
    second = _filled(plus(bent, times(2, mixed), curved, moved.second), of_input)
    macs = before[..., 0].numel() * (count * weight.numel() + 2 * recurrent.numel())
    return Activations(of_input, of_state, (first, first_state), second, float(macs))


def _of_state(layer: Layer, dw: tuple[Jet, ...], moved: Tensor, gates: int) -> Tensor:
    """The second derivative of the state's share without Uḧ: 2U̇ḣ + Üh + b̈'."""
    _, along, *shifts = dw
    shift = shifts[1].second if shifts else None
    known = plus(times(2, _product(moved, along.first)), _product(layer.before, along.second), shift)
    return torch.cat([torch.zeros_like(moved)] * gates, -1) if known is None else known


def _product(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    return None if left is None or right is None else functional.linear(left, right)


def _filled(tangent: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if tangent is None else tangent


def _before(start: Tensor | None, states: Tensor) -> Tensor:
    return torch.cat([_filled(start, states[0])[None], states[:-1]])


def _weighed(effects: Tensor, shares: Tensor, gates: int) -> Tensor:
    """The sum over the gates of their effects on the state."""
    return (effects * shares).unflatten(-1, (gates, -1)).sum(-2)


def gru_jet(layer: Layer, dx: Jet, dh: Jet, *dw: Jet) -> Jet:
    """h' = (1 − z) n + z h with r, z = σ(a + u) and n = tanh(aₙ + r uₙ): Ẏ and Ÿ of the states (Cho et al. 2014).

    ḣ' = (1 − z) ṅ + (h − n) ż + z ḣ,   ḧ' = (1 − z) n̈ + (h − n) z̈ + 2ż (ḣ − ṅ) + z ḧ.

    Args:
        layer: its weights' rows in torch's order: r, z, n
        dx: of its input
        dh: of its start
        dw: of its weights
    """
    known, before, recurrent = activations(layer, dx, dw), layer.before, layer.weights[1]
    (r, z, candidate), (ur, uz, m) = known.of_input.chunk(3, -1), known.of_state.chunk(3, -1)
    r, z = torch.sigmoid(r + ur), torch.sigmoid(z + uz)
    n = torch.tanh(candidate + r * m)
    dr, dz, dn = r * (1 - r), z * (1 - z), 1 - n.square()
    share = (1 - z) * dn
    gates = [share * m * dr, (before - n) * dz]
    of_input, of_state = torch.cat([*gates, share], -1), torch.cat([*gates, share * r], -1)

    source = _weighed(of_input, known.first[0], 3) + _weighed(of_state, known.first[1], 3)
    moved = _gru_unrolled(source, dh.first, recurrent, of_state, z)
    moved_before = _before(dh.first, moved)

    pushed = functional.linear(moved_before, recurrent) + known.first[1]
    (pr, pz, pn), (pushed_r, pushed_z, m1) = known.first[0].chunk(3, -1), pushed.chunk(3, -1)
    pr, pz = pr + pushed_r, pz + pushed_z
    r1, z1 = dr * pr, dz * pz
    pn = pn + r1 * m + r * m1
    n1 = dn * pn
    bent_r, bent_z = (1 - 2 * r) * dr * pr.square(), (1 - 2 * z) * dz * pz.square()
    bent_n = dn * (bent_r * m + 2 * r1 * m1) - 2 * n * dn * pn.square()
    source = _weighed(of_input, known.second, 3) + _weighed(of_state, _of_state(layer, dw, moved_before, 3), 3)
    source = source + (1 - z) * bent_n + (before - n) * bent_z + 2 * z1 * (moved_before - n1)
    bent = _gru_unrolled(source, dh.second, recurrent, of_state, z)
    return Jet(moved, bent, known.macs + 4 * before[..., 0].numel() * recurrent.numel())


def _gru_unrolled(source: Tensor, start: Tensor | None, recurrent: Tensor, effects: Tensor, keep: Tensor) -> Tensor:
    """x' = s + z x + Σ effect ⊙ Ux over the gates."""
    state, states = _filled(start, source[0]), list[Tensor]()
    for added, effect, kept in zip(source, effects, keep, strict=True):
        pushed = _weighed(effect, functional.linear(state, recurrent), 3)
        state = torch.addcmul(added, kept, state) + pushed
        states.append(state)
    return torch.stack(states)


def lstm_jet(layer: Layer, dx: Jet, dh: Jet, dc: Jet, *dw: Jet) -> Jet:
    """c' = f c + i g and h' = o tanh c': Ẏ and Ÿ of all h, and of the last c behind them, flat.

    ċ' = f ċ + c ḟ + i ġ + g i̇,   c̈' = f c̈ + c f̈ + i g̈ + g ï + 2ḟ ċ + 2i̇ ġ  (Hochreiter & Schmidhuber 1997).

    Args:
        layer: its weights' rows in torch's order: i, f, g, o
        dx: of its input
        dh: of h at its start
        dc: of c at its start
        dw: of its weights
    """
    known, recurrent = activations(layer, dx, dw), layer.weights[1]
    entering, forgetting, candidate, leaving = (known.of_input + known.of_state).chunk(4, -1)
    i, f, o = torch.sigmoid(entering), torch.sigmoid(forgetting), torch.sigmoid(leaving)
    g = torch.tanh(candidate)
    cells = _cells(layer.start[1], f, i * g)
    before, tau = torch.cat([layer.start[1][None], cells[:-1]]), torch.tanh(cells)
    di, df, dg, do, dtau = i * (1 - i), f * (1 - f), 1 - g.square(), o * (1 - o), 1 - tau.square()
    effects = torch.cat([g * di, before * df, i * dg, tau * do], -1)
    rule = (recurrent, effects, f, o * dtau)

    first = known.first[0] + known.first[1]
    moved, moved_c = _lstm_unrolled(effects * first, dh.first, dc.first, *rule)
    before_h, before_c = _before(dh.first, moved), _before(dc.first, moved_c)

    first = first + functional.linear(before_h, recurrent)
    pi, pf, pg, po = first.chunk(4, -1)
    curved = [di * (1 - 2 * i), df * (1 - 2 * f), -2 * g * dg, do * (1 - 2 * o)]
    bi, bf, bg, bo = torch.cat(curved, -1).mul(first.square()).chunk(4, -1)
    mixed = 2 * (df * pf * before_c + di * pi * dg * pg) + before * bf + g * bi + i * bg
    leaves = tau * bo + 2 * do * po * dtau * moved_c - 2 * o * tau * dtau * moved_c.square()
    source = effects * (known.second + _of_state(layer, dw, before_h, 4))
    zero = torch.zeros_like(mixed)
    bent, bent_c = _lstm_unrolled(source + torch.cat([mixed, zero, zero, leaves], -1), dh.second, dc.second, *rule)
    macs = known.macs + 4 * before[..., 0].numel() * recurrent.numel()
    return Jet(_flat(moved, moved_c[-1]), _flat(bent, bent_c[-1]), macs)


def _cells(start: Tensor, keep: Tensor, added: Tensor) -> Tensor:
    cell, cells = start, list[Tensor]()
    for kept, more in zip(keep, added, strict=True):
        cell = torch.addcmul(more, kept, cell)
        cells.append(cell)
    return torch.stack(cells)


def _lstm_unrolled(
    source: Tensor,
    start: Tensor | None,
    start_c: Tensor | None,
    recurrent: Tensor,
    effects: Tensor,
    keep: Tensor,
    out: Tensor,
) -> tuple[Tensor, Tensor]:
    """ċ' = f ċ + Σ of the first three gates, ḣ' = o tanh' ċ' + the last one, each gate s + effect ⊙ Uḣ."""
    state, cell = _filled(start, keep[0]), _filled(start_c, keep[0])
    states, cells = list[Tensor](), list[Tensor]()
    for added, effect, kept, share in zip(source, effects, keep, out, strict=True):
        entering, forgetting, candidate, leaving = torch.addcmul(
            added, effect, functional.linear(state, recurrent)
        ).chunk(4, -1)
        cell = kept * cell + entering + forgetting + candidate
        state = torch.addcmul(leaving, share, cell)
        states.append(state)
        cells.append(cell)
    return torch.stack(states), torch.stack(cells)


def _flat(*tensors: Tensor) -> Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])
