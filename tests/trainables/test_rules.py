"""The composed rule's own parts: decay as a number or a schedule, and gradient clipping."""

import pytest
import torch

from trainables.directions.adam import Adam
from trainables.oracle import clipped
from trainables.rules import Composed, Coupled, Decoupled
from trainables.run.loop import Run
from trainables.schedules import Constant, Cosine, Step
from trainables.schedules.decays import Linear
from trainables.schemes.fixed import Fixed
from trainables.testing import check_fields, check_vmap, noisy_bowl, same, steps, two_layers
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
