"""Curvature by kept adjoints, by a forward sweep and by the gradient's graph, against the dense Hessian."""

import logging
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from trainables.data.networks import mlp
from trainables.oracle import Oracle
from trainables.run.flops import Flops
from trainables.run.loop import Run
from trainables.second_order import activations
from trainables.second_order.convolutions import convolution
from trainables.second_order.graph import Graph, Unfused, graph_of
from trainables.second_order.jets import Along, inner
from trainables.second_order.recorder import _say
from trainables.second_order.sweep import sweep
from trainables.second_order.table import TABLE
from trainables.second_order.tape import Tape, tape_of
from trainables.trial import Trial

SIZE = 5  # examples


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny operations are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Residual(nn.Module):
    """A block whose input is added to its output."""

    def __init__(self, *inside: nn.Module) -> None:
        super().__init__()
        self.inside = nn.Sequential(*inside)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inside(x)


class Tied(nn.Module):
    """One weight that serves twice, so its gradient is a sum of two."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        return self.inside(torch.tanh(self.inside(x)))


class Called(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def dense(*between: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 7), *between, nn.Linear(7, 6), *between, nn.Linear(6, 3))


def around(function: Callable[[Tensor], Tensor]) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 7), Called(function), nn.Linear(7, 3))


def images(*between: nn.Module, left: int, **settings) -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (2, 6, 6)), nn.Conv2d(2, 4, 3, **settings), *between, nn.Flatten(), nn.Linear(left, 3)
    )


VECTORS = {
    "tanh": dense(nn.Tanh()),
    "relu": dense(nn.ReLU()),
    "gelu": dense(nn.GELU()),
    "gelu by tanh": dense(nn.GELU(approximate="tanh")),
    "sigmoid": dense(nn.Sigmoid()),
    "dropout": dense(nn.Tanh(), nn.Dropout(0.4)),
    "layer norm": nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 5), nn.LayerNorm(5), nn.Tanh(), nn.Linear(5, 3)),
    "plain layer norm": nn.Sequential(nn.Linear(6, 5), nn.LayerNorm(5, elementwise_affine=False), nn.Linear(5, 3)),
    "batch norm": nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 3)),
    "batch norm, evaluated": nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5).eval(), nn.Tanh(), nn.Linear(5, 3)),
    "plain batch norm": nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5, affine=False), nn.Linear(5, 3)),
    "residual": nn.Sequential(nn.Linear(6, 6), Residual(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6)), nn.Linear(6, 3)),
    "tied": nn.Sequential(nn.Linear(6, 12), Tied(), nn.Linear(12, 3)),
    "no bias": nn.Sequential(nn.Linear(6, 7, bias=False), nn.ReLU(), nn.Linear(7, 3, bias=False)),
    "wide": nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 3)),
    "arithmetic": around(lambda x: (2 - x) * x / 3 + x * 0.5 - (x - 1) * torch.arange(7.0, dtype=x.dtype)),
    "powers": around(lambda x: x**2 + torch.pow(x, 3) - x.square() + x**1 + (1 + x**2).sqrt() + torch.exp(-x)),
    "broadcast": around(lambda x: x + x.mean(1, keepdim=True) * x.sum(1, keepdim=True)),
    "shapes": around(lambda x: torch.stack([x, -x]).sum(0).reshape(-1, 7).transpose(0, 1).t().unsqueeze(1)[:, 0]),
    "convolution of one image": nn.Sequential(
        nn.Unflatten(1, (6, 1)), nn.Conv2d(5, 3, 2, padding=1), nn.Tanh(), nn.Flatten(1), nn.Linear(14, 3)
    ),
    "constants": around(lambda x: x + x.detach() * (x > 0)),
}
IMAGES = {
    "convolution": images(nn.Tanh(), left=64),
    "convolution, bare": images(nn.ReLU(), left=64, bias=False),
    "convolution, strided": images(nn.Tanh(), left=36, stride=2, padding=1),
    "convolution, grouped": images(nn.Tanh(), left=16, groups=2, dilation=2),
    "max pooling": images(nn.Tanh(), nn.MaxPool2d(2), left=16),
    "max pooling, overlapping": images(nn.MaxPool2d(3, stride=1, padding=1), nn.Tanh(), left=64),
    "average pooling": images(nn.Tanh(), nn.AvgPool2d(2), left=16),
    "global average pooling": images(nn.Tanh(), nn.AdaptiveAvgPool2d(1), left=4),
    "two convolutions": images(nn.ReLU(), nn.Conv2d(4, 3, 2), nn.GELU(), nn.MaxPool2d(2), left=3),
    "batch norm of images": images(nn.BatchNorm2d(4), nn.Tanh(), left=64),
    "batch norm of images, evaluated": images(nn.BatchNorm2d(4).eval(), nn.Tanh(), left=64),
    "residual block": images(Residual(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()), left=64),
}
NETWORKS = VECTORS | IMAGES


def cross_entropy(outputs: Tensor) -> Tensor:
    return functional.cross_entropy(outputs, torch.arange(len(outputs)) % 3)


LOSSES = {
    "cross-entropy": cross_entropy,
    "smoothed": lambda z: functional.cross_entropy(z, torch.arange(len(z)) % 3, label_smoothing=0.1),
    "squares": lambda z: functional.mse_loss(z, torch.ones_like(z)),
    "sum of squares": lambda z: functional.mse_loss(z, torch.ones_like(z), reduction="sum"),
    "by hand": lambda z: (z - 1).square().sum(-1).mean() / 2,
}


def problem(network: nn.Module, loss=cross_entropy, width: int = 6):
    """An objective in float64, the same noise and buffers at every call, and parameters for it."""
    torch.manual_seed(0)
    network = network.double()
    inputs = torch.randn(SIZE, width, dtype=torch.float64)
    buffers = {name: torch.rand_like(b) + 0.5 if b.is_floating_point() else b for name, b in network.named_buffers()}
    params = {name: torch.randn_like(p) / 2 for name, p in network.named_parameters()}

    def objective(given: dict[str, Tensor]) -> Tensor:
        torch.manual_seed(1)
        before = {name: buffer.clone() for name, buffer in buffers.items()}
        return loss(functional_call(network, {**given, **before}, (inputs,)))

    return objective, params


def leaves_of(params):
    return {name: param.detach().requires_grad_() for name, param in params.items()}


def by_dense_hessian(objective, params, vector) -> float:
    """vᵀ ∇²J v with the whole matrix."""
    sizes = [param.numel() for param in params.values()]

    def flat(point: Tensor) -> Tensor:
        parts = zip(params.items(), point.split(sizes), strict=True)
        return objective({name: part.view(param.shape) for (name, param), part in parts})

    point = torch.cat([param.flatten() for param in params.values()]).requires_grad_()
    along = torch.cat([vector[name].flatten() for name in params])
    (gradient,) = torch.autograd.grad(flat(point), point, create_graph=True)
    (hessian,) = torch.autograd.grad(gradient, point, torch.eye(len(point), dtype=point.dtype), is_grads_batched=True)
    return (along @ hessian @ along).item()


def check(objective, params, vector, **own) -> None:
    """All ways agree with the dense Hessian, and none of them fell back."""
    expected = by_dense_hessian(objective, params, vector)
    tape, along = tape_of(objective, leaves_of(params)), Along(vector, **own)
    assert isinstance(tape, Tape)
    graph = graph_of(objective, leaves_of(params))
    for name, grad in graph.gradient.items():
        torch.testing.assert_close(tape.gradient[name], grad.detach(), rtol=1e-12, atol=1e-14)
    scale = 1 + abs(expected)
    for bent in (tape.curvature(along), sweep(objective, leaves_of(params), along), graph.curvature(along)):
        assert abs(bent.curvature.item() - expected) <= 1e-10 * scale


def anywhere(params):
    return {name: torch.randn_like(param) for name, param in params.items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_along_any_direction(name):
    objective, params = problem(NETWORKS[name], width=72 if name in IMAGES else 6)
    check(objective, params, anywhere(params))


@pytest.mark.parametrize("name", ["wide", "tied", "relu", "no bias", "two convolutions", "batch norm"])
@pytest.mark.parametrize("decayed", ["none", "some", "all"])
def test_along_the_gradient_itself_with_decay_and_clipping(name, decayed):
    objective, params = problem(NETWORKS[name], width=72 if name in IMAGES else 6)
    chosen = {"none": [], "some": [n for n in params if "weight" in n][:2], "all": list(params)}[decayed]
    decay = dict.fromkeys(chosen, 0.3)
    gradient = {n: g.detach() for n, g in graph_of(objective, leaves_of(params)).gradient.items()}
    vector = {n: 0.7 * g + decay.get(n, 0.0) * params[n] for n, g in gradient.items()}
    check(objective, params, vector, scale=0.7, decay=decay)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss(loss):
    objective, params = problem(dense(nn.Tanh()), LOSSES[loss])
    check(objective, params, anywhere(params))


def test_a_penalty_in_the_loss_counts():
    """L2 on some of the parameters, written into the objective: λ‖v‖² more."""
    objective, params = problem(dense(nn.Tanh()))
    vector = anywhere(params)

    def penalised(given):
        return objective(given) + 0.15 * given["0.weight"].square().sum()

    check(penalised, params, vector)
    plain, more = (tape_of(f, leaves_of(params)).curvature(Along(vector)).curvature for f in (objective, penalised))
    torch.testing.assert_close(more - plain, 0.3 * vector["0.weight"].square().sum())


def test_three_dimensional_inputs_of_a_linear_layer():
    network = nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Linear(3, 24), nn.Tanh(), nn.Linear(24, 24), nn.Flatten())
    objective, params = problem(nn.Sequential(network, nn.Linear(48, 3)))
    gradient = {n: g.detach() for n, g in graph_of(objective, leaves_of(params)).gradient.items()}
    check(objective, params, gradient, scale=1.0)
    check(objective, params, anywhere(params))


def test_frozen_layers_are_constants():
    objective, params = problem(dense(nn.Tanh()))
    fixed = {name: params.pop(name) for name in ("0.weight", "4.bias", "2.weight")}
    check(lambda given: objective({**given, **fixed}), params, anywhere(params))


# --- falling back ----------------------------------------------------------------------------------------

UNKNOWN = {
    "an unknown function": lambda x: torch.sinh(x),
    "in place": lambda x: functional.dropout(x + 0, 0.5, inplace=True),
    "in place, by operator": lambda x: x.clone().add_(x),
    "an unknown argument": lambda x: x * torch.norm(x, 3),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_rule_falls_back_for_the_whole_model_and_says_so_once(name, caplog):
    objective, params = problem(around(UNKNOWN[name]))
    vector = anywhere(params)
    _say.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            kept = tape_of(objective, leaves_of(params))
    assert isinstance(kept, Graph)
    assert [record.message for record in caplog.records if "falls back" in record.message] == [caplog.messages[0]]
    expected = by_dense_hessian(objective, params, vector)
    assert kept.curvature(Along(vector)).curvature.item() == pytest.approx(expected, rel=1e-9)
    assert sweep(objective, leaves_of(params), Along(vector)).curvature.item() == pytest.approx(expected, rel=1e-9)


class Hidden(torch.autograd.Function):
    """Torch does not show calls of functions with a derivative of their own."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad


