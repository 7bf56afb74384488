"""Scores of whole splits are scikit-learn's, and not the mean over batches; regression beside classification."""

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import pytest
import torch
from sklearn import metrics
from torch import nn
from torch.nn import functional

from trainables.data import Data, Split
from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.run import predictor
from trainables.run.loop import Run
from trainables.run.predictor import EVALUATION_BATCH, Predictor
from trainables.seeds import generator
from trainables.tasks import Classification, Regression, Task
from trainables.testing import TaskSuite
from trainables.trial import Trial

torchmetrics = pytest.importorskip("torchmetrics", reason="needs the dependency group metrics")

SIZE, WORDS, LENGTH = 700, 7, 5
POINTS = torch.randn(SIZE, 4, generator=generator("scored points"))
RARE = (POINTS.sum(1) + torch.randn(SIZE, generator=generator("scored noise")) > 2.0).long()
HEIGHTS = POINTS @ torch.tensor([1.0, 2.0, 0.0, -1.0])
TEXTS = torch.randint(WORDS, (SIZE, LENGTH), generator=generator("scored texts"))
ROWS = torch.arange(SIZE).split([200, 300, 200])


@dataclass(frozen=True)
class Rare(Classification):
    """Few points are of the second class: one logit tells."""

    chance: ClassVar[float] = 0.0
    whole_split: ClassVar[bool] = True
    metric: ClassVar[str] = "F1"
    scorer = torchmetrics.classification.BinaryF1Score

    def data(self):
        return Data(*(Split(POINTS, RARE, rows) for rows in ROWS))

    def model(self):
        return nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))

    def prepare(self, inputs):
        return inputs

    def loss(self, outputs, targets):
        return functional.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype))


@dataclass(frozen=True)
class Ranked(Rare):
    """The same, judged by how it orders them."""

    metric: ClassVar[str] = "AUC"

    def scorer(self):
        return torchmetrics.classification.BinaryAUROC()


@dataclass(frozen=True)
class Averaged(Rare):
    """The same, judged batch by batch: the mean of F1 that nobody wants."""

    whole_split: ClassVar[bool] = False
    scorer = None

    def score(self, outputs, targets):
        return torchmetrics.functional.f1_score(outputs, targets, "binary")


@dataclass(frozen=True)
class Called(Rare):
    """The same by a function of everything at once."""

    def scorer(self, outputs, targets):
        return metrics.f1_score(targets, outputs > 0)


@dataclass(frozen=True)
class Scored(Rare):
    """The same by `score` itself."""

    scorer = None

    def score(self, outputs, targets):
        return metrics.f1_score(targets, outputs > 0)


@dataclass(frozen=True)
class Heights(Regression):
    """One number a point."""

    def data(self):
        return Data(*(Split(POINTS, HEIGHTS, rows) for rows in ROWS))

    def model(self):
        line = nn.Linear(4, 1)
        nn.init.zeros_(line.weight)
        return line

    def prepare(self, inputs):
        return inputs


@dataclass(frozen=True)
class Explained(Heights):
    """The same, judged by the share of the variance."""

    metric: ClassVar[str] = "R²"
    mode: ClassVar = "max"
    chance: ClassVar[float] = 0.0
    whole_split: ClassVar[bool] = True

    def scorer(self, outputs, targets):
        return torchmetrics.functional.r2_score(outputs.flatten(), targets)


@dataclass(frozen=True)
class Words(Task):
    """Texts of a few words, each told from the one before; the loss comes out beside the logits."""

    metric: ClassVar[str] = "perplexity"
    mode: ClassVar = "min"
    chance: ClassVar[float] = float(WORDS)
    whole_split: ClassVar[bool] = True
    scorer = torchmetrics.text.Perplexity

    def data(self):
        return Data(*(Split(TEXTS, TEXTS.roll(1, 1), rows) for rows in ROWS))

    def model(self):
        return nn.Embedding(WORDS, WORDS)

    def prepare(self, inputs):
        return inputs

    def loss(self, outputs, targets):
        return functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())


THEIRS = {
    Rare: lambda out, y: metrics.f1_score(y, out > 0),
    Called: lambda out, y: metrics.f1_score(y, out > 0),
    Scored: lambda out, y: metrics.f1_score(y, out > 0),
    Ranked: lambda out, y: metrics.roc_auc_score(y, out),
    Explained: lambda out, y: metrics.r2_score(y, out.flatten()),
    Heights: lambda out, y: metrics.mean_squared_error(y, out.flatten()),
    Words: lambda out, y: (
        2.718281828459045 ** metrics.log_loss(y.flatten(), out.double().softmax(-1).reshape(-1, WORDS))
    ),
}


@pytest.fixture(autouse=True)
def several_batches_a_split(monkeypatch):
    monkeypatch.setattr(predictor, "EVALUATION_BATCH", 40)


def trained(task, **flat):
    told = Trial.parse({"task": "quadratic", "batch_size": 32, "epochs": 4.0, "scheme.lr": 0.5, **flat})
    run = Run(replace(told, task=task()))
    for _ in run:
        pass
    return run


