"""Kernels: one compilation for every length, and what is made of scalars stays out of the loop."""

import shutil

import pytest
import torch

from trainables.updates.kernel import Kernel, NotAdditive
from trainables.updates.tanh import tanh

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")


def decayed(flat, beta, steps):
    """Multiplies in place by 1 − βᵗ; t + 1 comes back."""
    flat.copy_(flat * (1 - beta**steps))
    return [steps + 1]


def centred(flat, beta, count):
    """Takes away the mean of all elements times β, and returns the sum of the squares of what is left of each."""
    left = flat - beta * flat.sum() / count
    flat.copy_(left)
    return [(left * left).sum()]


def given(rows, *numbers):
    return torch.ones(rows, 16), *(torch.tensor(number, dtype=torch.float64) for number in numbers)


@pytest.fixture(scope="module")
def kernel():
    with torch.no_grad():
        return Kernel(decayed, *given(8, 0.5, 2.0))


def called(kernel, flat, *numbers):
    """The scalars after a call on one tensor."""
    leaves, sums = [flat, *numbers], []
    for stage in kernel.stages:
        found = stage.loop(*(leaves[place] for place in stage.used), *stage.scalars(*leaves, *sums))
        sums += stage.totals([found])
    return kernel.end(*leaves, *sums)


@pytest.mark.parametrize("rows", [1, 2, 8, 333])
def test_one_kernel_writes_over_tensors_of_every_length(kernel, rows):
    flat, *numbers = given(rows, 0.5, 2.0)
    (later,) = called(kernel, flat, *numbers)
    assert later.item() == 3.0
    assert flat.shape == (rows, 16)
    assert (flat == 0.75).all()


def test_the_loop_is_given_what_is_made_of_scalars_alone(kernel):
    flat, *numbers = given(4, 0.5, 2.0)
    (stage,) = kernel.stages
    assert stage.used == [0]
    (factor,) = stage.scalars(flat, *numbers)
    assert factor.item() == 0.75
    stage.loop(flat, torch.full_like(factor, 5.0))
    assert (flat == 5.0).all()


def test_a_sum_that_is_waited_for_is_another_stage():
    with torch.no_grad():
        kernel = Kernel(centred, *given(8, 1.0, 64.0))
        flat, *numbers = given(4, 0.5, 64.0)
        flat[0] = 2.0
        (squares,) = called(kernel, flat, *numbers)
    assert len(kernel.stages) == 2
    assert flat[:2, 0].tolist() == [2.0 - 0.625, 1.0 - 0.625]
    assert squares.item() == 16 * 1.375**2 + 48 * 0.375**2


def test_a_scalar_that_is_no_sum_of_a_tensor_is_refused():
    with pytest.raises(NotAdditive, match="max"):
        Kernel(lambda flat: [flat.max()], torch.ones(8, 16))


def test_the_tangent_is_that_of_torch_to_four_units_in_the_last_place_and_never_above_1():
    x = torch.cat([torch.linspace(-12, 12, 20001), torch.logspace(-30, 1, 20001)])
    exact = torch.tanh(x.double())
    torch.testing.assert_close(tanh(x).double(), exact, rtol=4.2e-7, atol=0)
    assert tanh(x).abs().max() == 1
    assert tanh(torch.tensor(float("nan"))).isnan()