@pytest.mark.parametrize("last", [False, True])
def test_hidden_functions_are_noticed(last):
    objective, params = problem(around(lambda x: x if last else Hidden.apply(x)))
    seen = (lambda given: Hidden.apply(objective(given))) if last else objective
    vector = anywhere(params)
    expected = by_dense_hessian(seen, params, vector)
    assert isinstance(tape_of(seen, leaves_of(params)), Graph)
    assert sweep(seen, leaves_of(params), Along(vector)).curvature.item() == pytest.approx(expected, rel=1e-9)


def test_mixed_precision_falls_back():
    objective, params = problem(dense(nn.ReLU()))

    def mixed(given):
        with torch.autocast("cpu", torch.bfloat16):
            return objective(given)

    assert isinstance(tape_of(mixed, leaves_of(params)), Graph)


# --- price and side effects ------------------------------------------------------------------------------


def counted(network, vector_is_gradient):
    """The price of recipe 1 on 128 images, in gradients, as the oracle counts it and as torch counts flops."""
    network, inputs = network.float(), torch.randn(128, 784)
    params = {name: param.detach() for name, param in network.named_parameters()}
    oracle = Oracle(
        lambda given: functional.cross_entropy(
            functional_call(network, given, (inputs,)), torch.zeros(128, dtype=torch.long)
        )
    )
    with Flops() as of_gradient:
        _, gradient = oracle.gradient(params, keep="adjoints")
    vector = gradient if vector_is_gradient else {name: 2 * grad for name, grad in gradient.items()}
    with Flops() as of_curvature, torch.no_grad():
        oracle.curvature(params, vector, {} if vector_is_gradient else None)
    return oracle.passes, 1 + of_curvature.total / of_gradient.total


