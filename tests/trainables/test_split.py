"""A split: each rule's own trajectory on its own parameters, and which parameters those are."""

import copy
import pickle
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import pytest
import torch
from torch import nn

from trainables.components import find
from trainables.data import Data
from trainables.data import Split as Rows
from trainables.directions.adam import Adam
from trainables.optimizer import SchemeOptimizer
from trainables.optimizers import Optimizer
from trainables.optimizers.muon import Muon
from trainables.optimizers.schedulefree_sgd import ScheduleFreeSGD
from trainables.packaged import Packaged
from trainables.refusal import Refusal
from trainables.rules import Composed, Decoupled
from trainables.run.loop import Run
from trainables.run.own_loop import OwnLoop
from trainables.schedules import Schedule
from trainables.schemes.curvature import Curvature
from trainables.schemes.fixed import Fixed
from trainables.seeds import generator
from trainables.split import Split, hidden_matrices
from trainables.split_optimizer import SplitOptimizer
from trainables.tasks import Classification
from trainables.testing import check_fields, check_resume, copied, same
from trainables.training import Training
from trainables.trial import Trial

DOUBLE = {"dtype": torch.float64}
COSINE = find(Schedule, "cosine")()


@dataclass(frozen=True)
class Words(Classification):
    """An embedding, two hidden layers with a norm between, and a head: a little of everything."""

    num_classes = 2

    def data(self):
        return sentences()

    def model(self):
        body = [nn.Linear(12, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU()]
        return nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), *body, nn.Linear(6, 2))

    def prepare(self, inputs):
        return inputs


@cache
def sentences():
    words = torch.randint(5, (120, 3), generator=generator("words"))
    return Data(*(Rows(words, (words.sum(1) > 6).long(), rows) for rows in torch.arange(120).split([80, 20, 20])))


@dataclass(frozen=True)
class AdamW(Optimizer):
    """torch's."""

    package: ClassVar[str] = "torch"
    lr: float = 1e-2

    def make(self, params):
        return torch.optim.AdamW(params, lr=self.lr, weight_decay=0.1)

    def rate(self, live):
        return live.param_groups[0]["lr"]


MUON = Packaged(Muon(lr=0.05), COSINE)


def trained(rule, **fields):
    """A run of some fifty steps of five epochs, at its end."""
    run = Run(Trial(task=Words(), rule=rule, **{"epochs": 5, "batch_size": 8, "precision": "float64"} | fields))
    for _ in run:
        pass
    return run


def test_it_walks_as_two_optimizers_of_torch_in_a_loop_written_by_hand_bit_for_bit():
    run = trained(Split(MUON, Packaged(AdamW())))
    by_hand = Run(Trial(task=Words(), epochs=5, batch_size=8, precision="float64"))
    model = by_hand.predictor.model
    model.load_state_dict(by_hand.params)
    matrices = {"2.weight", "5.weight"}
    named = dict(model.named_parameters())
    muon = torch.optim.Muon([named[name] for name in named if name in matrices], lr=0.05)
    adamw = torch.optim.AdamW([named[name] for name in named if name not in matrices], lr=1e-2, weight_decay=0.1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(muon, lambda step: float(COSINE(torch.tensor(step / 50, **DOUBLE))))
    for step in range(50):
        by_hand.steps = step
        (batch,) = by_hand.course.batches(step)
        for optimizer in (muon, adamw):
            optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch.inputs), batch.targets).backward()
        muon.step()
        adamw.step()
        scheduler.step()
    assert run.steps == 50
    assert same(run.params, {name: param.detach() for name, param in named.items()})
    last = run.records[-1]
    assert last.lr == pytest.approx(0.05 * float(COSINE(torch.tensor(49 / 50))))
    assert last.extras["rest_lr"] == 1e-2
    assert last.extras["hidden_share"] == pytest.approx((72 + 36) / (20 + 72 + 6 + 12 + 36 + 6 + 14))


