"""Other people's trainers inside of a `Training`, with the real packages and tiny models."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, TensorDataset

from trainables.refusal import Refusal
from trainables.run.own_loop import OwnLoop
from trainables.training import Training
from trainables.trial import Trial

RULES = [
    {"direction": "adam", "scheme.lr": 0.01, "scheme.schedule": "cosine"},
    {"rule": "packaged", "optimizer": "schedulefree_adamw"},
    {"rule": "packaged", "optimizer": "adamw", "optimizer.lr": 0.01, "schedule": "cosine"},
]

pytestmark = [pytest.mark.timeout(300), pytest.mark.filterwarnings("default")]


def trial(train, **keys):
    """A trial of a training whose loop is `train`."""

    @dataclass(frozen=True)
    class Mine(Training):
        metric, mode, chance = "accuracy", "max", 0.5

        def train(self, session):
            train(session)

    own = "precision", "gradient_clip", "seed", "epochs", "batch_size"
    other = {name: keys.pop(name) for name in own if name in keys}
    rule = Trial.parse({"task": "quadratic", **keys}).rule
    return Trial(task=Mine(), rule=rule, **{"batch_size": 16, "epochs": 3.0, **other})


def told(records):
    return [str({**record.flat(), "seconds": 0}) for record in records]


def check_resume(given, folder):
    """Broken off after two epochs of three, and gone on with from the trainer's own checkpoint: the same records."""
    whole = OwnLoop(given, folder=folder / "whole")
    first, second = (OwnLoop(given, folder=folder / "own") for _ in range(2))
    assert len(list(whole)) == 3
    first.epoch(), first.epoch()
    state = first.state_dict()
    first.close()
    second.load_state_dict(state)
    assert second.session.resume_from
    list(second)
    assert told(second.records) == told(whole.records)
    assert [record.steps for record in whole.records] == [4, 8, 12]


# --- Hugging Face ------------------------------------------------------------------------------------------


class Words(Dataset):
    """Sequences whose class is the sign of their mean."""

    def __init__(self, count, seed):
        self.ids = torch.randint(0, 30, (count, 8), generator=torch.Generator().manual_seed(seed))

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, row):
        return {"input_ids": self.ids[row], "labels": (self.ids[row].float().mean() > 14.5).long()}


def finetune(session, schedule=None, **arguments_given):
    from transformers import BertConfig, BertForSequenceClassification, Trainer

    from trainables.integrations.hugging_face import Reporting, arguments, optimizers

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    model = BertForSequenceClassification(BertConfig(vocab_size=30, num_labels=2, **sizes))
    steps = math.ceil(64 / session.batch_size / arguments_given.get("gradient_accumulation_steps", 1))
    optimizer = session.optimizer(model, steps_per_epoch=steps)
    Trainer(
        model,
        arguments(session, **arguments_given),
        train_dataset=Words(64, 0),
        eval_dataset=Words(32, 1),
        compute_metrics=lambda of: {"accuracy": (of.predictions.argmax(-1) == of.label_ids).mean().item()},
        optimizers=schedule(optimizer) if schedule else optimizers(optimizer),
        callbacks=[Reporting(session, "eval_accuracy")],
    ).train(resume_from_checkpoint=session.resume_from)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_hugging_face_s_trainer_goes_on_bit_for_bit(rule, tmp_path):
    check_resume(trial(finetune, **rule), tmp_path)


def test_hugging_face_accumulates_clips_and_computes_in_bfloat16():
    def loop(session):
        finetune(session, gradient_accumulation_steps=2, save_strategy="no")

    plain, mixed = (list(OwnLoop(trial(loop, **RULES[0], **more))) for more in ({}, {"precision": "bfloat16"}))
    clipped = list(OwnLoop(trial(loop, **RULES[0], gradient_clip=1e-3)))
    assert [record.steps for record in plain] == [2, 4, 6]
    assert [record.passes for record in plain] == [4, 8, 12]
    assert len({str(records[-1].train_loss) for records in (plain, mixed, clipped)}) == 3


def test_a_schedule_that_hugging_face_adds_by_itself_is_refused():
    with pytest.raises(Refusal, match="Trainer has its own schedule"):
        list(OwnLoop(trial(lambda session: finetune(session, lambda optimizer: (optimizer, None)), **RULES[0])))


def test_an_evaluation_of_hugging_face_s_that_ends_no_epoch_is_refused():
    def loop(session):
        finetune(session, eval_strategy="steps", eval_steps=1)

    with pytest.raises(Refusal, match="an evaluation ends an epoch here: leave out eval_strategy='steps'"):
        list(OwnLoop(trial(loop, **RULES[0])))


# --- Lightning -------------------------------------------------------------------------------------------------


