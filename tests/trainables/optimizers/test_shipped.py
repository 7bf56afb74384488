"""The optimizers that have a name here, in trials: bit for bit what their packages do in loops written by hand."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from trainables.components import find, members, slots
from trainables.data import Data, Split
from trainables.optimizers import Optimizer, Own
from trainables.optimizers.adamw import AdamW
from trainables.optimizers.dadapt_adam import DAdaptAdam
from trainables.optimizers.dadapt_sgd import DAdaptSGD
from trainables.optimizers.dog import DoG
from trainables.optimizers.lion import Lion
from trainables.optimizers.mechanic import Mechanic
from trainables.optimizers.momo_adam import MomoAdam
from trainables.optimizers.muon import Muon
from trainables.optimizers.prodigy import Prodigy
from trainables.optimizers.schedulefree_adamw import ScheduleFreeAdamW
from trainables.optimizers.schedulefree_sgd import ScheduleFreeSGD
from trainables.optimizers.soap import SOAP
from trainables.optimizers.sps_safe import SPSSafe
from trainables.packaged import Packaged
from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.schedules import Constant, Cosine
from trainables.seeds import generator
from trainables.tasks import Regression
from trainables.testing import copied, noisy_bowl, same, two_layers
from trainables.trial import Trial

for needed in (
    "dadaptation",
    "dog",
    "mechanic_pytorch",
    "momo",
    "prodigyopt",
    "schedulefree",
    "sps_safe",
):
    pytest.importorskip(needed, reason="needs the dependency group packaged")

import dadaptation  # noqa: E402
import dog  # noqa: E402
import mechanic_pytorch  # noqa: E402
import momo  # noqa: E402
import prodigyopt  # noqa: E402
import schedulefree  # noqa: E402
import sps_safe  # noqa: E402

STEPS, MIDDLE = 50, 23

POINTS = torch.randn(40, 3, generator=generator("curves"), dtype=torch.float64)
CURVES = Data(*(Split(POINTS, POINTS[:, :2].sin(), rows) for rows in torch.arange(40).split([32, 4, 4])))


def pytorch_optimizer():
    """Imports transformers: seconds, which no other test should wait for."""
    return pytest.importorskip("pytorch_optimizer", reason="needs the dependency group packaged")


@dataclass(frozen=True)
class Curves(Regression):
    """A small network, of matrices alone where that is asked for."""

    bias: bool = True

    def data(self):
        return CURVES

    def model(self):
        return nn.Sequential(nn.Linear(3, 4, bias=self.bias), nn.Tanh(), nn.Linear(4, 2, bias=self.bias))

    def prepare(self, inputs):
        return inputs


CASES = {
    "adamw": (AdamW(lr=0.01), lambda p: torch.optim.AdamW(p, 0.01)),
    "dadapt_adam": (
        DAdaptAdam(weight_decay=0.1, decouple=True),
        lambda p: dadaptation.DAdaptAdam(p, weight_decay=0.1, decouple=True),
    ),
    "dadapt_sgd": (DAdaptSGD(momentum=0.9, d0=1e-3), lambda p: dadaptation.DAdaptSGD(p, momentum=0.9, d0=1e-3)),
    "dog": (DoG(reps_rel=1e-3, weight_decay=0.1), lambda p: dog.DoG(p, reps_rel=1e-3, weight_decay=0.1)),
    "lion": (Lion(lr=0.01, weight_decay=0.1), lambda p: pytorch_optimizer().Lion(p, 0.01, weight_decay=0.1)),
    "mechanic": (
        Mechanic(AdamW(lr=1.0), s_init=1e-3),
        lambda p: mechanic_pytorch.mechanize(torch.optim.AdamW, s_init=1e-3)(p, lr=1.0),
    ),
    "momo_adam": (MomoAdam(weight_decay=0.1), lambda p: momo.MomoAdam(p, weight_decay=0.1)),
    "muon": (Muon(lr=0.05), lambda p: torch.optim.Muon(p, 0.05)),
    "prodigy": (Prodigy(weight_decay=0.1), lambda p: prodigyopt.Prodigy(p, weight_decay=0.1)),
    "schedulefree_adamw": (
        ScheduleFreeAdamW(lr=0.05, weight_decay=0.1),
        lambda p: schedulefree.AdamWScheduleFree(p, 0.05, weight_decay=0.1),
    ),
    "schedulefree_sgd": (ScheduleFreeSGD(lr=0.1), lambda p: schedulefree.SGDScheduleFree(p, 0.1)),
    "soap": (
        SOAP(lr=0.01, precondition_frequency=4),
        lambda p: pytorch_optimizer().SOAP(p, 0.01, precondition_frequency=4),
    ),
    "sps_safe": (SPSSafe(M=0.5), lambda p: sps_safe.SPS_safe(p, M=0.5)),
}


def test_every_shipped_optimizer_has_a_case():
    assert list(CASES) == list(members(Optimizer))


def trial_of(optimizer, schedule):
    task = Curves(bias=not optimizer.matrices_only)
    decay = Own(on="matrices" if two_groups(optimizer) else "all")
    rule = Packaged(optimizer, schedule, decay)
    return Trial(task=task, rule=rule, batch_size=7, epochs=10, precision="float64")


def two_groups(optimizer):
    """True for an optimizer that can leave vectors without decay, and has some."""
    return hasattr(optimizer, "weight_decay") and optimizer.decays_by_group and not optimizer.matrices_only


def groups_of(trial, model):
    """The groups that the trial should have: matrices, and vectors without decay."""
    params = list(model.parameters())
    if not two_groups(trial.rule.optimizer):
        return params
    vectors = {"params": [param for param in params if param.ndim < 2], "weight_decay": 0.0}
    return [{"params": [param for param in params if param.ndim >= 2]}, vectors]


def resumed(trial):
    """The run at its end, which was broken off in the middle and went on elsewhere."""
    first, second = Run(trial), Run(trial)
    while first.steps < MIDDLE:
        first.step()
        first.trial.rule.evaluated(first.params, first.rule_state)  # without consequence
    second.load_state_dict(copied(first.state_dict()))
    while not second.finished:
        second.step()
    return second


def by_hand(trial, make, schedule):
    """The trained parameters, and those to evaluate, of the package's own optimizer in a loop as its readme has it."""
    run = Run(trial)
    model = run.predictor.model
    model.load_state_dict(run.params)
    optimizer = make(groups_of(trial, model))
    averager = dog.PolynomialDecayAverager(model)
    first = [group.get("lr") for group in optimizer.param_groups]
    switch(optimizer, "train")
    for step in range(STEPS):
        run.steps = step
        (batch,) = run.course.batches(run.steps)
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            if schedule != Constant():
                group["lr"] = lr * float(schedule(torch.tensor(step / STEPS, dtype=torch.float64)))
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(batch.inputs), batch.targets)
        loss.backward()
        if isinstance(optimizer, momo.MomoAdam | sps_safe.SPS_safe):
            optimizer.step(loss=loss)
        else:
            optimizer.step()
        averager.step()
    trained = {name: param.detach().clone() for name, param in model.named_parameters()}
    switch(optimizer, "eval")
    judged = averager.averaged_model if isinstance(optimizer, dog.DoG) else model
    return trained, {name: param.detach().clone() for name, param in judged.named_parameters()}


