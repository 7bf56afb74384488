"""The state of SchemeOptimizer by parameter: through torch's checkpoints, other rates, other orders, other types."""

import copy

import pytest
import torch
from torch import nn

from trainables.components import members
from trainables.directions.adam import Adam
from trainables.directions.rmsprop import RMSProp
from trainables.groups.parameter_state import layout_of, read, write
from trainables.optimizer import SchemeOptimizer
from trainables.refusal import Refusal
from trainables.rules import Composed
from trainables.schedules import Cosine
from trainables.schemes import Scheme
from trainables.schemes.cprop import CProp
from trainables.schemes.fixed import Fixed
from trainables.schemes.multilevel import MultiLevel
from trainables.seeds import generator
from trainables.testing import same, two_layers

SCHEMES = {name: scheme() for name, scheme in members(Scheme).items()}
SCHEMES["multilevel, all"] = MultiLevel(levels="global+layer+unit+parameter")
schemes = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)


def network():
    """In torch's usual type, so that what becomes of scalars of float64 is seen."""
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    with torch.no_grad():
        for name, param in model.named_parameters():
            param.copy_(torch.randn(param.shape, generator=generator("net", name)))
    return model


def train(model, optimizer, steps, of=lambda model, inputs: model(inputs).square().mean()):
    for step in steps:
        inputs = torch.randn(8, 4, generator=generator("inputs", step))
        if optimizer._rule.scheme.asks:
            optimizer.step(lambda inputs=inputs: of(model, inputs))
        else:
            optimizer.zero_grad()
            of(model, inputs).backward()
            optimizer.step()


def direction_of(scheme):
    return RMSProp() if scheme.needs_descent else Adam()


@schemes
def test_the_entries_hold_the_whole_state(scheme):
    rule, params = Composed(direction_of(scheme), scheme), two_layers()
    state = rule.init(params)
    layout, entries = layout_of(state, params), {name: {} for name in params}
    write(state, layout, entries)
    assert same(read(layout, entries), state)
    shapes = {name: {value.shape for value in entry.values() if value.dim() == 2} for name, entry in entries.items()}
    assert all(own <= {params[name].shape, (len(params[name]), 1)} for name, own in shapes.items())


@pytest.fixture(scope="module")
def states():
    """torch's states for distributed checkpoints; to import them takes seconds, which no other test should wait for."""
    from torch.distributed.checkpoint import state_dict

    return state_dict


@schemes
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("flat", [False, True], ids=["by name", "flattened"])
def test_torchs_distributed_checkpoints_continue_bit_for_bit(scheme, flat, tmp_path, states):
    from torch.distributed import checkpoint

    options = states.StateDictOptions(flatten_optimizer_state_dict=flat)
    whole, first, second = network(), network(), network()
    train(whole, SchemeOptimizer(whole, scheme, direction_of(scheme), total_steps=6), range(6))
    before = SchemeOptimizer(first, scheme, direction_of(scheme), total_steps=6)
    train(first, before, range(3))
    saved = states.get_optimizer_state_dict(first, before, options=options)
    assert any("0.weight" in key for key in (saved if flat else saved["state"]))
    checkpoint.save({"optimizer": saved}, checkpoint_id=tmp_path, no_dist=True)

    second.load_state_dict(first.state_dict())
    after = SchemeOptimizer(second, scheme, direction_of(scheme), total_steps=6)
    loaded = states.get_optimizer_state_dict(second, after, options=options)  # a form to be filled in, as torch advises
    checkpoint.load({"optimizer": loaded}, checkpoint_id=tmp_path, no_dist=True)
    states.set_optimizer_state_dict(second, after, loaded, options=options)
    train(second, after, range(3, 6))
    assert same(whole.state_dict(), second.state_dict())


def test_frozen_parameters_that_torch_leaves_out_of_a_checkpoint_are_not_missed(states):
    whole, model = network(), network()
    for each in (whole, model):
        each[0].weight.requires_grad_(False)
    train(whole, SchemeOptimizer(whole, CProp(), Adam()), range(4))
    before = SchemeOptimizer(model, CProp(), Adam())
    train(model, before, range(2))
    after = SchemeOptimizer(model, CProp(), Adam())
    states.set_optimizer_state_dict(model, after, states.get_optimizer_state_dict(model, before))
    train(model, after, range(2, 4))
    assert same(whole.state_dict(), model.state_dict())


