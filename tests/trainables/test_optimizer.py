"""SchemeOptimizer: the trials' rule bit for bit, and torch's own optimizers where they do the same."""

import copy
import io
import math
import re

import pytest
import torch
from conftest import ROOT
from torch import nn
from torch.optim.lr_scheduler import LinearLR, StepLR

from trainables.components import members
from trainables.directions import Direction
from trainables.directions.adam import Adam
from trainables.directions.momentum import Momentum
from trainables.optimizer import SchemeOptimizer
from trainables.oracle import Oracle
from trainables.refusal import Refusal
from trainables.rules import Composed, Coupled, Decoupled
from trainables.schedules import Constant, Cosine
from trainables.schedules.decays import Linear
from trainables.schemes import Scheme
from trainables.schemes.cprop import CProp
from trainables.schemes.curvature import Curvature
from trainables.schemes.fixed import Fixed
from trainables.schemes.hypergradient import Hypergradient
from trainables.schemes.multilevel import MultiLevel
from trainables.schemes.plateau import Plateau
from trainables.seeds import generator
from trainables.testing import same

GIVES_ONLY_GRADIENTS = {name: scheme for name, scheme in members(Scheme).items() if not scheme.asks}


def network():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)).double()
    with torch.no_grad():
        for param in model.parameters():
            param.copy_(torch.randn(param.shape, generator=generator("net", *param.shape), dtype=param.dtype))
    return model


def loss_of(model, step=0):
    inputs = torch.randn(8, 4, generator=generator("inputs", step), dtype=torch.float64)
    return model(inputs).square().mean()


def train(model, optimizer, count, scheduler=None, first=0, clip=None):
    for step in range(first, first + count):
        optimizer.zero_grad()
        loss_of(model, step).backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        if scheduler:
            scheduler.step()
    return dict(model.named_parameters())


