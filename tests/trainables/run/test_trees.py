"""Inputs, targets and outputs are any nesting of tensors: the bits of one tensor each, or one line that refuses."""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils._pytree import register_pytree_node
from torch.utils.data import DataLoader, TensorDataset

from trainables.data import Data, Split
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.seeds import generator, seed_of
from trainables.tasks import Classification
from trainables.testing import TaskSuite, same
from trainables.trial import Trial

POINTS = torch.randn(300, 6, generator=generator("points"))
LABELS = (POINTS[:, :3].sum(1) > POINTS[:, 3:].prod(1)).long()
ROWS = torch.arange(300).split([200, 60, 40])


class Body(nn.Module):
    """A network with BatchNorm and dropout, of one tensor."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 64), nn.BatchNorm1d(64), nn.Tanh(), nn.Dropout(0.02), nn.Linear(64, 2))

    def forward(self, points):
        return self.layers(points)


class Output(OrderedDict):
    """Fields by name and by key, as the outputs of Hugging Face's models have them."""

    def __getattr__(self, name):
        return self[name]


register_pytree_node(
    Output, lambda out: (list(out.values()), list(out)), lambda values, keys: Output(zip(keys, values, strict=True))
)


class Named(Body):
    """The same network of two tensors by name, whose loss comes out beside the logits."""

    def forward(self, left, right, labels=None):
        logits = self.layers(torch.cat([left, right], 1))
        return Output(loss=functional.cross_entropy(logits, labels), logits=logits)


class Placed(Body):
    """The same network of two tensors by place; one tensor more comes out."""

    def forward(self, left, right):
        return self.layers(torch.cat([left, right], 1)), {"penalty": left.sum(1)}


@dataclass(frozen=True)
class Plain(Classification):
    """One tensor in, one out."""

    num_classes: ClassVar[int] = 2

    def data(self):
        return Data(*(Split(POINTS, LABELS, rows) for rows in ROWS))

    def model(self):
        return Body()

    def prepare(self, inputs):
        return inputs


@dataclass(frozen=True)
class ByName(Plain):
    """A dict batch, labels in it, and the outputs of a model that computes its loss."""

    def data(self):
        inputs = {"left": POINTS[:, :3], "right": POINTS[:, 3:], "labels": LABELS}
        return Data(*(Split(inputs, LABELS, rows) for rows in ROWS))

    def model(self):
        return Named()

    def loss(self, outputs, targets):
        return outputs.loss


@dataclass(frozen=True)
class ByPlace(Plain):
    """Two inputs by place, targets of two kinds, and a loss of two terms."""

    def data(self):
        targets = {"label": LABELS, "weight": torch.zeros(300)}
        return Data(*(Split((POINTS[:, :3], POINTS[:, 3:]), targets, rows) for rows in ROWS))

    def model(self):
        return Placed()

    def loss(self, outputs, targets):
        logits, other = outputs
        return functional.cross_entropy(logits, targets["label"]) + (targets["weight"] * other["penalty"]).mean()

    def score(self, outputs, targets):
        return super().score(outputs[0], targets["label"])


def trained(task, **flat):
    told = Trial.parse({"task": "quadratic", "batch_size": 32, "epochs": 3.0, **flat})
    run = Run(replace(told, task=task()))
    for _ in run:
        pass
    return run


def bits(run):
    """The numbers that do not depend on the clock."""
    return [{key: value for key, value in record.flat().items() if key != "seconds"} for record in run.records]


@pytest.mark.parametrize("task", [ByName, ByPlace])
@pytest.mark.parametrize(
    "flat",
    [
        {"direction": "adam", "scheme.lr": 0.01},
        {"precision": "bfloat16"},
        {"precision": "float64"},
        {"scheme": "curvature", "scheme.share": 0.5},
    ],
    ids=str,
)
def test_a_nesting_trains_as_one_tensor_does_bit_for_bit(task, flat):
    one, other = trained(Plain, **flat), trained(task, **flat)
    assert same(one.params, other.params)
    assert same(one.buffers, other.buffers)
    assert same(bits(one), bits(other))
    assert one.records[-1].valid_score > 0.6


@pytest.mark.parametrize("task", [ByName, ByPlace])
def test_batchnorms_statistics_are_averaged_anew_over_nestings(task):
    found = []
    for run in (trained(Plain), trained(task)):
        other = {name: param.clone() for name, param in run.params.items()}
        found.append((run.scored(other), run.passes))
    assert same(*found)