@pytest.mark.parametrize(("own", "expected"), [(True, 1.385), (False, 1.83)])
def test_the_price_on_the_mnist_mlp_is_its_product_count(own, expected):
    passes, flops = counted(mlp(784, 1000, 1000, 10), own)
    assert passes == pytest.approx(expected, abs=5e-3)
    assert flops == pytest.approx(passes, rel=1e-3)


def test_passes_of_the_other_recipes():
    objective, params = problem(dense(nn.Tanh()))
    prices = {}
    for keep in ("adjoints", "sweep", "graph"):
        oracle = Oracle(objective)
        oracle.gradient(params, keep)
        oracle.curvature(params, anywhere(params))
        prices[keep] = oracle.passes
    assert 1 < prices["adjoints"] < prices["sweep"] < prices["graph"] == 3.0


@pytest.mark.parametrize("recipe", ["adjoints", "sweep", "graph"])
def test_buffers_move_once_a_step(recipe, monkeypatch):
    """The statistics of BatchNorm after a step are those of the plain gradient, whichever way the curvature went."""
    from trainables.tasks.digits_mlp import DigitsMLP

    network = nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))
    monkeypatch.setattr(DigitsMLP, "model", lambda self: network)
    rules = {"plain": {"scheme": "fixed"}, "ours": {"scheme": "curvature", "scheme.recipe": recipe}}
    after = {}
    for name, rule in rules.items():
        run = Run(Trial.parse({"task": "digits_mlp", **rule}))
        run.step()
        after[name] = run.buffers
    assert after["ours"]["1.num_batches_tracked"].item() == 1
    for name, buffer in after["plain"].items():
        assert torch.equal(after["ours"][name], buffer)