@pytest.mark.parametrize(
    "rule",
    [Composed(Adam(), Fixed(lr=0.01, schedule=COSINE), Decoupled(0.1)), Packaged(ScheduleFreeSGD(lr=0.1))],
    ids=["composed", "packaged"],
)
def test_the_same_rule_on_both_sides_is_that_rule_bit_for_bit(rule):
    split, alone = trained(Split(rule, rule), epochs=2), trained(rule, epochs=2)
    assert same(split.params, alone.params)
    assert same(split.artifacts(), alone.artifacts())
    assert [record.valid_loss for record in split.records] == [record.valid_loss for record in alone.records]


@pytest.mark.parametrize("steps", [1, 7, 10, 13])
def test_it_resumes_bit_for_bit_at_any_step(steps):
    check_resume({**Trial(task=Words(), rule=Split(), epochs=2, batch_size=8).flat()}, interrupt=steps)


def test_of_both_sides_the_average_is_evaluated_where_one_is_kept():
    run = trained(Split(MUON, Packaged(ScheduleFreeSGD(lr=0.1))), epochs=1)
    evaluated = run.trial.rule.evaluated(run.params, run.rule_state)
    differing = {name for name in evaluated if not same(evaluated[name], run.params[name])}
    assert list(evaluated) == list(run.params)
    assert differing == set(run.params) - {"2.weight", "5.weight"}
    plain = trained(Split(MUON, Packaged(AdamW())), epochs=1)
    assert plain.trial.rule.evaluated(plain.params, plain.rule_state) is plain.params


def test_nothing_is_written_into_what_a_step_is_given():
    run = trained(Split(), epochs=1)
    before = copied(run.params)
    params = run.params
    run.step()
    assert same(before, params)


@pytest.mark.slow
def test_two_composed_sides_compile_to_what_they_are():
    rule = Split(Composed(scheme=Fixed(lr=0.1)), Composed(Adam(), Fixed(lr=0.01)))
    compiled, plain = trained(rule, epochs=1, compile=True), trained(rule, epochs=1)
    for name, param in plain.params.items():
        torch.testing.assert_close(compiled.params[name], param)


class Tied(nn.Module):
    """A head that is registered before the body and tied to the embedding; convolutions and vectors beside it."""

    def __init__(self):
        super().__init__()
        self.embedding, self.positions = nn.Embedding(7, 4), nn.EmbeddingBag(3, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight
        self.conv, self.flat = nn.Conv1d(4, 4, 1), nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.last = nn.Sequential(nn.Linear(4, 3), nn.ReLU())


def test_hidden_matrices_are_no_embeddings_nor_tied_to_one_nor_kernels_vectors_or_the_last_module():
    assert hidden_matrices(Tied()) == ["flat.weight", "attention.in_proj_weight", "attention.out_proj.weight"]


def test_its_fields_are_those_of_both_rules_each_below_its_own_key():
    check_fields(Split())
    given = {
        "hidden.optimizer": "muon",
        "hidden.optimizer.lr": 0.3,
        "rest.direction": "momentum",
        "rest.scheme.lr": 0.2,
    }
    rule = Trial.parse({"task": "quadratic", "rule": "split", "rest.direction.momentum": 0.8, **given}).rule
    assert rule.hidden.optimizer == Muon(lr=0.3)
    assert (rule.rest.direction.momentum, rule.rest.scheme.lr, rule.rest.decay.weight_decay) == (0.8, 0.2, 0.01)


@dataclass(frozen=True)
class Searching(AdamW):
    """One that asks for a closure."""

    def make(self, params):
        return torch.optim.LBFGS(params)


@pytest.mark.parametrize(
    ("begun", "line"),
    [
        (lambda: Trial.parse({"task": "quadratic", "rule": "split", "hidden": "split"}), "a split in a split"),
        (lambda: trained(Split(rest=Composed(scheme=Curvature()))), "rest.scheme may ask for no more"),
        (lambda: trained(Split(rest=Packaged(Searching()))), "rest.optimizer asks for a closure"),
        (lambda: Run(Trial.parse({"task": "quadratic", "rule": "split"})), "no hidden matrix in this model"),
        (lambda: trained(Packaged(Muon())), "say rule: split"),
        (lambda: trained(Split(), compile=True), "compile: true needs a composed rule"),
        (lambda: Split().init({}), "begins with a model"),
    ],
    ids=["nested", "scheme", "closure", "none", "vectors", "compiled", "no model"],
)
def test_it_is_refused_in_one_line(begun, line):
    with pytest.raises(Refusal, match=line):
        begun()


def start():
    """The parameters that a run of ours starts with."""
    return Run(Trial(task=Words(), precision="float64")).params


@dataclass(frozen=True)
class OwnWords(Training):
    """The same by a loop of one's own."""

    metric, mode, chance = "accuracy", "max", 0.5

    def train(self, session):
        data, model = sentences(), Words().model().double()
        model.load_state_dict(start())
        optimizer = session.optimizer(model, steps_per_epoch=10)
        for epoch in session.epochs(model=model, optimizer=optimizer):
            for rows in data.train.rows[torch.randperm(80, generator=generator(0, "order", epoch))].split(8):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(data.train.inputs[rows]), data.train.targets[rows]).backward()
                optimizer.step()
            with session.evaluating():
                trained = torch.cat([param.detach().flatten() for param in model.parameters()])
            session.log(**{f"at{place}": value for place, value in enumerate(trained)})
            session.report(0.5)


