"""Kernels: one compilation for every length, and what is made of scalars stays out of the loop."""

import shutil

import pytest
import torch

from trainables.updates.kernel import Kernel

pytestmark = pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on a CPU")


def decayed(flat, beta, steps):
    """Multiplies in place by 1 − βᵗ; t + 1 comes back."""
    flat.mul_(1 - beta**steps)
    return [steps + 1]


@pytest.fixture(scope="module")
def kernel():
    with torch.no_grad():
        return Kernel(decayed, *given(8))


def given(rows):
    numbers = (torch.tensor(number, dtype=torch.float64) for number in (0.5, 2.0))
    return torch.ones(rows, 16), *numbers


@pytest.mark.parametrize("rows", [2, 8, 333])
def test_one_kernel_writes_over_tensors_of_every_length(kernel, rows):
    flat, *numbers = given(rows)
    (later,) = kernel.loop(kernel.scalars(flat, *numbers), flat, *numbers)
    assert later.item() == 3.0
    assert flat.shape == (rows, 16)
    assert (flat == 0.75).all()


def test_the_loop_is_given_what_is_made_of_scalars_alone(kernel):
    flat, *numbers = given(4)
    scalars = [torch.full_like(scalar, 5.0) for scalar in kernel.scalars(flat, *numbers)]
    (later,) = kernel.loop(scalars, flat, *numbers)
    assert later.item() == 5.0
    assert (flat == 5.0).all()