def test_a_dict_batch_is_trained_as_a_hand_written_loop_does_bit_for_bit():
    run = Run(Trial(task=ByName(), batch_size=32, epochs=2.0))
    params = {name: param.clone() for name, param in run.params.items()}
    buffers = {name: buffer.clone() for name, buffer in run.buffers.items()}
    model, inputs = Named().train(), run.data.train.inputs
    for _ in range(2 * run.course.steps_per_epoch):
        order = torch.randperm(200, generator=generator(0, "order", run.steps // run.course.steps_per_epoch))
        rows = ROWS[0][order][run.steps % run.course.steps_per_epoch * 32 :][:32]
        run.step()
        leaves = {name: param.requires_grad_() for name, param in params.items()}
        torch.manual_seed(seed_of(0, "noise", run.steps - 1))
        batch = {name: value[rows] for name, value in inputs.items()}
        loss = torch.func.functional_call(model, {**leaves, **buffers}, (), batch).loss
        grads = torch.autograd.grad(loss, list(leaves.values()))
        rate = torch.tensor(0.1)
        params = {
            name: torch.addcmul(leaf.detach(), grad, -rate)
            for (name, leaf), grad in zip(leaves.items(), grads, strict=True)
        }
    assert same(run.params, params)
    assert same(run.buffers, buffers)


class TestNestings(TaskSuite):
    @pytest.fixture(params=[Plain, ByName, ByPlace])
    def task(self, request):
        return request.param()


def test_data_may_be_mapped_into_memory(tmp_path):
    @dataclass(frozen=True)
    class Mapped(ByName):
        def data(self):
            inputs = super().data().train.inputs
            for name, array in inputs.items():
                np.save(tmp_path / f"{name}.npy", array.numpy())
            mapped = {name: torch.from_numpy(np.load(tmp_path / f"{name}.npy", mmap_mode="c")) for name in inputs}
            return Data(*(Split(mapped, LABELS, rows) for rows in ROWS))

    assert same(bits(trained(Mapped)), bits(trained(Plain)))


def test_outputs_of_hugging_faces_models_are_opened():
    outputs = pytest.importorskip("transformers.modeling_outputs", reason="needs transformers")

    class Theirs(Named):
        def forward(self, left, right, labels=None):
            return outputs.SequenceClassifierOutput(**super().forward(left, right, labels))

    @dataclass(frozen=True)
    class Task(ByName):
        def model(self):
            return Theirs()

    assert same(bits(trained(Task)), bits(trained(Plain)))


# --- what is refused -----------------------------------------------------------------------------------------

SPLIT = Split(POINTS, LABELS, ROWS[0])
WANTED = r"data\(\) returns Data\(train, valid, test\), each a Split\(inputs, targets, rows\) of tensors; .*Training"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (DataLoader(TensorDataset(POINTS, LABELS)), f"got a torch DataLoader: {WANTED}"),
        (iter(POINTS), f"got a .*iterator: {WANTED}"),
        ((SPLIT, SPLIT, SPLIT), f"got a tuple: {WANTED}"),
        (None, f"got a NoneType: {WANTED}"),
        (Data(SPLIT, SPLIT, TensorDataset(POINTS, LABELS)), f"got a torch TensorDataset for test: {WANTED}"),
        (
            Data(Split(POINTS.numpy(), LABELS, ROWS[0]), SPLIT, SPLIT),
            f"got a numpy ndarray in the train split: {WANTED}",
        ),
        (Data(SPLIT, Split(POINTS, LABELS[:9], ROWS[0]), SPLIT), r"the valid split has tensors of \[9, 300\] rows"),
        (
            Data(SPLIT, SPLIT, Split(POINTS, LABELS, LABELS + 299)),
            r"rows of the test split must lie in \[0, 300\), got",
        ),
        (Data(Split(POINTS, LABELS, [1, 2]), SPLIT, SPLIT), "rows of the train split must be one line of int64"),
    ],
    ids=["loader", "iterator", "tuple", "none", "dataset", "numpy", "unequal", "range", "rows"],
)
def test_other_data_is_refused_in_one_line(given, told):
    @dataclass(frozen=True)
    class Loads(Plain):
        def data(self):
            return given

    with pytest.raises(Refusal, match=told) as refused:
        Run(Trial(task=Loads()))
    assert "\n" not in str(refused.value)


def test_outputs_without_tensors_are_refused_in_one_line():
    class Opaque:
        pass

    class Odd(Body):
        def forward(self, points):
            out = Opaque()
            out.logits = super().forward(points)
            return out

    @dataclass(frozen=True)
    class Task(Plain):
        def model(self):
            return Odd()

    with pytest.raises(Refusal, match="Opaque, in which no tensor is found: return tensors in tuples"):
        Run(Trial(task=Task())).step()