@pytest.mark.parametrize(
    ("rest", "within"),
    [
        (Packaged(ScheduleFreeSGD(lr=0.1)), 1e-14),  # whose own way to the average and back is none of bits
        (Composed(Adam(), Fixed(lr=0.01, schedule=COSINE), Decoupled(0.1)), 0.0),
    ],
    ids=["averaging", "composed"],
)
def test_in_a_loop_of_one_s_own_it_walks_as_in_ours_over_a_resume(rest, within):
    rule = Split(MUON, rest)
    own = Trial(task=OwnWords(), rule=rule, epochs=2)
    first, second = OwnLoop(own), OwnLoop(own)
    first.epoch()
    second.load_state_dict(copied(first.state_dict()))
    first.close()
    *_, last = second
    ours = trained(rule, epochs=2)
    judged = torch.cat([param.flatten() for param in rule.evaluated(ours.params, ours.rule_state).values()])
    told = [last.extras[f"at{place}"] for place in range(len(judged))]
    assert last.steps == last.passes == 20
    torch.testing.assert_close(torch.tensor(told, dtype=torch.float64), judged, rtol=0, atol=within)
    names = ("hidden_share", "rest_lr")
    assert [last.extras[name] for name in names] == pytest.approx([ours.records[-1].extras[name] for name in names])


@pytest.mark.parametrize("copied_by", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])  # noqa: S301
def test_a_copy_of_both_optimizers_goes_its_own_way(copied_by):
    def made():
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        hidden = torch.optim.SGD([model[0].weight, model[2].weight], lr=0.1, momentum=0.9)
        return model, SplitOptimizer(hidden, SchemeOptimizer([model[0].bias, model[2].bias], direction=Adam(), lr=0.01))

    def walk(model, optimizer):
        for step in range(2):
            optimizer.zero_grad()
            model(torch.randn(8, 3, generator=generator("inputs", step))).square().mean().backward()
            optimizer.step()
        return {name: param.detach().clone() for name, param in model.named_parameters()}

    model, optimizer = made()
    walk(model, optimizer)
    twin, twin_optimizer = copied_by((model, optimizer))
    ours = walk(model, optimizer)
    assert same(walk(twin, twin_optimizer), ours)
    for group in twin_optimizer.param_groups:
        group["lr"] = 0.0
    before = walk(model, optimizer)
    assert same(walk(twin, twin_optimizer), ours)  # at a rate of 0, each side of it
    assert not same(before, ours)
    with pytest.raises(Refusal, match="a split takes no further parameters"):
        twin_optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))]})
