"""Tasks whose loss does not see the length of their weights, and their negative controls, whose loss does."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.func import functional_call

from trainables.components import find
from trainables.refusal import Refusal
from trainables.run import scale_invariance as spheres
from trainables.seeds import generator
from trainables.tasks import Task
from trainables.tasks.cifar10_preresnet import Cifar10PreResNet
from trainables.tasks.fashion_mlp_norm import FashionMLPNorm
from trainables.tasks.mnist_cnn4_bn import MnistCNN4BN
from trainables.trial import Trial

SHAPES = {"fashion_mlp_norm": (28, 28), "mnist_cnn4_bn": (28, 28), "cifar10_preresnet": (3, 32, 32)}
SMALL = {
    "fashion_mlp_norm": {"hidden": 8},
    "mnist_cnn4_bn": {"width": 4},
    "cifar10_preresnet": {"depth": 8, "width": 4, "augmented": False},
}
every_task = pytest.mark.parametrize("name", SHAPES)


def loss_of(name, **fields):
    """The loss of a small network of the task on random images, in double precision, and what it trains."""
    torch.manual_seed(0)
    task = find(Task, name)(**{**SMALL[name], **fields})
    model, draws = task.model().double(), generator("images", name)
    images = torch.randint(0, 256, (16, *SHAPES[name]), generator=draws, dtype=torch.uint8)
    inputs, targets = task.prepare(images).double(), torch.randint(10, (16,), generator=draws)
    params = {n: param.detach() for n, param in model.named_parameters() if param.requires_grad}
    return lambda values: task.loss(functional_call(model, values, (inputs,)), targets), params


def gradients(loss, params):
    leaves = {name: param.clone().requires_grad_() for name, param in params.items()}
    return dict(zip(leaves, torch.autograd.grad(loss(leaves), list(leaves.values())), strict=True))


@every_task
def test_every_trained_tensor_is_scale_invariant(name):
    loss, params = loss_of(name)
    assert spheres.invariant(loss, params) == list(params)


@every_task
def test_a_trained_last_layer_is_one_tensor_more_and_sees_its_length(name):
    frozen, (loss, params) = loss_of(name)[1], loss_of(name, trained_last=True)
    (last,) = params.keys() - frozen.keys()
    assert last == list(params)[-1]
    assert spheres.invariant(loss, params) == list(frozen)


@every_task
def test_without_normalisation_no_tensor_is_scale_invariant(name):
    assert spheres.invariant(*loss_of(name, normalised=False)) == []


@every_task
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(factor=st.floats(0.05, 50.0), place=st.integers(0, 100))
def test_a_tensor_times_c_has_its_gradient_over_c_and_leaves_the_others_theirs(name, factor, place):
    loss, params = loss_of(name)
    scaled = list(params)[place % len(params)]
    before, after = gradients(loss, params), gradients(loss, {**params, scaled: factor * params[scaled]})
    for other, gradient in before.items():
        expected = gradient / factor if other == scaled else gradient
        torch.testing.assert_close(after[other], expected, rtol=1e-4, atol=1e-5 * float(expected.norm()))


@pytest.mark.parametrize(
    ("task", "count"),
    [
        (FashionMLPNorm(), 784 * 128 + 128 * 128),
        (MnistCNN4BN(), 9 * (16 + 16 * 16 + 16 * 32 + 32 * 32)),
        (Cifar10PreResNet(), 9 * (3 * 16 + 10 * 16**2 + (16 * 32 + 9 * 32**2) + (32 * 64 + 9 * 64**2))),
    ],
)
def test_they_have_as_many_parameters_as_they_say(task, count):
    assert sum(param.numel() for param in task.model().parameters() if param.requires_grad) == count


def test_a_depth_that_no_number_of_blocks_has_is_refused():
    with pytest.raises(Refusal, match=r"^task\.depth must be 6n \+ 2, as 32 is, got 33$"):
        Trial.parse({"task": "cifar10_preresnet", "task.depth": 33})