def switch(optimizer, mode):
    if hasattr(optimizer, mode):
        getattr(optimizer, mode)()


@pytest.mark.filterwarnings("ignore:More than one param group")  # MoMo's, of its list of step sizes
@pytest.mark.parametrize("name", CASES)
def test_a_resumed_trial_walks_and_is_judged_as_the_package_in_a_loop_written_by_hand_bit_for_bit(name):
    optimizer, make = CASES[name]
    schedule = Constant() if isinstance(optimizer, SPSSafe) else Cosine()
    trial = trial_of(optimizer, schedule)
    run = resumed(trial)
    trained, judged = by_hand(trial, make, schedule)
    assert run.steps == STEPS
    assert same(run.params, trained)
    assert same(trial.rule.evaluated(run.params, run.rule_state), judged)
    assert any(not torch.equal(param, Run(trial).params[name]) for name, param in trained.items())


def test_lion_is_its_authors_formula_but_for_rounding():
    """Algorithm 2 of Chen et al. 2023 (arXiv 2302.06675), whose authors ship no package for torch."""
    draws = generator("lion")
    param = nn.Parameter(torch.randn(5, 3, generator=draws, dtype=torch.float64))
    theta, mean = param.detach().clone(), torch.zeros(5, 3, dtype=torch.float64)
    optimizer = Lion(lr=0.01, weight_decay=0.1).make([param])
    for _ in range(30):
        param.grad = torch.randn(5, 3, generator=draws, dtype=torch.float64)
        toward = (0.9 * mean + (1 - 0.9) * param.grad).sign()
        theta = theta * (1 - 0.01 * 0.1) - 0.01 * toward
        mean = 0.99 * mean + (1 - 0.99) * param.grad
        optimizer.step()
    torch.testing.assert_close(param.detach(), theta, rtol=0, atol=1e-15)


