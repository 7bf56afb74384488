"""Parameters without a gradient: no step is made along them, and no scheme takes them for a part of one."""

import pytest
import torch
from torch import nn

from trainables.directions.adam import Adam
from trainables.directions.momentum import Momentum
from trainables.directions.sgd import SGD
from trainables.optimizer import SchemeOptimizer
from trainables.rules import Coupled, Decoupled
from trainables.schemes.cprop import CProp
from trainables.schemes.fixed import Fixed
from trainables.schemes.hypergradient import Hypergradient
from trainables.schemes.multilevel import MultiLevel
from trainables.seeds import generator

SHAPES = {"0.weight": (2, 3), "0.bias": (2,), "1.weight": (40, 5)}
FORMS = ("additive", "multiplicative")
SCHEMES = {f"hypergradient, {form}": Hypergradient(lr=0.01, beta=1e-3, form=form) for form in FORMS}
SCHEMES |= {f"levels, {form}": MultiLevel(lr=0.01, beta=1e-3, form=form) for form in FORMS}
SCHEMES |= {f"cprop, {order}": CProp(lr=0.01, order=order) for order in ("sgd", "adam")}
TOLD = ("lr", "scale", "mean_scale", "gamma_global", "gamma_layer", "lr_global", "lr_layer")

schemes = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)


def told(scheme, direction, decay, *, frozen, thawed=99, freezes=0, compile=False):  # noqa: A002 — the word of a trial
    """The rates and scales of six steps of two small parameters.

    `frozen`: beside a large one, until it is `thawed`, or from the step at which it `freezes`.
    """
    names = [name for name in SHAPES if frozen or name != "1.weight"]
    leaves = {name: nn.Parameter(torch.full(SHAPES[name], 0.5, dtype=torch.float64)) for name in names}
    optimizer = SchemeOptimizer(list(leaves.items()), scheme, direction, decay, compile=compile)
    found = []
    for step in range(6):
        for name, leaf in leaves.items():
            leaf.requires_grad_(name != "1.weight" or not freezes <= step < thawed)
            leaf.grad = drawn(name, step) if leaf.requires_grad else None
        optimizer.step()
        found += [value.item() for name, value in optimizer.extras()[0].items() if name in TOLD]
    assert not frozen or thawed < 6 or freezes or (leaves["1.weight"] == 0.5).all()
    return found


def drawn(name, step):
    return torch.randn(SHAPES[name], generator=generator(name, step), dtype=torch.float64)


@schemes
@pytest.mark.parametrize("direction", [SGD(), Momentum(0.5), Adam()], ids=["sgd", "momentum", "adam"])
@pytest.mark.parametrize("decay", [Coupled(0.0), Coupled(0.1), Decoupled(0.1)], ids=["none", "coupled", "decoupled"])
def test_a_frozen_parameter_changes_no_rate(scheme, direction, decay):
    alone, beside = (told(scheme, direction, decay, frozen=frozen) for frozen in (False, True))
    assert beside == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("name", ["hypergradient, multiplicative", "levels, multiplicative", "cprop, adam"])
def test_a_compiled_optimizer_tells_the_same_while_a_parameter_is_frozen_and_after(name):
    given = SCHEMES[name], Momentum(), Coupled(0.1)
    alone, ours, theirs = (
        told(*given, frozen=False),
        told(*given, frozen=True, thawed=3, compile=True),
        told(*given, frozen=True, thawed=3),
    )
    half = len(alone) // 2
    assert ours[:half] == pytest.approx(alone[:half], rel=1e-9)
    assert ours == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("compile", [False, True])
def test_a_parameter_that_freezes_in_the_middle_is_no_part_of_a_mean_from_then_on(compile):  # noqa: A002
    given = SCHEMES["cprop, sgd"], Momentum(), Coupled(0.1)
    alone, beside = (told(*given, frozen=frozen, freezes=3, compile=compile)[1::3] for frozen in (False, True))
    assert beside[:3] != pytest.approx(alone[:3], rel=1e-3)
    assert beside[3:] == pytest.approx(alone[3:], rel=1e-9)


@pytest.mark.parametrize(
    ("scheme", "compiled"),
    [
        (Hypergradient(lr=0.1, beta=0.01), False),
        (Hypergradient(lr=0.1, beta=0.01), True),
        (MultiLevel(lr=0.1, beta=0.01, levels="global+unit"), False),
    ],
    ids=["hypergradient", "compiled", "levels"],
)
def test_two_heads_that_take_turns_say_nothing_of_each_others_steps(scheme, compiled):
    """A step along one is followed by a gradient of the other: ⟨g, d⟩ is 0, whatever momentum the first has left."""
    heads = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer, rates = SchemeOptimizer(heads, scheme, Momentum(0.5), compile=compiled), []
    for turn in (0, 1, 0, 0):
        for place, head in enumerate(heads):
            head.grad = torch.ones(1) if place == turn else None
        optimizer.step()
        rates.append(optimizer.extras()[0]["lr"].item())
    assert rates[:3] == pytest.approx([0.1, 0.1, 0.1])
    assert rates[3] > 0.102


@pytest.mark.parametrize("scheme", [Hypergradient(lr=0.1, beta=0.0), MultiLevel(lr=0.1, beta=0.0, levels="global")])
def test_what_stands_still_gathers_no_decay_under_any_scheme(scheme):
    """Thawed, it moves as it would under a fixed rate."""

    def end(scheme):
        still, moves = (nn.Parameter(torch.ones(1, dtype=torch.float64)) for _ in range(2))
        optimizer = SchemeOptimizer([("still", still), ("moves", moves)], scheme, Momentum(0.9), Coupled(0.1))
        for step in range(21):
            moves.grad, still.grad = torch.ones_like(moves), torch.zeros_like(still) if step == 20 else None
            optimizer.step()
        return still.item()

    assert end(scheme) == pytest.approx(end(Fixed(lr=0.1)), rel=1e-12) == 0.99


def test_the_rates_of_levels_are_told_where_all_that_has_stepped_is_frozen():
    weight = nn.Parameter(torch.ones(2))
    optimizer = SchemeOptimizer([("weight", weight)], MultiLevel(lr=0.1))
    weight.grad = torch.ones(2)
    optimizer.step()
    weight.requires_grad_(False).grad = None
    assert optimizer.extras()[0]["lr_layer"].item() == pytest.approx(0.1)