@pytest.mark.parametrize("task", THEIRS, ids=lambda task: task.__name__)
def test_the_score_of_a_split_is_scikit_learns(task):
    run = trained(task, evaluate_test="epoch", **{"scheme.lr": 0.05} if issubclass(task, Regression) else {})
    for name in ("valid", "test"):
        inputs, targets = run.data._asdict()[name].at(run.data._asdict()[name].rows)
        with torch.no_grad():
            theirs = THEIRS[task](run.predictor(run.params, run.buffers, inputs), targets)
        assert run.records[-1].flat()[f"{name}_score"] == pytest.approx(float(theirs), rel=1e-5)
        assert theirs != task().chance
    assert (run.records[-1].train_score != run.records[-1].train_score) == task.whole_split
    assert run.best_score == pytest.approx(run.records[-1].valid_score, abs=0.2 if task.whole_split else 2.0)


def test_a_mean_over_batches_is_another_number(monkeypatch):
    monkeypatch.setattr(predictor, "EVALUATION_BATCH", 4)
    whole, batches = (trained(task).records[-1].valid_score for task in (Rare, Averaged))
    assert batches < 0.9 * whole


def test_scores_that_are_not_a_number_of_a_mini_batch_do_not_mean_divergence():
    run = trained(Rare, scheme="plateau")
    assert not run.diverged
    assert [record.valid_score for record in run.records] == [record.valid_score for record in trained(Rare).records]


def test_a_number_of_every_batch_is_handed_over_with_the_rest():
    @dataclass(frozen=True)
    class Beside(Rare):
        def model(self):
            class Two(nn.Linear):
                def forward(self, points):
                    return {"logits": super().forward(points).flatten(), "loss": torch.tensor(1.0)}

            return Two(4, 1)

        def loss(self, outputs, targets):
            return super().loss(outputs["logits"], targets)

        def scorer(self, outputs, targets):
            return len(outputs["loss"]) + len(outputs["logits"]) / 1000 + len(targets) / 1_000_000

    assert trained(Beside).records[-1].valid_score == 8.3003  # 300 in batches of 40


# --- what is refused -----------------------------------------------------------------------------------------


class Partial:
    """Members that are no scorer."""

    unbound = staticmethod(lambda outputs: 0.0)
    nothing = staticmethod(lambda: None)
    dictionary = staticmethod(lambda outputs, targets: {"f1": 1.0})
    several = staticmethod(lambda outputs, targets: torch.ones(2))


@pytest.mark.parametrize(
    ("scorer", "told"),
    [
        (
            Partial.unbound,
            r"write def scorer\(self\), which returns a torchmetrics.Metric, or def scorer\(self, outputs",
        ),
        (Partial.nothing, r"scorer\(\) must return a torchmetrics.Metric, got None"),
        (Partial.dictionary, "the score of a split must be one number, got {'f1': 1.0}"),
        (Partial.several, r"the score of a split must be one number, got tensor\(\[1., 1.\]\)"),
        (
            partial(torchmetrics.MetricCollection, [torchmetrics.classification.BinaryF1Score()]),
            "the score of a split must be one number, got {'BinaryF1Score'",
        ),
    ],
    ids=["unbound", "nothing", "dictionary", "several", "collection"],
)
def test_what_is_no_scorer_is_refused_in_one_line(scorer, told, monkeypatch):
    monkeypatch.setattr(Called, "scorer", property(lambda self: scorer))
    with pytest.raises(Refusal, match=told) as refused:
        trained(Called)
    assert "\n" not in str(refused.value)


@dataclass(frozen=True)
class Unsaid(Rare):
    whole_split: ClassVar[bool] = False


@dataclass(frozen=True)
class Unscored(Words):
    whole_split: ClassVar[bool] = False
    scorer = None


@dataclass(frozen=True)
class Misspelt(Scored):
    def score(self, outputs):
        return 1.0


@pytest.mark.parametrize(
    ("task", "told"),
    [
        (Unsaid, "a scorer scores whole splits: say whole_split = True beside it"),
        (Unscored, r"has no score\(outputs, targets\): write it, or a scorer and whole_split = True"),
        (Misspelt, r"write score\(self, outputs, targets\) where it has score\(self, outputs\)"),
    ],
)
def test_a_task_that_is_not_scored_in_one_way_is_refused_when_it_is_read(task, told):
    with pytest.raises(Refusal, match=told):
        Trial.parse({"task": trusted(f"{__name__}:{task.__name__}")})


# --- regression ----------------------------------------------------------------------------------------------


class TestHeights(TaskSuite):
    @pytest.fixture
    def task(self):
        return Heights()


def test_the_chance_of_a_regression_is_the_score_of_the_mean():
    mean, judged = HEIGHTS[ROWS[0]].mean().expand(300), HEIGHTS[ROWS[1]]
    assert Heights().chance == pytest.approx(metrics.mean_squared_error(judged, mean), rel=1e-6)
    assert trained(Heights, **{"scheme.lr": 1e9}).best_score == Heights().chance


