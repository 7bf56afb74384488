"""The rules of single functions, against the dense Hessian: none of these networks falls back."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.trainables.second_order.test_falling_back import falls_back
from tests.trainables.second_order.test_second_order import (
    anywhere,
    around,
    by_dense_hessian,
    check,
    dense,
    images,
    leaves_of,
    problem,
)
from trainables.second_order.jets import Along
from trainables.second_order.tape import Tape, tape_of

SHARES = torch.linspace(0.1, 0.9, 15, dtype=torch.float64).reshape(5, 3)
PLACES = torch.tensor([[0, 2], [1, 1], [6, 0], [3, 3], [5, 4]])

FUNCTIONS = {
    "softplus": lambda x: functional.softplus(x, 2.0, 1.5),
    "log of a sigmoid": functional.logsigmoid,
    "hard tanh": lambda x: functional.hardtanh(x, -0.5, 0.8) * x,
    "hard swish": lambda x: functional.hardswish(2 * x) * x,
    "sine and cosine": lambda x: torch.sin(x) * x.cos() + x.abs() * x,
    "clamp": lambda x: x.clamp(-0.4, 0.9) * x + x.clamp_min(0.1).square(),
    "roots": lambda x: (1 + x.square()).rsqrt() + torch.reciprocal(2 + x * x),
    "powers of tensors": lambda x: x ** torch.tensor([0.0, 1, 2, 3, 4, 2, 1]) + torch.pow((x * x + 1), x) + 1.7**x,
    "variance": lambda x: x / (x.var(1, keepdim=True) + 1) + x.var() * torch.var(x, 0, correction=0),
    "variance and mean": lambda x: (lambda v, m: (x - m) * v)(*torch.var_mean(x, 1, keepdim=True)),
    "deviation": lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True) + x.std(),
    "norms": lambda x: x / x.norm(dim=1, keepdim=True) + torch.linalg.norm(x) * torch.linalg.vector_norm(x),
    "normalised": functional.normalize,
    "tensors side by side": lambda x: torch.cat([x, x.tanh(), torch.ones_like(x)], 1)[:, 4:11] * x,
    "chunks": lambda x: torch.cat([a * a.sum() for a in x.chunk(3, 1)], -1),
    "splits": lambda x: torch.cat([a.tanh() * a.sum() for a in torch.split(x, [1, 4, 2], dim=1)], 1),
    "slices": lambda x: torch.stack([a * b for a, b in zip(x.unbind(1), x.flip(1).unbind(1), strict=True)], 1),
    "rows": lambda x: torch.stack([row * row.sum() for row in x]),
    "padding": lambda x: functional.pad(x, (1, 2), value=3.0)[:, 3:10] * functional.pad(x, (2, 0), "reflect")[:, 1:8],
    "gathering": lambda x: x.gather(1, PLACES).sum(1, keepdim=True) * x.index_select(1, PLACES[2:4].flatten()[:1]) * x,
    "filling": lambda x: x.masked_fill(x.detach() > 0.5, 2.0) * torch.where(x.detach() < 0, x.square(), 1.0),
    "expanded": lambda x: x.mean(1, keepdim=True).expand(-1, 7) * x.cumsum(1) + x.repeat(1, 2)[:, 3:10].tril() * x,
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x.tanh()) @ torch.einsum("...i->...i", x),
    "einsum of one": lambda x: torch.einsum("ij->j", x) * x,
    "einsum without an arrow": lambda x: torch.einsum("ij,jk", x, x.t().tanh()) @ x,
    "products of vectors": lambda x: torch.mv(x, x[0]).unsqueeze(1) * x + torch.dot(x[1], x[2].tanh()),
    "a product and a sum": lambda x: torch.addmm(x, x @ x.t(), x.tanh()),
    "relu, in place": lambda x: functional.relu_(x + 0.1).square(),
    "one over": lambda x: 1 / (1 + x * x),
    "a difference the other way round": lambda x: torch.rsub(x * x, 3.0) * x,
    "silu, in place": lambda x: functional.silu(x + x, inplace=True) * x,
}
MODULES = {
    "relu, in place, of a layer": dense(nn.ReLU(inplace=True)),
    "turned": around(lambda x: x.T.tanh().mT * x),
    "no dropout": dense(nn.Dropout(0.0), nn.Tanh(), nn.Dropout(0.5).eval()),
    "softplus of a layer": dense(nn.Softplus()),
    "rms norm": nn.Sequential(nn.Linear(6, 5), nn.RMSNorm(5), nn.Tanh(), nn.RMSNorm(5, eps=0.1), nn.Linear(5, 3)),
    "an encoder's layer": nn.Sequential(
        *(nn.Linear(6, 8), nn.Unflatten(1, (2, 4))),
        nn.TransformerEncoderLayer(4, 2, 6, activation="gelu", batch_first=True, norm_first=True),
        *(nn.Flatten(), nn.Linear(8, 3)),
    ),
    "convolutions of a row": nn.Sequential(
        *(nn.Unflatten(1, (2, 3)), nn.Conv1d(2, 4, 2), nn.Tanh(), nn.ConvTranspose1d(4, 2, 3, stride=2)),
        *(nn.Tanh(), nn.Flatten(), nn.Linear(10, 3)),
    ),
}
IMAGES = {
    "instance norm": images(nn.InstanceNorm2d(4, affine=True), nn.Tanh(), left=64),
    "relu, in place, of a normalised image": images(nn.BatchNorm2d(4), nn.ReLU(inplace=True), left=64),
    "relu, in place, of a convolution": images(nn.ReLU(inplace=True), nn.Conv2d(4, 2, 2), left=18),
    "an inverted residual": images(
        nn.BatchNorm2d(4), nn.ReLU6(inplace=True), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Hardswish(), left=64
    ),
    "transposed convolution": images(
        nn.Tanh(), nn.ConvTranspose2d(4, 4, 3, 2, padding=1, output_padding=1, groups=2), nn.Tanh(), left=256
    ),
    "upsampling": images(nn.Tanh(), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(4, 1, 3), left=36),
}
NETWORKS = {name: around(function) for name, function in FUNCTIONS.items()} | MODULES | IMAGES


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_along_any_direction(name):
    with sdpa_kernel(SDPBackend.MATH):  # for the dense Hessian
        objective, params = problem(NETWORKS[name], width=72 if name in IMAGES else 6)
        check(objective, params, anywhere(params))


TOLD = torch.tensor([0, 2, -100, 1, -100])
LOSSES = {
    "some rows ignored": lambda z: functional.cross_entropy(z, TOLD),
    "some rows ignored, smoothed": lambda z: functional.cross_entropy(z, TOLD, label_smoothing=0.1),
    "a class ignored": lambda z: functional.cross_entropy(z, TOLD.clamp(min=0), ignore_index=0),
    "rows ignored by a number of one's own": lambda z: functional.cross_entropy(
        z, TOLD.where(TOLD >= 0, 255), ignore_index=255, label_smoothing=0.2
    ),
    "of log-probabilities": lambda z: functional.nll_loss(z.log_softmax(1), torch.arange(5) % 3, SHARES[0]),
    "binary": lambda z: functional.binary_cross_entropy(torch.sigmoid(z), SHARES),
    "binary, weighed, summed": lambda z: functional.binary_cross_entropy(
        z.sigmoid(), SHARES, 2 * SHARES, None, None, "sum"
    ),
    "binary, of logits": lambda z: functional.binary_cross_entropy_with_logits(z, SHARES, pos_weight=3 * SHARES[0]),
    "binary, of logits, each": lambda z: (
        functional.binary_cross_entropy_with_logits(z, SHARES, weight=SHARES, reduction="none").square().sum()
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name):
    objective, params = problem(dense(nn.Tanh()), LOSSES[name])
    check(objective, params, anywhere(params))


def test_a_loss_of_no_row_is_none():
    def objective(given):
        return functional.cross_entropy(given["w"], torch.full((2,), -100))

    params = {"w": torch.ones(2, 3)}
    tape = tape_of(objective, leaves_of(params))
    assert objective(params).isnan()
    assert tape.curvature(Along({"w": torch.ones(2, 3)})).curvature.isnan()


def test_a_layer_with_one_output_without_a_dimension_has_no_rule():
    falls_back(*problem(around(lambda x: x * functional.linear(x, x[0]).unsqueeze(1))))


@pytest.mark.parametrize("aim", [0.0, 1.0])
def test_a_sigmoid_that_is_saturated_has_a_curvature(aim):
    """1 to the last bit; torch's own derivatives are finite there."""
    params = {"w": torch.full((2,), 40.0)}
    tape = tape_of(
        lambda given: functional.binary_cross_entropy(given["w"].sigmoid(), torch.full((2,), aim)), leaves_of(params)
    )
    assert isinstance(tape, Tape)
    assert tape.curvature(Along({"w": torch.ones(2)})).curvature.isfinite()