def assert_close(left, right):
    for name, param in left.items():
        torch.testing.assert_close(param, right[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("direction", members(Direction).values(), ids=members(Direction))
@pytest.mark.parametrize("scheme", GIVES_ONLY_GRADIENTS.values(), ids=GIVES_ONLY_GRADIENTS)
def test_is_the_rule_of_a_trial_bit_for_bit(scheme, direction):
    rule, model = Composed(direction(), scheme(), Coupled(0.01)), network()
    params = {name: param.detach().clone() for name, param in model.named_parameters()}
    state = rule.init(params)
    for step in range(4):

        def objective(values, step=step):
            return loss_of(lambda inputs: torch.func.functional_call(model, values, (inputs,)), step)

        _, params, state = rule.step(Oracle(objective), params, state, torch.zeros((), dtype=torch.float64))
    ours = train(network_ := network(), SchemeOptimizer(network_, scheme(), direction(), weight_decay=0.01), 4)
    assert same({name: param.detach() for name, param in ours.items()}, params)


@pytest.mark.parametrize(
    ("scheduler", "settings"), [(StepLR, {"step_size": 3, "gamma": 0.3}), (LinearLR, {"total_iters": 5})]
)
@pytest.mark.parametrize(
    ("settings_of_ours", "theirs", "settings_of_theirs"),
    [
        ({"direction": Momentum(0.8), "weight_decay": 0.05}, torch.optim.SGD, {"momentum": 0.8, "weight_decay": 0.05}),
        ({"direction": Adam(), "decay": Decoupled(0.1)}, torch.optim.AdamW, {"weight_decay": 0.1}),
    ],
)
def test_equals_torch_under_torchs_schedulers(scheduler, settings, settings_of_ours, theirs, settings_of_theirs):
    ours, other = network(), network()
    optimizer = SchemeOptimizer(ours.parameters(), Fixed(lr=0.1), **settings_of_ours)
    walked = train(ours, optimizer, 10, scheduler(optimizer, **settings))
    reference = theirs(other.parameters(), lr=0.1, **settings_of_theirs)
    assert_close(walked, train(other, reference, 10, scheduler(reference, **settings)))


def test_groups_and_clipping_equal_torch():
    def groups(model):
        return [
            {"params": [model[0].weight, model[2].weight], "weight_decay": 0.1},
            {"params": [model[0].bias, model[2].bias], "lr": 0.05},
        ]

    ours, other = network(), network()
    walked = train(ours, SchemeOptimizer(groups(ours), Fixed(lr=0.2), Momentum(0.9)), 8, clip=0.1)
    reference = torch.optim.SGD(groups(other), lr=0.2, momentum=0.9)
    assert_close(walked, train(other, reference, 8, clip=0.1))


def test_a_group_with_its_own_lr_starts_its_hypergradient_there():
    model = network()
    groups = [{"params": [model[0].weight], "lr": 0.05}, {"params": [model[2].weight]}]
    optimizer = SchemeOptimizer(groups, Hypergradient(lr=0.01))
    train(model, optimizer, 1)
    assert [extras["lr"].item() for extras in optimizer.extras()] == [0.05, 0.01]


@pytest.mark.parametrize("scheme", GIVES_ONLY_GRADIENTS.values(), ids=GIVES_ONLY_GRADIENTS)
def test_continues_from_its_state_bit_for_bit(scheme):
    whole, first = network(), network()
    train(whole, SchemeOptimizer(whole, scheme(), Adam()), 6)
    before = SchemeOptimizer(first, scheme(), Adam())
    train(first, before, 3)
    stored = io.BytesIO()
    torch.save(before.state_dict(), stored)
    stored.seek(0)
    after = SchemeOptimizer(first, scheme(), Adam())
    after.load_state_dict(torch.load(stored, weights_only=True))
    train(first, after, 3, first=3)
    assert same(whole.state_dict(), first.state_dict())


def test_a_copy_goes_its_own_way():
    model = network()
    optimizer = SchemeOptimizer(model, CProp(), Momentum())
    train(model, optimizer, 2)
    twin, twin_optimizer = copy.deepcopy((model, optimizer))
    assert same(dict(train(model, optimizer, 2, first=2)), dict(train(twin, twin_optimizer, 2, first=2)))


def test_gradients_that_are_zeroed_in_place_are_remembered_all_the_same():
    found = []
    for to_none in (True, False):
        model = network()
        optimizer = SchemeOptimizer(model, Hypergradient(lr=0.01, beta=0.01))
        for step in range(3):
            optimizer.zero_grad(set_to_none=to_none)
            loss_of(model, step).backward()
            optimizer.step()
        found.append(model.state_dict())
    assert same(*found)


def test_layers_come_from_a_module_or_from_names():
    for params in (network(), network().named_parameters()):
        SchemeOptimizer(params, MultiLevel())
    with pytest.raises(Refusal, match="need names: give SchemeOptimizer the module"):
        SchemeOptimizer(network().parameters(), MultiLevel())
    SchemeOptimizer(network().parameters(), MultiLevel(levels="global+unit"))


def test_frozen_parameters_stay_where_they_are():
    model = network()
    model[0].weight.requires_grad_(False)
    start = model[0].weight.clone()
    train(model, SchemeOptimizer(model, Fixed(lr=0.1), decay=Decoupled(0.5)), 3)
    assert same(model[0].weight.detach(), start)


def test_a_schedule_inside_the_scheme_needs_to_know_the_total():
    ours, other = network(), network()
    walked = train(ours, SchemeOptimizer(ours, Fixed(lr=0.1, schedule=Cosine()), total_steps=5), 5)
    reference = torch.optim.SGD(other.parameters(), lr=0.1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(reference, T_max=5)
    assert_close(walked, train(other, reference, 5, cosine))


@pytest.mark.parametrize(
    "rule",
    [
        {"scheme": Fixed(schedule=Cosine())},
        {"scheme": Fixed(schedule=Constant(warmup=0.1))},
        {"decay": Decoupled(0.1, schedule=Linear())},
        {"scheme": Curvature()},
    ],
    ids=["schedule", "warm-up", "decay", "curvature"],
)
def test_a_schedule_that_would_stand_still_is_refused(rule):
    model = network()
    optimizer, start = SchemeOptimizer(model, **rule), copy.deepcopy(dict(model.named_parameters()))
    loss_of(model).backward()
    with pytest.raises(Refusal, match=r"the rule has a schedule: give total_steps=, or set optimizer\.progress"):
        optimizer.step(lambda: loss_of(model))
    assert same(start, dict(model.named_parameters()))
    optimizer.progress = 0.5
    optimizer.step(lambda: loss_of(model))


def rates_of_two_groups(*, added=False, broken=False):
    """The rates of the last of ten steps; the first group trains in the last five alone, or is added for these."""
    late, other = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

    def made(groups):
        scheme = Fixed(lr=1.0, schedule=Cosine())
        return SchemeOptimizer([{"params": [param]} for param in groups], scheme, total_steps=10)

    optimizer = made([other] if added else [late, other])
    for step in range(10):
        if step == 5 and added:
            optimizer.add_param_group({"params": [late]})
        if step == 7 and broken:
            saved, optimizer = optimizer.state_dict(), made([other, late] if added else [late, other])
            optimizer.load_state_dict(saved)
        late.grad, other.grad = (torch.ones(2) if step >= 5 else None), torch.ones(2)
        optimizer.step()
    return [extras["lr"].item() for extras in optimizer.extras()]


@pytest.mark.parametrize("broken", [False, True], ids=["whole", "saved and loaded"])
@pytest.mark.parametrize("added", [False, True], ids=["thawed", "added"])
def test_a_group_that_comes_late_is_as_far_as_the_training(added, broken):
    cosine = (1 + math.cos(0.9 * math.pi)) / 2
    assert rates_of_two_groups(added=added, broken=broken) == pytest.approx([cosine, cosine])


def test_a_closure_is_called_and_its_loss_returned():
    model = network()
    optimizer = SchemeOptimizer(model, Fixed(lr=0.1))

    def closure():
        optimizer.zero_grad()
        loss = loss_of(model)
        loss.backward()
        return loss

    assert optimizer.step(closure) > loss_of(model)


def test_plateau_hears_the_validation_score():
    model = network()
    optimizer = SchemeOptimizer(model, Plateau(lr=0.1, patience=1))
    for _ in range(2):
        train(model, optimizer, 1)
        optimizer.after_epoch(0.5)
    train(model, optimizer, 1)
    assert optimizer.extras()[0]["lr"].item() == pytest.approx(0.01)


def test_a_state_of_another_rule_is_refused():
    state = SchemeOptimizer(network(), CProp()).state_dict()
    with pytest.raises(Refusal, match="the state is of another rule"):
        SchemeOptimizer(network(), CProp(beta=0.99)).load_state_dict(state)


README = (ROOT / "trainables" / "README.md").read_text()
LINES = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "SchemeOptimizer(" in block]


@pytest.mark.parametrize("lines", LINES, ids=range(len(LINES)))
def test_the_lines_in_the_readme_run(lines):
    model = network()
    before = copy.deepcopy(model.state_dict())
    exec(lines, {"model": model, "loss_of": loss_of})  # noqa: S102  — the README's own lines are what is tested
    assert not same(before, model.state_dict())