def test_a_regression_takes_one_output_a_number_and_refuses_what_would_be_broadcast():
    column, row = torch.tensor([[1.0], [2.0]]), torch.tensor([3.0, 3.0])
    assert Heights().loss(column, row) == Heights().loss(row, column) == 2.5
    assert Heights().loss(column.double(), torch.tensor([3, 3])).dtype == torch.float64
    with pytest.raises(Refusal, match=r"outputs of shape \(2, 1\) for targets of shape \(2, 2\)"):
        Heights().loss(column, torch.ones(2, 2))


# --- what may be no mean, or no number ----------------------------------------------------------------------------


class Three(Classification):
    num_classes = 3

    def data(self):
        raise NotImplementedError

    model = prepare = data


@pytest.mark.parametrize(
    ("logits", "targets", "said"),
    [
        (torch.eye(3), torch.tensor([[0], [1], [2]]), r"got \(3, 3\) and targets of \(3, 1\): write a score"),
        (torch.eye(2), torch.tensor([0, 1]), "the network gives 2 logits, and num_classes says 3"),
    ],
)
def test_an_accuracy_of_other_shapes_is_refused(logits, targets, said):
    with pytest.raises(Refusal, match=said):
        Three().score(logits, targets)


def test_an_accuracy_of_fewer_classes_needs_a_chance_of_its_own_and_of_more_logits_nothing():
    class Own(Three):
        chance: ClassVar[float] = 0.5

    assert Own().score(torch.eye(2), torch.tensor([0, 1])) == 1.0
    assert Three().score(torch.eye(8)[:3], torch.tensor([0, 1, 2])) == 1.0


def test_an_accuracy_leaves_out_what_the_loss_leaves_out():
    logits, targets = torch.eye(3).expand(2, 3, 3), torch.tensor([[0, 1, -100], [0, 0, -100]])
    assert float(Three().score(logits, targets)) == 0.75
    whole = torch.randint(3, (1001,), generator=generator("labels"))
    guessed = torch.randn(1001, 3, generator=generator("logits"))
    assert Three().score(guessed, whole) == (guessed.argmax(-1) == whole).float().mean()  # the same bits


def test_a_label_of_eight_bits_is_none_that_is_ignored():
    class Many(Three):
        num_classes = 200

    labels = torch.tensor([156, 3], dtype=torch.uint8)
    assert float(Many().score(torch.eye(200)[[156, 3]], labels)) == 1.0
    assert float(Many().counted(labels)) == 1.0


class Answers(nn.Module):
    """The logits are the inputs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, inputs):
        return self.weight * inputs


def test_a_split_counts_the_targets_that_count_whatever_batch_they_are_in():
    """Ignored targets, all of one evaluation batch and most of another's: as of the whole split at once."""
    count = 2 * EVALUATION_BATCH + 1
    draws = generator("ignored")
    inputs, targets = torch.randn(count, 3, generator=draws), torch.randint(3, (count,), generator=draws)
    targets[20:EVALUATION_BATCH] = targets[-1] = -100

    class Ignoring(Three):
        def model(self):
            return Answers()

        def prepare(self, inputs):
            return inputs

    predictor = Predictor(Ignoring(), "float32", torch.device("cpu"), seed=0)
    loss, score = predictor.scores(*predictor.start(), Split(inputs, targets, torch.arange(count)))
    counted = targets != -100
    assert score == pytest.approx((inputs.argmax(-1) == targets)[counted].double().mean().item(), rel=1e-6)
    assert loss == pytest.approx(float(functional.cross_entropy(inputs, targets)), rel=1e-6)
    with pytest.raises(Refusal, match="no target of 2 that are to be judged counts"):
        predictor.scores(*predictor.start(), Split(inputs[:2], torch.full((2,), -100), torch.arange(2)))


@dataclass(frozen=True)
class Explained(Regression):
    """A score that takes finite numbers alone."""

    metric: ClassVar[str] = "R²"
    mode: ClassVar[str] = "max"
    chance: ClassVar[float] = 0.0
    whole_split: ClassVar[bool] = True

    def scorer(self, outputs, targets):
        return metrics.r2_score(targets, outputs.flatten())

    def data(self):
        return Data(*(Split(POINTS, HEIGHTS, rows) for rows in ROWS))

    def model(self):
        return nn.Linear(4, 1)

    def prepare(self, inputs):
        return inputs


def test_a_training_that_diverged_has_no_score_and_no_error_where_its_scorer_takes_finite_numbers_alone():
    flat = {"task": trusted("test_scoring:Explained"), "scheme.lr": 1e38, "epochs": 2, "batch_size": 100}
    records = list(Run(Trial.parse(flat)))
    assert records[-1].diverged
    assert records[-1].valid_score == 0.0


def test_a_task_with_nothing_to_train_on_is_refused():
    @dataclass(frozen=True)
    class Empty(Explained):
        def data(self):
            return super().data()._replace(train=Split(POINTS, HEIGHTS, torch.arange(0)))

    with pytest.raises(Refusal, match="the train split has no rows"):
        Empty().splits()