def test_a_deviation_of_nothing_has_no_curvature():
    params = {"w": torch.ones(3)}
    tape = tape_of(lambda given: given["w"].std().square() + given["w"].std(), leaves_of(params))
    assert tape.curvature(Along({"w": torch.arange(3.0)})).curvature.isfinite()


def test_a_hard_sigmoid_which_torch_differentiates_once():
    objectives = {}
    for name, gate in {
        "ours": functional.hardsigmoid,
        "by hand": lambda x: functional.hardtanh(x / 6 + 0.5, 0, 1),
    }.items():
        objectives[name], params = problem(around(lambda x, gate=gate: x * gate(4 * x) * x))
    vector = anywhere(params)
    tape = tape_of(objectives["ours"], leaves_of(params))
    assert isinstance(tape, Tape)
    expected = pytest.approx(by_dense_hessian(objectives["by hand"], params, vector), rel=1e-10)
    assert tape.curvature(Along(vector)).curvature.item() == expected


def test_a_value_that_a_jet_reads_may_not_be_written_into():
    """torch's quotient does not need its value for a gradient; the jets do."""
    falls_back(*problem(around(lambda x: functional.relu(x / (1 + x * x), inplace=True).square())))


def test_a_view_that_is_written_into_has_its_curvature_from_the_graph():
    """Its history is another one afterwards: the adjoint that was asked for would never come."""
    network = images(nn.InstanceNorm2d(4, affine=True), nn.LeakyReLU(inplace=True), nn.Conv2d(4, 2, 2), left=18)
    falls_back(*problem(network, width=72))


def test_a_tensor_that_was_used_before_may_not_be_written_into():
    def used_twice(x: Tensor) -> Tensor:
        shifted = x + 1.0
        total = shifted.sum()  # its jets need the shape alone; another's might need the value
        return functional.relu(shifted, inplace=True) * total

    falls_back(*problem(around(used_twice)))