@pytest.mark.parametrize("name", ["tanh", "dropout", "batch norm", "max pooling", "residual block"])
def test_watching_changes_no_bit_of_the_gradient(name):
    objective, params = problem(NETWORKS[name], width=72 if name in IMAGES else 6)
    plain, watched = Oracle(objective).gradient(params), Oracle(objective).gradient(params, "adjoints")
    assert torch.equal(plain[0], watched[0])
    assert all(torch.equal(grad, watched[1][n]) for n, grad in plain[1].items())


def test_curvature_is_quadratic_in_its_direction():
    objective, params = problem(dense(nn.Tanh()))
    tape, vector = tape_of(objective, leaves_of(params)), anywhere(params)
    once, twice = (tape.curvature(Along({n: k * v for n, v in vector.items()})).curvature for k in (1, 3))
    torch.testing.assert_close(twice, 9 * once)
    assert inner(vector, vector) > 0


def test_a_sweep_carries_the_tangents_of_a_relu_when_its_input_is_gone(monkeypatch):
    """Input, value and the tangents of both would be the largest four tensors of a network."""
    gone = []

    def lift(input, inplace=False):  # noqa: A002 — torch's name
        lifted = activations.relu(input, inplace)
        source, carry = weakref.ref(input), lifted.jet

        def jet(dx):
            gone.append(source() is None)
            return carry(dx)

        return lifted._replace(jet=jet)

    monkeypatch.setitem(TABLE, functional.relu, lift)
    objective, params = problem(dense(nn.ReLU()))
    sweep(objective, leaves_of(params), Along(anywhere(params)))
    assert gone == [True, True]


def test_a_sweep_convolves_tangents_in_two_halves(monkeypatch):
    """Their scratch would be the largest thing in memory where channels are few."""
    sizes, whole = [], torch.conv2d
    objective, params = problem(IMAGES["convolution"], width=72)
    counted = convolution(lambda x, *args: (sizes.append(len(x)), whole(x, *args))[1])
    monkeypatch.setitem(TABLE, torch.conv2d, counted)
    sweep(objective, leaves_of(params), Along(anywhere(params)))
    assert sorted(sizes) == [2, 3, SIZE]  # Ẋ = 0: one product for the value, one for the tangent


def test_labels_of_eight_bits_are_labels():
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs, labels = torch.eye(3, dtype=torch.float64), torch.tensor([0, 3, 1])
    found = []
    for kind in (torch.int64, torch.uint8):
        oracle = Oracle(lambda at, kind=kind: functional.cross_entropy(inputs @ at["w"], labels.to(kind)))
        found.append(oracle.curvature({"w": weight}, {"w": torch.ones_like(weight).cumsum(0)}, recipe="sweep").item())
    assert found[0] == found[1]


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
def test_the_variance_of_one_row_has_no_derivative_rather_than_an_error():
    oracle = Oracle(lambda at: (at["w"] * torch.arange(3.0)).unsqueeze(0).std(0).sum())
    assert torch.isnan(oracle.curvature({"w": torch.ones(3)}, {"w": torch.ones(3)}, recipe="sweep"))


def test_recurrent_layers_are_called_without_cudnn_which_has_no_second_derivative():
    asked, layer = [], nn.GRU(2, 3)

    class Asked(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            asked.append((func, torch.backends.cudnn.enabled))
            return func(*args, **(kwargs or {}))

    with Asked(), Unfused():
        layer(torch.ones(4, 2))
    assert (torch.gru, False) in asked
    assert torch.backends.cudnn.enabled
