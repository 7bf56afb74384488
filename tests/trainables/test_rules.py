"""The composed rule's own parts: decay as a number or a schedule, and gradient clipping."""

import re
from dataclasses import dataclass, replace

import pytest
import torch

from trainables.directions import Direction
from trainables.directions.adam import Adam
from trainables.directions.sgd import SGD
from trainables.oracle import Oracle, clipped
from trainables.refusal import Refusal
from trainables.rules import Composed, Coupled, Decoupled
from trainables.run.loop import Run
from trainables.schedules import Constant, Cosine, Step
from trainables.schedules.decays import Linear
from trainables.schemes.curvature import Curvature
from trainables.schemes.fixed import Fixed
from trainables.schemes.line_search import LineSearch
from trainables.testing import bowl, check_fields, check_vmap, noisy_bowl, same, steps, two_layers
from trainables.trial import Trial


@pytest.mark.parametrize("decay", [Coupled, Decoupled])
def test_a_decay_is_written_and_read_with_its_schedule(decay):
    check_fields(decay())
    rule = Composed.parse({"decay": "decoupled", "decay.weight_decay": 0.1, "decay.schedule": "cosine"})
    assert rule.decay == Decoupled(0.1, schedule=Cosine())


@pytest.mark.parametrize(
    ("decay", "optimizer"), [(Coupled, torch.optim.SGD), (Coupled, torch.optim.Adam), (Decoupled, torch.optim.AdamW)]
)
def test_scheduled_decay_equals_torch_with_its_weight_decay_set_at_every_step(decay, optimizer):
    count, schedule = 30, Linear(floor=0.1, warmup=0.2)
    direction = {} if optimizer is torch.optim.SGD else {"direction": Adam()}
    ours, _ = steps(Composed(scheme=Fixed(0.01), decay=decay(0.3, schedule=schedule), **direction), count)
    leaves = {name: param.requires_grad_() for name, param in two_layers().items()}
    theirs = optimizer(leaves.values(), lr=0.01)
    for step in range(count):
        progress = torch.tensor(step / count, dtype=torch.float64)
        theirs.param_groups[0]["weight_decay"] = 0.3 * schedule(progress).item()
        _, gradient = noisy_bowl(step).gradient(leaves)
        for name, leaf in leaves.items():
            leaf.grad = gradient[name]
        theirs.step()
    for name, param in ours.items():
        torch.testing.assert_close(param, leaves[name].detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("decay", [Coupled, Decoupled])
def test_a_decay_of_constant_schedule_is_the_number(decay):
    def trained(schedule):
        return steps(Composed(scheme=Fixed(0.1), decay=decay(0.3, schedule=schedule)), 5, torch.float32)

    assert same(trained(Constant()), trained(Step(drops=0)))
    assert not same(trained(Constant()), trained(Step(factor=0.5)))


@pytest.mark.parametrize("decay", [Coupled, Decoupled])
def test_scheduled_decay_vmaps_over_its_numbers(decay):
    check_vmap(Composed(decay=decay(0.3, schedule=Linear(floor=0.1, warmup=0.2))))


@pytest.mark.parametrize("decay", [Coupled, Decoupled])
@pytest.mark.parametrize("on", ["all", "matrices"])
def test_decay_on_matrices_leaves_vectors_alone_bit_for_bit(decay, on):
    lr, weight_decay = torch.tensor(0.1, dtype=torch.float64), 0.3
    ours, _ = steps(Composed(scheme=Fixed(0.1), decay=decay(weight_decay, on=on)), 5)
    theirs = two_layers()
    for step in range(5):
        _, gradient = noisy_bowl(step).gradient(theirs)
        for name, param in theirs.items():
            pulled, raw = on == "all" or param.ndim == 2, gradient[name]
            if pulled and decay is Coupled:
                raw = raw + weight_decay * param
            if pulled and decay is Decoupled:
                param = (1 - lr * weight_decay) * param
            theirs[name] = torch.addcmul(param, raw, -lr)
    assert same(ours, theirs)


@pytest.mark.parametrize(
    ("decay", "optimizer"), [(Coupled, torch.optim.SGD), (Coupled, torch.optim.Adam), (Decoupled, torch.optim.AdamW)]
)
def test_decay_on_matrices_equals_torch_with_a_group_of_vectors_without_decay(decay, optimizer):
    direction = {} if optimizer is torch.optim.SGD else {"direction": Adam()}
    rule = Composed.parse({"decay": "coupled" if decay is Coupled else "decoupled", "decay.on": "matrices"})
    assert rule.decay.on == "matrices"
    ours, _ = steps(Composed(scheme=Fixed(0.01), decay=decay(0.3, on="matrices"), **direction), 30)
    leaves = {name: param.requires_grad_() for name, param in two_layers().items()}
    groups = [
        {"params": [leaf for leaf in leaves.values() if leaf.ndim == 2], "weight_decay": 0.3},
        {"params": [leaf for leaf in leaves.values() if leaf.ndim == 1], "weight_decay": 0.0},
    ]
    theirs = optimizer(groups, lr=0.01)
    for step in range(30):
        for name, grad in noisy_bowl(step).gradient(leaves)[1].items():
            leaves[name].grad = grad
        theirs.step()
    for name, param in ours.items():
        torch.testing.assert_close(param, leaves[name].detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scheme", [LineSearch(lr=10.0), Curvature(), Curvature(recipe="sweep")], ids=str)
def test_schemes_that_ask_see_the_penalty_of_matrices_alone(scheme):
    """The same as the penalty in the loss itself, which leaves vectors out."""
    params = {name: param + 1 for name, param in two_layers().items()}

    def penalised(step):
        def objective(values):
            return bowl(step)(values) + 0.35 * sum(p.square().sum() for p in values.values() if p.ndim == 2)

        return objective

    decayed, plain = Composed(scheme=scheme, decay=Coupled(0.7, on="matrices")), Composed(scheme=scheme)
    now = torch.tensor(0.0, dtype=torch.float64)
    _, ours, state = decayed.step(noisy_bowl(0), params, decayed.init(params), now)
    _, theirs, expected = plain.step(Oracle(penalised(0)), params, plain.init(params), now)
    assert state.lr.item() == pytest.approx(expected.lr.item(), rel=1e-9)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("max_norm", [1e-3, 1.0, 1e3])
def test_clipping_equals_torch(max_norm):
    """Torch adds 1e-6 to the norm before it divides, so the two agree to that."""
    gradient = two_layers()
    leaves = [torch.zeros_like(grad).requires_grad_() for grad in gradient.values()]
    for leaf, grad in zip(leaves, gradient.values(), strict=True):
        leaf.grad = grad.clone()
    torch.nn.utils.clip_grad_norm_(leaves, max_norm)
    for ours, leaf in zip(clipped(gradient, max_norm).values(), leaves, strict=True):
        torch.testing.assert_close(ours, leaf.grad, rtol=1e-6, atol=0)


def test_a_trial_with_gradient_clip_moves_at_most_lr_times_it():
    flat = {"task": "quadratic", "batch_size": "full", "epochs": 1, "scheme.lr": 0.5, "precision": "float64"}
    free, held = (Run(Trial.parse(flat | extra)) for extra in ({}, {"gradient_clip": 0.01}))
    for run in (free, held):
        run.step()
    assert free.params["centre"].norm() > 0.01
    assert held.params["centre"].norm().item() == pytest.approx(0.5 * 0.01, rel=1e-12)


@dataclass(frozen=True)
class Telling(Fixed):
    """Tells a number under a name of its own choice."""

    word: str = "mine"

    def extras(self, state):
        return {self.word: torch.zeros(())}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("steps", "a rule's extras: steps is a number of every record; choose another name"),
        ("test_loss", "test_loss is a number of every record"),
        ("k", "k is a column of every study's table"),
        ("a b?", "cannot be recorded"),
        ("lr", "lr is the base rate, choose another name"),
    ],
)
def test_a_schemes_numbers_take_no_name_of_a_records_own(word, said):
    trial = Trial.parse({"task": "quadratic", "epochs": 1})
    Run(replace(trial, rule=Composed(scheme=Telling(lr=0.1)))).rehearse()
    wrong = replace(trial, rule=Composed(scheme=Telling(lr=0.1, word=word)))
    for ask in (Run.rehearse, Run.epoch):
        with pytest.raises(Refusal, match=re.escape(said)):
            ask(Run(wrong))


@dataclass(frozen=True)
class Wrong(Fixed):
    """Answers otherwise."""

    how: str = "float"

    def rate(self, known):
        rate, state = super().rate(known)
        return {"float": 0.1, "rate alone": rate, "no tensor": (rate._replace(base=0.1), state)}[self.how]


@pytest.mark.parametrize("how", ["float", "rate alone", "no tensor"])
def test_a_scheme_that_answers_otherwise_is_told_what_to_return(how):
    rule = Composed(scheme=Wrong(lr=0.1, how=how))
    with pytest.raises(Refusal, match=r"rate\(\) must return \(Rate\(base\), state\), base a tensor"):
        steps(rule, 1)


@dataclass(frozen=True)
class Plain(SGD):
    """Says nothing of itself."""


def test_a_direction_that_does_not_say_so_does_not_descend():
    assert not Direction.descends
    assert Plain.descends  # of its base
