"""SchemeOptimizer.step(closure): the trials' rule bit for bit, where the scheme asks for more than a gradient."""

import copy
import io
import logging
from contextlib import nullcontext
from itertools import count

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.optim.lr_scheduler import StepLR

from trainables.components import members
from trainables.directions.momentum import Momentum
from trainables.directions.rmsprop import RMSProp
from trainables.directions.sgd import SGD
from trainables.optimizer import SchemeOptimizer
from trainables.oracle import Oracle
from trainables.refusal import Refusal
from trainables.rules import Composed, Coupled, Decoupled
from trainables.schedules import Constant, Cosine
from trainables.schemes import Scheme
from trainables.schemes.curvature import Curvature
from trainables.schemes.line_search import LineSearch
from trainables.second_order import recorder
from trainables.seeds import generator, seed_of
from trainables.testing import same

ASKING = {name: scheme() for name, scheme in members(Scheme).items() if scheme.asks}
ASKING |= {f"curvature, {recipe}": Curvature(recipe=recipe) for recipe in ("sweep", "graph")}
RECIPES = ("adjoints", "sweep", "graph")
schemes = pytest.mark.parametrize("scheme", ASKING.values(), ids=ASKING)


@pytest.fixture(autouse=True)
def generators_put_back():
    with torch.random.fork_rng(devices=[]):
        yield


@pytest.fixture
def processes():
    """A group of two, of which the other one is made up."""
    from torch.distributed import destroy_process_group, init_process_group
    from torch.testing._internal.distributed.fake_pg import FakeStore

    init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield
    destroy_process_group()


def network():
    """Every kind of hidden state: statistics that move, and noise."""
    layers = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 2)
    model = nn.Sequential(*layers).double()
    with torch.no_grad():
        for param in model.parameters():
            param.copy_(torch.randn(param.shape, generator=generator("net", *param.shape), dtype=param.dtype))
    return model


def loss_of(model, step=0):
    inputs = torch.randn(8, 4, generator=generator("inputs", step), dtype=torch.float64)
    return model(inputs).square().mean()


def train(model, optimizer, steps, scheduler=None, of=None):
    """The losses of these steps, each with a noise of its own; `of` is called in the place of the model."""
    losses = []
    for step in steps:
        torch.manual_seed(seed_of("noise", step))
        losses.append(optimizer.step(lambda step=step: loss_of(of or model, step)))
        if scheduler:
            scheduler.step()
    return losses


def train_as_a_trial(rule, model, steps, total_steps):
    """The same by `rule.step`, parameters and buffers handed to a module that keeps none of them."""
    params = {name: param.detach().clone() for name, param in model.named_parameters()}
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    state, losses = rule.init(params), []
    for step in steps:
        moved = []

        def objective(values, step=step, before=buffers, moved=moved):
            torch.manual_seed(seed_of("noise", step))
            here = {name: buffer.clone() for name, buffer in before.items()}
            moved.append(here)
            return loss_of(lambda inputs: functional_call(model, {**values, **here}, (inputs,)), step)

        progress = torch.tensor(step / total_steps, dtype=torch.float64)
        loss, params, state = rule.step(Oracle(objective), params, state, progress)
        losses.append(loss)
        buffers = moved[0]
    return losses, {**params, **buffers}


@schemes
@pytest.mark.parametrize("decay", [0.0, 0.05])
@pytest.mark.parametrize("direction", [SGD(), RMSProp()], ids=["sgd", "rmsprop"])
def test_is_the_rule_of_a_trial_bit_for_bit(scheme, direction, decay):
    model = network()
    optimizer = SchemeOptimizer(model, scheme, direction, weight_decay=decay, total_steps=5)
    losses = train(model, optimizer, range(5))
    rule = Composed(direction, scheme, Coupled(decay))
    expected, params = train_as_a_trial(rule, network(), range(5), total_steps=5)
    assert same(losses, expected)
    assert same(dict(model.state_dict()), {name: params[name] for name in model.state_dict()})


@schemes
def test_buffers_and_generators_move_as_in_one_call(scheme):
    model, once = network(), network()
    optimizer = SchemeOptimizer(model, scheme, total_steps=5)
    train(model, optimizer, [0])
    after = torch.get_rng_state()
    torch.manual_seed(seed_of("noise", 0))
    loss_of(once)
    assert same(dict(model.named_buffers()), dict(once.named_buffers()))
    assert torch.equal(after, torch.get_rng_state())


