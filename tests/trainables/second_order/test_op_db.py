"""Every operation that torch differentiates twice: by its jets or by falling back, the curvature is right."""

import warnings
from functools import cache
from itertools import islice

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_flatten, tree_unflatten

from trainables.second_order.jets import Along
from trainables.second_order.sweep import sweep
from trainables.second_order.tape import tape_of

SAMPLES, PARTS = 2, 10
LEFT_OUT = {
    "sparse_sampled_addmm": "its parameters are sparse",
    "normal_number_mean": "it has no parameters",
    "nn_functional_ctc_loss": "torch has no second derivative, whatever its list says",
    "native_layer_norm": "torch's second derivative fails where it has a bias and no weight",
    "nn_functional_linear_cross_entropy_chunked_none": "torch has no second derivative, whatever its list says",
}
ROUNDED = {"matrix_exp": 1e-8, "logcumsumexp": 1e-8}  # torch's own derivatives are no more exact
ROUNDED |= {"float": 1e-6, "cfloat": 1e-6, "half": 1e-3, "chalf": 1e-3, "bfloat16": 1e-2}  # they are meant to round


@cache
def operations():
    """Imported when it is asked for: that takes seconds, which no other test should wait for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    found = [op for op in op_db if op.supports_gradgrad and torch.float64 in op.supported_dtypes("cpu")]
    return [op for op in found if op.formatted_name not in LEFT_OUT]


def problem(op, sample):
    """The operation as an objective: a fixed random projection of its outputs and of their squares, its noise fixed."""
    values, structure = tree_flatten((sample.input, sample.args, sample.kwargs))
    free = [n for n, value in enumerate(values) if isinstance(value, Tensor) and value.requires_grad]

    def objective(given: dict[str, Tensor]) -> Tensor:
        torch.manual_seed(1)
        filled = [given[str(n)] if n in free else value for n, value in enumerate(values)]
        first, args, kwargs = tree_unflatten(filled, structure)
        outputs = op.gradcheck_wrapper(op.get_op(), first, *args, **kwargs)
        found, _ = tree_flatten(sample.output_process_fn_grad(outputs))
        return sum(projected(out) for out in found if isinstance(out, Tensor) and out.requires_grad)

    return objective, {str(n): values[n].detach() for n in free}


def projected(out: Tensor) -> Tensor:
    """Linear functions bend only once they are squared."""
    out = torch.view_as_real(out.resolve_conj()) if out.is_complex() else out
    out = out.to_dense() if out.layout is not torch.strided else out
    generator = torch.Generator().manual_seed(0)
    along, across = torch.rand(2, *out.shape, generator=generator, dtype=out.dtype)
    return (along * out).sum() + (across * out.square()).sum()


def leaves_of(params):
    return {name: param.detach().requires_grad_() for name, param in params.items()}


def direction(params, seed=2, at_most=50):
    """Random numbers; zero but for a random part of many parameters, so that a dense Hessian has few rows to find."""
    generator = torch.Generator().manual_seed(seed)
    vector = {n: torch.randn(p.shape, generator=generator, dtype=p.dtype) for n, p in params.items()}
    kept = at_most / max(at_most, sum(part.numel() for part in vector.values()))
    return {n: v * (torch.rand(v.shape, generator=generator) <= kept) for n, v in vector.items()}


def by_dense_hessian(objective, params, vector) -> float:
    """vᵀ ∇²J v, row after row of the matrix, each by a second backward pass."""
    leaves = leaves_of(params)
    with sdpa_kernel(SDPBackend.MATH):  # no other attention can be differentiated twice
        loss = objective(leaves)
    gradient = torch.autograd.grad(loss, list(leaves.values()), create_graph=True, materialize_grads=True)
    total = 0.0
    for name, part in zip(leaves, gradient, strict=True):
        for slope, share in zip(part.flatten(), vector[name].flatten(), strict=True):
            if share != 0 and slope.requires_grad:
                row = torch.autograd.grad(slope, list(leaves.values()), retain_graph=True, materialize_grads=True)
                total += share * sum((r * v).sum() for r, v in zip(row, vector.values(), strict=True))
    return float(total)


def worst(op) -> float:
    """The largest error of both fast recipes over the samples, relative to 1 + |curvature|."""
    found = 0.0
    for sample in islice(op.sample_inputs("cpu", torch.float64, requires_grad=True), SAMPLES):
        objective, params = problem(op, sample)
        vector = direction(params)
        expected = by_dense_hessian(objective, params, vector)
        kept = tape_of(objective, leaves_of(params)).curvature(Along(vector))
        swept = sweep(objective, leaves_of(params), Along(vector))
        for bent in (kept, swept):
            found = max(found, abs(bent.curvature.item() - expected) / (1 + abs(expected)))
    return found


@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("part", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, PARTS))])
def test_the_curvature_of_every_operation_is_that_of_the_dense_hessian(part):
    """A fixed tenth of them in every run of the suite."""
    chosen = operations()[part::PARTS]
    errors = {op.formatted_name: worst(op) for op in chosen}
    assert len(chosen) > 50
    assert {name: error for name, error in errors.items() if not error <= ROUNDED.get(name, 1e-10)} == {}