def test_asking_for_a_checkpoint_before_the_first_step_changes_nothing(states):
    asked, left = network(), network()
    optimizer = SchemeOptimizer(asked, CProp(), Adam())
    states.get_optimizer_state_dict(asked, optimizer)
    assert optimizer.extras() == []
    train(asked, optimizer, range(2))
    train(left, SchemeOptimizer(left, CProp(), Adam()), range(2))
    assert same(asked.state_dict(), left.state_dict())


@schemes
def test_types_survive_a_load_and_torch_would_cast_them(scheme):
    model = network()
    before, after = (SchemeOptimizer(model, scheme, direction_of(scheme), total_steps=2) for _ in range(2))
    train(model, before, range(2))
    after.load_state_dict(before.state_dict())
    assert same(after.state_dict(), before.state_dict())
    assert same(after.extras(), before.extras())


# --- which states are taken, and which are refused ----------------------------------------------------------


def test_a_state_with_another_rate_and_decay_is_taken_with_them():
    whole, model = network(), network()
    optimizer = SchemeOptimizer(whole, Fixed(lr=0.3), Adam(), weight_decay=0.1)
    train(whole, optimizer, range(4))
    before = SchemeOptimizer(model, Fixed(lr=0.3), Adam(), weight_decay=0.1)
    train(model, before, range(2))
    after = SchemeOptimizer(model, Fixed(lr=0.001), Adam())
    after.load_state_dict(before.state_dict())
    train(model, after, range(2, 4))
    assert same(whole.state_dict(), model.state_dict())
    again = SchemeOptimizer(model, Fixed(lr=0.001), Adam())
    again.load_state_dict(after.state_dict())  # what was loaded may be saved and loaded once more
    assert again.param_groups[0]["lr"] == 0.3


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (lambda m: SchemeOptimizer(m, CProp(beta=0.99), Adam()), "scheme.beta is 0.999 there, 0.99 here"),
        (lambda m: SchemeOptimizer(m, CProp()), "direction is 'adam' there, 'sgd' here"),
        (lambda m: SchemeOptimizer(m, Fixed(), Adam()), "scheme is 'cprop' there, 'fixed' here"),
        (
            lambda m: SchemeOptimizer(m, CProp(schedule=Cosine()), Adam()),
            "scheme.schedule is 'constant' there, 'cosine'",
        ),
    ],
)
def test_a_state_of_another_rule_is_refused_by_the_key_that_differs(other, difference):
    state = SchemeOptimizer(network(), CProp(), Adam()).state_dict()
    optimizer = other(network())
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(Refusal, match=f"the state is of another rule: {difference}"):
        optimizer.load_state_dict(state)
    assert same(optimizer.state_dict(), before)


def test_a_state_of_torchs_own_optimizer_is_refused():
    with pytest.raises(Refusal, match="of another optimizer"):
        SchemeOptimizer(network()).load_state_dict(torch.optim.Adam(network().parameters()).state_dict())


def test_a_state_of_another_model_is_refused():
    wider = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2))
    state = SchemeOptimizer(wider, direction=Adam()).state_dict()
    with pytest.raises(Refusal, match=r"'directions.mean' of parameter '0.weight' is \(5, 4\) there and \(3, 4\) here"):
        SchemeOptimizer(network(), direction=Adam()).load_state_dict(state)


def test_a_state_without_a_parameter_is_refused():
    state = SchemeOptimizer(network(), direction=Adam()).state_dict()
    del state["state"][2]
    with pytest.raises(Refusal, match=r"the state lacks 'directions.mean' of parameter '2.weight'"):
        SchemeOptimizer(network(), direction=Adam()).load_state_dict(state)


def test_parameters_in_another_order_find_their_state_by_name():
    whole, model = network(), network()
    train(whole, SchemeOptimizer(whole, MultiLevel(), Adam()), range(4))
    before = SchemeOptimizer(model, MultiLevel(), Adam())
    train(model, before, range(2))
    after = SchemeOptimizer(reversed(list(model.named_parameters())), MultiLevel(), Adam())
    after.load_state_dict(before.state_dict())
    train(model, after, range(2, 4))
    torch.testing.assert_close(whole.state_dict(), model.state_dict(), rtol=0, atol=1e-6)


def test_a_state_that_somebody_cleared_begins_anew():
    once, twice = network(), network()
    train(once, SchemeOptimizer(once, CProp(), Adam()), range(2))
    optimizer = SchemeOptimizer(twice, CProp(), Adam())
    train(network(), optimizer, [])
    train(twice, optimizer, [5])
    optimizer.state.clear()
    twice.load_state_dict(network().state_dict())
    train(twice, optimizer, range(2))
    assert same(once.state_dict(), twice.state_dict())