class Centred(nn.Module):
    """Assigns its buffer anew in every call."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(4, 2, dtype=torch.float64)
        self.register_buffer("mean", torch.zeros(4, dtype=torch.float64))

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return self.out(x - self.mean)


@schemes
def test_a_buffer_that_a_model_assigns_moves_as_in_one_call(scheme):
    torch.manual_seed(0)
    model, once = Centred(), Centred()
    train(model, SchemeOptimizer(model, scheme, total_steps=5), [0])
    loss_of(once)
    assert torch.equal(model.mean, once.mean)


@pytest.mark.parametrize(("recipe", "calls"), [("adjoints", 1), ("sweep", 2), ("graph", 1)])
@pytest.mark.parametrize("given", ["the module", "its parameters"])
def test_the_cheap_recipes_serve_with_and_without_the_module(recipe, calls, given, caplog):
    recorder._say.cache_clear()
    model, counted = network(), count()
    params = model if given == "the module" else model.parameters()
    optimizer = SchemeOptimizer(params, Curvature(recipe=recipe), total_steps=5)

    def closure():
        next(counted)
        return loss_of(model)

    with caplog.at_level(logging.WARNING):
        optimizer.step(closure)
    assert next(counted) == calls
    assert not caplog.records  # nothing fell back to reverse over reverse


def test_an_operation_without_a_rule_is_left_to_reverse_over_reverse():
    found = []
    for recipe in RECIPES:
        model = network()
        optimizer = SchemeOptimizer(model, Curvature(recipe=recipe), total_steps=5)
        torch.manual_seed(0)
        optimizer.step(lambda model=model: loss_of(model).sinh())
        found.append(optimizer.extras()[0]["curvature"].item())
    assert found == pytest.approx(3 * [found[0]], rel=1e-12)
    assert found[0] > 0


@schemes
def test_continues_from_its_state_bit_for_bit(scheme):
    whole, first = network(), network()
    train(whole, SchemeOptimizer(whole, scheme, RMSProp(), total_steps=6), range(6))
    before = SchemeOptimizer(first, scheme, RMSProp(), total_steps=6)
    train(first, before, range(3))
    stored = io.BytesIO()
    torch.save(before.state_dict(), stored)
    stored.seek(0)
    after = SchemeOptimizer(first, scheme, RMSProp(), total_steps=6)
    after.load_state_dict(torch.load(stored, weights_only=True))
    train(first, after, range(3, 6))
    assert same(whole.state_dict(), first.state_dict())


@schemes
def test_a_copy_goes_its_own_way(scheme):
    model = network()
    optimizer = SchemeOptimizer(model, scheme, total_steps=5)
    train(model, optimizer, range(2))
    twin, twin_optimizer = copy.deepcopy((model, optimizer))
    train(model, optimizer, range(2, 4))
    before = copy.deepcopy(twin.state_dict())
    train(twin, twin_optimizer, range(2, 4))
    assert same(model.state_dict(), twin.state_dict())
    assert not same(before, twin.state_dict())


def test_torchs_schedulers_multiply_the_rate_and_change_no_recipe():
    model, counted = network(), count()
    optimizer = SchemeOptimizer(model, Curvature(level=0.5, schedule=Constant(), beta3=0.0))
    scheduler = StepLR(optimizer, step_size=1, gamma=0.1)
    for power in range(3):
        optimizer.step(lambda: (next(counted), loss_of(model))[1])
        scheduler.step()
        (extras,) = optimizer.extras()
        assert extras["lr"].item() == pytest.approx(0.5 * 0.1**power * extras["rescaling"].item())
    assert next(counted) == 3


def test_a_schedule_inside_the_scheme_follows_the_total():
    model = network()
    optimizer = SchemeOptimizer(model, Curvature(schedule=Cosine(floor=0.5)), total_steps=2)
    levels = []
    for _ in range(3):
        optimizer.step(lambda: loss_of(model))
        (extras,) = optimizer.extras()
        levels.append((extras["lr"] / extras["rescaling"]).item())
    assert levels == pytest.approx([1.0, 0.75, 0.5])


def test_frozen_parameters_stay_where_they_are():
    model = network()
    model[0].weight.requires_grad_(False)
    start = copy.deepcopy(model.state_dict())
    optimizer = SchemeOptimizer(model, Curvature(), weight_decay=0.1, total_steps=5)
    train(model, optimizer, range(2))
    assert same(model[0].weight, nn.Parameter(start["0.weight"], requires_grad=False))
    assert not same(model[4].weight.detach(), start["4.weight"])
    model[0].weight.requires_grad_(True)
    with pytest.raises(Refusal, match="frozen or thawed"):
        train(model, optimizer, [2])


@schemes
def test_gradients_of_the_loop_are_left_alone(scheme):
    model = network()
    model[0].weight.grad = mine = torch.ones_like(model[0].weight)
    train(model, SchemeOptimizer(model, scheme, total_steps=5), [0])
    assert model[0].weight.grad is mine
    assert same(mine, torch.ones_like(mine))
    assert model[4].weight.grad is None


def test_a_closure_that_fails_elsewhere_leaves_the_model_as_it_was():
    model, counted = network().eval(), count()
    start = copy.deepcopy(model.state_dict())

    def closure():
        if next(counted) == 2:
            raise KeyError("the loop's own")
        return loss_of(model)

    with pytest.raises(KeyError, match="the loop's own"):
        SchemeOptimizer(model, LineSearch()).step(closure)
    assert same(model.state_dict(), start)


@pytest.mark.parametrize(("recipe", "backend"), [("adjoints", "eager"), ("sweep", "eager"), ("graph", "inductor")])
def test_a_compiled_model_has_the_curvature_of_the_model_itself(recipe, backend, caplog):
    """Its own derivatives are none that can be differentiated, and nobody compiles what watches it."""
    found = []
    recorder._say.cache_clear()
    for compiled in (False, True):
        model = network()
        called = torch.compile(model, backend=backend) if compiled else model
        optimizer = SchemeOptimizer(model, Curvature(recipe=recipe), total_steps=2)
        with caplog.at_level(logging.WARNING):
            train(model, optimizer, range(2), of=called)
        found.append(optimizer.extras())
    assert same(*found)
    assert not caplog.records  # nothing fell back, nothing was compiled time and again


def test_an_autocast_around_the_step_is_as_one_within_the_closure():
    """Torch casts a leaf once in the outermost autocast, whatever the leaf holds since."""

    def autocast():
        return torch.autocast("cpu", torch.bfloat16)

    def rates(around, within):
        model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
        model.load_state_dict({name: value.float() for name, value in start.items()})
        optimizer, found = SchemeOptimizer(model, LineSearch(lr=4.0)), []

        def closure():
            with within():
                return model(inputs).square().mean()

        for _ in range(3):
            with around():
                optimizer.step(closure)
            found.append(optimizer.extras()[0]["lr"].item())
        return found

    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))
    start = {name: torch.randn(value.shape, generator=generator(name)) for name, value in model.state_dict().items()}
    inputs = torch.randn(8, 4, generator=generator("inputs"))
    assert rates(autocast, nullcontext) == pytest.approx(rates(nullcontext, autocast), rel=0.02)


# --- refusals --------------------------------------------------------------------------------------------


def test_a_step_without_a_closure_is_refused():
    with pytest.raises(Refusal, match=r"scheme 'curvature' asks for losses: step\(\) needs a closure"):
        SchemeOptimizer(network(), Curvature()).step()


def test_torchs_own_kind_of_closure_is_refused_and_nothing_moves():
    model = network()
    optimizer = SchemeOptimizer(model, LineSearch())
    start = copy.deepcopy(dict(model.named_parameters()))

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    with pytest.raises(Refusal, match=r"must return the loss without calling backward\(\)"):
        optimizer.step(closure)
    assert same(dict(model.named_parameters()), start)


@pytest.mark.parametrize("value", [None, 0.5, torch.tensor(1.0), torch.ones(2, requires_grad=True)])
def test_what_is_no_loss_is_refused(value):
    with pytest.raises(Refusal, match="must return the loss, one number that depends on the parameters; got"):
        SchemeOptimizer(network(), LineSearch()).step(lambda: value)


def test_several_groups_are_refused():
    groups = [{"params": [param]} for param in network().parameters()]
    with pytest.raises(Refusal, match=r"scheme 'line_search' looks along one direction: .* one parameter group"):
        SchemeOptimizer(groups, LineSearch())


def test_a_share_of_a_batch_that_cannot_be_divided_is_refused():
    model = network()
    with pytest.raises(Refusal, match=r"share: 0\.5 needs a batch that can be divided: set it to 1"):
        train(model, SchemeOptimizer(model, Curvature(share=0.5), total_steps=5), [0])


@schemes
def test_a_training_by_several_processes_is_refused(scheme, processes):
    model = network()
    before = copy.deepcopy(dict(model.state_dict()))
    with pytest.raises(Refusal, match=r"scheme '\w+' steps by .* and here are 2: train in one, or .* reads \.grad"):
        train(model, SchemeOptimizer(model, scheme, total_steps=1), [0])
    assert same(dict(model.state_dict()), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"direction": Momentum()}, "a direction that descends"), ({"decay": Decoupled()}, "the penalty in the loss")],
)
def test_impossible_pairs_are_refused_when_built(settings, message):
    with pytest.raises(Refusal, match=f"scheme 'curvature' needs {message}"):
        SchemeOptimizer(network(), Curvature(), **settings)