@pytest.mark.parametrize("optimizer", [DoG(reps_rel=0.1), SPSSafe(M=50.0)], ids=["dog", "sps_safe"])
def test_the_rate_in_records_is_the_length_of_the_last_step_in_gradients(optimizer):
    rule, params = Packaged(optimizer), two_layers()
    state = rule.init(params)
    for step in range(3):
        before, gradient = params, noisy_bowl(step).gradient(params)[1]
        _, params, state = rule.step(noisy_bowl(step), params, state, torch.zeros((), dtype=torch.float64))
        lengths = {(params[name] - before[name]).norm() / gradient[name].norm() for name in params}
        assert all(float(length) == pytest.approx(float(rule.extras(state)["lr"])) for length in lengths)


def test_mechanics_rate_in_records_is_the_way_from_the_start_over_the_sum_of_the_gradients():
    rule, params = Packaged(Mechanic(find(Optimizer, trusted("torch.optim:SGD"))(lr=0.5), s_init=0.1)), two_layers()
    start, state, gradients = params, rule.init(params), []
    for step in range(5):
        gradients.append(noisy_bowl(step).gradient(params)[1]["0.weight"])
        _, params, state = rule.step(noisy_bowl(step), params, state, torch.zeros((), dtype=torch.float64))
    way = (params["0.weight"] - start["0.weight"]).norm() / sum(gradients).norm()
    assert float(rule.extras(state)["lr"]) == pytest.approx(float(way))


def test_a_schedule_without_a_rate_is_refused_in_one_line():
    with pytest.raises(Refusal, match="optimizer 'sps_safe' has no lr that a schedule could multiply"):
        Run(trial_of(SPSSafe(), Cosine()))


@pytest.mark.parametrize("optimizer", [DAdaptSGD(), DoG(), MomoAdam(), SPSSafe()], ids=lambda one: one.kind)
def test_a_decay_of_matrices_alone_is_refused_where_all_groups_have_the_first_ones(optimizer):
    with pytest.raises(Refusal, match=r"makes two groups, and \w+ is another optimizer then"):
        Packaged(optimizer, decay=Own(on="matrices"))


@pytest.mark.parametrize(
    "keys",
    [
        {"optimizer": "dadapt_sgd", "schedule": "one_cycle", "schedule.initial": 0.0},
        {"optimizer": "dadapt_sgd", "schedule": "step", "schedule.factor": 0.0},
        {"optimizer": "mechanic", "optimizer.base": "dadapt_sgd", "schedule.warmup": 0.1},
    ],
    ids=str,
)
def test_a_schedule_that_is_nothing_somewhere_is_refused_for_it_too(keys):
    with pytest.raises(Refusal, match="optimizer 'dadapt_sgd' divides by its rate"):
        Trial.parse({"task": "quadratic", **keys})


def test_a_warm_up_of_what_divides_by_its_first_rate_is_refused_in_one_line():
    with pytest.raises(Refusal, match="optimizer 'dadapt_sgd' divides by its rate"):
        Trial.parse({"task": "quadratic", "optimizer": "dadapt_sgd", "schedule.warmup": 0.1})


def test_mechanic_leaves_its_bases_rate_at_its_default_and_not_to_the_searcher():
    known = slots(Trial, {"task": "quadratic", "optimizer": "mechanic"})
    assert [key for key, slot in known.items() if slot.domain] == []
    assert known["optimizer.base.lr"].default == 1.0


def test_mechanic_is_refused_around_what_asks_for_more_than_a_gradient_or_averages():
    for base in (SPSSafe(), ScheduleFreeSGD()):
        with pytest.raises(Refusal, match="mechanic scales a step along a gradient"):
            Run(trial_of(Mechanic(base), Constant()))
    with pytest.raises(Refusal, match="mechanic keeps one scale an optimizer"):
        Run(trial_of(Mechanic(Mechanic()), Constant()))
