"""The same network and data by our loop and by a loop of the user's: the same records, bit for bit."""

from dataclasses import dataclass

import loops
import pytest
import torch
from torch import nn
from torch.nn import functional

from trainables.run.loop import Run
from trainables.run.own_loop import OwnLoop
from trainables.seeds import generator
from trainables.tasks import Classification, Data, Split
from trainables.testing import TrainingSuite
from trainables.training import Training
from trainables.trial import Trial

INPUTS, LABELS = loops.blobs()
TRAIN, VALID = torch.arange(150), torch.arange(150, 200)


def network():
    return nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))


@dataclass(frozen=True)
class ByOurs(Classification):
    num_classes = 2

    def data(self):
        return Data(*(Split(INPUTS, LABELS, rows) for rows in (TRAIN, VALID, VALID)))

    def model(self):
        return network()

    def prepare(self, inputs):
        return inputs


@dataclass(frozen=True)
class ByTheirs(Training):
    metric, mode, chance = "accuracy", "max", 0.5

    def train(self, session):
        model = network()
        optimizer = session.optimizer(model, steps_per_epoch=5)
        asks = session.trial.flat().get("scheme") in ("curvature", "line_search")
        for epoch in session.epochs(model=model, optimizer=optimizer):
            order = torch.randperm(150, generator=generator(session.seed, "order", epoch))
            nothing = losses = scores = torch.zeros((), dtype=torch.float64)
            for rows in TRAIN[order].split(session.batch_size):
                outputs = []

                def loss_of(rows=rows, outputs=outputs):
                    outputs.append(model(INPUTS[rows]))
                    return functional.cross_entropy(outputs[-1], LABELS[rows])

                if asks:
                    loss = optimizer.step(loss_of)
                else:
                    optimizer.zero_grad()
                    loss = loss_of()
                    loss.backward()
                    optimizer.step()
                losses = losses + len(rows) * loss.detach()
                scores = scores + len(rows) * (outputs[0].argmax(1) == LABELS[rows]).float().mean()
            with session.evaluating(), torch.no_grad():
                outputs = model(INPUTS[VALID])
                valid = nothing + 50 * functional.cross_entropy(outputs, LABELS[VALID])
                score = nothing + 50 * (outputs.argmax(1) == LABELS[VALID]).float().mean()
            session.report(score / 50, train_loss=losses / 150, train_score=scores / 150, valid_loss=valid / 50)


@pytest.mark.parametrize(
    "rule",
    [
        {"scheme.lr": 0.3, "scheme.schedule": "cosine", "decay.weight_decay": 0.01},
        {"scheme.lr": 0.01, "direction": "adam", "decay": "decoupled"},
        {"scheme": "cprop", "scheme.lr": 0.1, "direction": "momentum"},
        {"scheme": "hypergradient", "scheme.lr": 0.1},
        {"scheme": "multilevel"},
        {"scheme": "plateau", "scheme.lr": 0.3},
        {"scheme": "curvature"},
        {"scheme": "line_search"},
        {"rule": "packaged", "optimizer": "schedulefree_adamw"},
        {"rule": "packaged", "optimizer": "prodigy", "schedule": "cosine"},
    ],
    ids=str,
)
def test_both_loops_leave_the_same_records(rule):
    parts = Trial.parse({"task": "quadratic", **rule}).rule
    given = {"rule": parts, "batch_size": 30, "epochs": 3.0, "seed": 5, "evaluate_test": "never"}
    ours = [r.flat() for r in Run(Trial(task=ByOurs(), **given))]
    theirs = [r.flat() for r in OwnLoop(Trial(task=ByTheirs(), **{**given, "evaluate_test": "end"}))]
    assert len(ours) == 3
    for left, right in zip(ours, theirs, strict=True):
        assert {**left, "seconds": 0, "flops": 0} == {**right, "seconds": 0, "flops": 0}


class TestPlain(TrainingSuite):
    @pytest.fixture
    def training(self):
        return loops.Plain()


@dataclass(frozen=True)
class Careless(Training):
    """A loop that draws from generators of its own."""

    metric, mode, chance = "accuracy", "max", 0.5
    owns: str = "loader"

    def train(self, session):
        if self.owns == "everything":
            torch.manual_seed(0)
        generator = torch.Generator().manual_seed(session.seed if self.owns == "loader" else 0)
        model = network()
        optimizer = session.optimizer(model)
        for _ in session.epochs(model=model, optimizer=optimizer):
            for rows in torch.randperm(150, generator=generator).split(32):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(INPUTS[rows]), LABELS[rows])
                loss.backward()
                optimizer.step()
            session.report(0.5, train_loss=loss)


def test_the_suite_finds_a_loop_that_ignores_its_seed_and_one_that_cannot_be_resumed():
    suite = TrainingSuite()
    with pytest.raises(AssertionError, match="its seed changes nothing"):
        suite.test_its_seed_decides_everything(Careless(owns="everything"))
    suite.test_its_seed_decides_everything(Careless())
    with pytest.raises(AssertionError, match="make loaders anew an epoch"):
        suite.test_broken_off_between_two_epochs_it_ends_with_the_same_records(Careless())