def points(count, seed):
    inputs = torch.randn(count, 2, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(inputs, (inputs.sum(1) > 0).long())


def fit(session, score="valid_accuracy", **given):
    import lightning

    from trainables.integrations.lightning import trainer

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 2))

        def training_step(self, batch):
            return functional.cross_entropy(self.model(batch[0]), batch[1])

        def validation_step(self, batch):
            self.log("valid_accuracy", (self.model(batch[0]).argmax(1) == batch[1]).float().mean())

        def on_validation_epoch_end(self):
            self.log("valid_late", 0.75)

        def configure_optimizers(self):
            return session.optimizer(self, steps_per_epoch=4)

    train = DataLoader(points(64, 0), session.batch_size, shuffle=True)
    ours = trainer(session, score, **given)
    ours.fit(Module(), train, DataLoader(points(32, 1), 32), ckpt_path=session.resume_from)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_lightning_s_trainer_goes_on_bit_for_bit(rule, tmp_path):
    check_resume(trial(fit, **rule), tmp_path)


def test_lightning_accumulates_clips_and_computes_in_bfloat16():
    records = {}
    for name, more in {"plain": {}, "mixed": {"precision": "bfloat16"}, "clipped": {"gradient_clip": 1e-4}}.items():
        scores = []

        def loop(session, scores=scores):
            fit(session, accumulate_grad_batches=2)

        records[name] = list(OwnLoop(trial(loop, **RULES[0], **more)))
    assert [record.steps for record in records["plain"]] == [2, 4, 6]
    assert [record.passes for record in records["plain"]] == [4, 8, 12]


def test_what_a_module_logs_at_the_end_of_its_validation_is_reported():
    records = list(OwnLoop(trial(lambda session: fit(session, "valid_late"), **RULES[0])))
    assert [record.valid_score for record in records] == [0.75] * 3


@pytest.mark.parametrize("more", [{"precision": "float64"}, {"batch_size": "full"}])
def test_hugging_face_s_trainer_says_what_it_does_not_have(more):
    from trainables.integrations.hugging_face import arguments

    with pytest.raises(Refusal, match="Hugging Face's Trainer"):
        arguments(OwnLoop(trial(finetune, **RULES[0], **more)).session)


@pytest.mark.parametrize(
    "given", [{"val_check_interval": 0.5}, {"val_check_interval": 1}, {"check_val_every_n_epoch": 2}]
)
def test_a_validation_of_lightning_s_that_ends_no_epoch_is_refused(given):
    (name,) = given
    with pytest.raises(Refusal, match=f"leave out {name}="):
        list(OwnLoop(trial(lambda session: fit(session, **given), **RULES[0])))


@pytest.mark.parametrize("scheme", ["curvature", "line_search"])
def test_lightning_s_closure_calls_backward_which_these_schemes_refuse_in_one_line(scheme):
    with pytest.raises(Refusal, match="without calling backward"):
        list(OwnLoop(trial(fit, scheme=scheme)))


# --- accelerate ------------------------------------------------------------------------------------------------


def accelerated(session, seen):
    from accelerate import Accelerator

    accelerator = Accelerator(mixed_precision="bf16" if session.precision == "bfloat16" else "no", cpu=True)
    model = nn.Linear(2, 2)
    optimizer = session.optimizer(model, steps_per_epoch=4)
    loader = DataLoader(points(64, 0), session.batch_size, shuffle=True)
    model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
    for _ in session.epochs(model=model, optimizer=optimizer):
        for inputs, labels in loader:
            optimizer.zero_grad()
            outputs = model(inputs)
            loss = functional.cross_entropy(outputs, labels)
            accelerator.backward(loss)
            optimizer.step()
        seen.append(accelerator.mixed_precision)
        with session.evaluating():
            session.report(0.5, train_loss=loss)


def test_accelerate_needs_nothing_and_a_trial_does_not_inherit_the_precision_of_the_one_before():
    seen = []
    mixed = list(OwnLoop(trial(lambda session: accelerated(session, seen), **RULES[0], precision="bfloat16")))
    plain = list(OwnLoop(trial(lambda session: accelerated(session, seen), **RULES[0])))
    assert seen == ["bf16"] * 3 + ["no"] * 3
    assert [record.steps for record in plain] == [record.steps for record in mixed] == [4, 8, 12]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_accelerate_goes_on_bit_for_bit_under_every_kind_of_rule(rule):
    given = trial(lambda session: accelerated(session, []), **rule)
    first, second = OwnLoop(given), OwnLoop(given)
    first.epoch(), first.epoch()
    state = first.state_dict()
    first.close()
    second.load_state_dict(state)
    list(second)
    assert told(second.records) == told(OwnLoop(given))
