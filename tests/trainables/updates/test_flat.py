"""Many tensors as one: whatever their kinds, the bits of the form by name; and what may not be taken for one is not."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from trainables.components import members
from trainables.directions import Direction
from trainables.directions.adam import Adam
from trainables.directions.momentum import Momentum
from trainables.optimizer import SchemeOptimizer
from trainables.rules import Composed, Coupled, Decoupled
from trainables.schedules.decays import Linear
from trainables.schemes import Scheme
from trainables.schemes.cprop import CProp
from trainables.schemes.fixed import Fixed
from trainables.schemes.hypergradient import Hypergradient
from trainables.schemes.multilevel import MultiLevel
from trainables.seeds import generator
from trainables.testing import same
from trainables.updates.flat import BYTES, SMALL, by_name, packs_of

SHAPES = {
    "0.weight": (30, 17),
    "0.bias": (30,),
    "1.weight": (3, 2, 2),
    "temperature": (),
    "empty": (0, 3),
    "large.weight": (1, SMALL + 1),
    "large.bias": (1,),
}
KINDS = {name: torch.float64 if name.startswith("0") else torch.float32 for name in SHAPES}
EVERY = {name: make() for name, make in members(Scheme).items() if not make.asks}
EVERY["all levels"] = MultiLevel(levels="global+layer+unit+parameter")


def drawn(word, name):
    return torch.randn(SHAPES[name], generator=generator(word, name), dtype=KINDS[name])


def step(optimizer, place):
    for name, leaf in optimizer.leaves.items():
        leaf.grad = drawn(f"gradient {place}", name) if leaf.requires_grad else None
    optimizer.step()


def trained(make, thaw=None):
    """Parameters and state after four steps; a parameter that is frozen at first is thawed after two."""
    leaves = {name: nn.Parameter(drawn("start", name), requires_grad=name != thaw) for name in SHAPES}
    optimizer = make(leaves)
    optimizer.leaves = leaves
    for place in range(4):
        if thaw and place == 2:
            leaves[thaw].requires_grad_()
        step(optimizer, place)
    return {name: leaf.detach() for name, leaf in leaves.items()}, optimizer.state_dict()


def both(make, **settings):
    with by_name():
        expected = trained(make, **settings)
    return trained(make, **settings), expected


def groups(leaves):
    names = list(leaves)
    return [{"params": [(n, leaves[n]) for n in some], "lr": lr} for some, lr in ((names[:3], 0.1), (names[3:], 0.01))]


# --- the same bits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("decay", [Coupled(0.1), Decoupled(0.1, on="matrices")], ids=["coupled", "matrices"])
def test_kinds_shapes_and_sizes_move_and_are_saved_as_by_name(scheme, decay):
    assert same(*both(lambda leaves: SchemeOptimizer(list(leaves.items()), scheme, Adam(), decay)))


def test_groups_move_as_by_name():
    assert same(*both(lambda leaves: SchemeOptimizer(groups(leaves), Fixed(), Momentum())))


@pytest.mark.parametrize("name", ["0.weight", "large.weight"])
def test_a_parameter_that_is_thawed_late_moves_as_by_name(name):
    assert same(*both(lambda leaves: SchemeOptimizer(list(leaves.items()), CProp(), Adam()), thaw=name))


def test_a_parameter_that_a_checkpoint_has_left_out_keeps_its_own_age():
    def make(leaves):
        optimizer = SchemeOptimizer(list(leaves.items()), Fixed(), Adam())
        optimizer.leaves = leaves
        step(optimizer, 0)
        saved = optimizer.state_dict()
        leaves["0.bias"].requires_grad_(False)
        del saved["state"][1]
        optimizer.load_state_dict(saved)
        leaves["0.bias"].requires_grad_()
        return optimizer

    (_, state), expected = both(make)
    assert same((_, state), expected)
    assert [state["state"][place]["directions.steps"].item() for place in (0, 1)] == [5, 4]


def test_parameters_that_share_memory_move_as_by_name():
    def make(leaves):
        leaves["0.bias"].data = leaves["0.weight"].data[:, 0]
        return SchemeOptimizer(list(leaves.items()), Fixed(), Adam())

    assert same(*both(make))


class Norm(NamedTuple):
    """The last norm, a scalar."""

    norm: Tensor


@dataclass(frozen=True)
class Normalised(Direction):
    """g/‖g‖ tensor by tensor: no element goes its own way."""

    descends = True

    def init(self, param):
        return Norm(torch.zeros((), dtype=param.dtype))

    def apply(self, grad, state, param):
        return grad / grad.norm(), Norm(grad.norm())


def test_a_direction_that_looks_at_its_tensor_is_given_one_at_a_time():
    _, state = trained(lambda leaves: SchemeOptimizer(list(leaves.items()), Fixed(), Normalised()))
    for place, name in enumerate(SHAPES):
        assert state["state"][place]["directions.norm"] == drawn("gradient 3", name).norm()


class Kept(NamedTuple):
    """The last gradient."""

    last: Tensor


@dataclass(frozen=True)
class Delayed(Direction):
    """The gradient of the step before."""

    descends = False
    elementwise = True

    def init(self, param):
        return Kept(torch.zeros_like(param))

    def apply(self, grad, state, param):
        return state.last, Kept(grad)


@pytest.mark.parametrize("scheme", [Fixed(lr=1.0), Hypergradient(lr=1.0, beta=0.0)], ids=["blind", "seeing"])
def test_a_gradient_that_is_remembered_is_not_overwritten_with_the_loops(scheme):
    leaves = {name: nn.Parameter(torch.zeros(SHAPES[name])) for name in ("1.weight", "large.bias", "large.weight")}
    optimizer = SchemeOptimizer(list(leaves.items()), scheme, Delayed())
    for leaf in leaves.values():
        leaf.grad = torch.ones_like(leaf)
    optimizer.step()
    for leaf in leaves.values():
        leaf.grad.fill_(5.0)
    optimizer.step()
    assert all((leaf == -1).all() for leaf in leaves.values())


def test_what_a_step_tells_stays_as_it_was():
    leaves = {name: nn.Parameter(torch.zeros(3)) for name in "ab"}
    optimizer = SchemeOptimizer(list(leaves.items()), Fixed(lr=0.1, schedule=Linear()))
    told = []
    for progress in (0.0, 0.5):
        for leaf in leaves.values():
            leaf.grad = torch.ones(3)
        optimizer.progress = progress
        optimizer.step()
        told += optimizer.extras()
    assert [own["lr"].item() for own in told] == [0.1, 0.05]


def test_every_direction_of_ours_is_elementwise():
    assert all(direction.elementwise for direction in members(Direction).values())


# --- where the tensors lie -----------------------------------------------------------------------------------


def test_after_a_step_the_small_ones_of_a_kind_lie_in_one_tensor_and_are_taken_up_without_a_copy():
    rule, params = Composed(Adam(), CProp()), {name: drawn("start", name) for name in SHAPES}
    with torch.no_grad():
        params, state = rule.update(params, params, rule.init(params), torch.tensor(0.0))
        packs = packs_of(params, params, state.directions, apart=False)
        flat, own = packs.joined(params), packs.joined(params, copy=True)
    places = {name: param.untyped_storage().data_ptr() for name, param in params.items()}
    assert places["0.weight"] == places["0.bias"] == flat["0.weight"].data_ptr() != own["0.weight"].data_ptr()
    assert places["1.weight"] == places["large.bias"] != places["large.weight"]
    assert all(param.data_ptr() % BYTES == 0 for param in params.values())


def test_a_saved_state_holds_no_more_than_its_tensors():
    def sizes(tensor):
        return tensor.untyped_storage().nbytes(), tensor.numel() * tensor.element_size()

    _, saved = trained(lambda leaves: SchemeOptimizer(list(leaves.items()), CProp(), Adam()))
    held = [sizes(value) for entry in saved["state"].values() for value in entry.values()]
    assert [whole for whole, _ in held] == [own for _, own in held]


def test_what_is_remembered_is_no_gradient_of_the_loop():
    leaves = {name: nn.Parameter(torch.zeros(3)) for name in "ab"}
    buffer = torch.ones(32)  # gradients that lie as ours would, as DDP's buckets
    for place, leaf in enumerate(leaves.values()):
        leaf.grad = buffer[16 * place : 16 * place + 3]
    optimizer = SchemeOptimizer(list(leaves.items()), MultiLevel(levels="global"))
    optimizer.step()
    buffer.zero_()
    assert optimizer.state[leaves["a"]]["scheme.previous"].tolist() == [1, 1, 1]
