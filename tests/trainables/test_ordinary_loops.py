"""Ordinary loops: they freeze and thaw, step by a scaler that skips, forget what is to be kept."""

import io
import math
from collections import defaultdict
from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.run.own_loop import OwnLoop
from trainables.training import Training
from trainables.trial import Trial

INPUTS = torch.randn(64, 2, generator=torch.Generator().manual_seed(1)) + 3
LABELS = (INPUTS.sum(1) > 6).long()
SGD = "torch.optim:SGD"
RULES = {
    "composed": {"scheme.lr": 0.1, "scheme.schedule": "cosine"},
    "packaged": {"rule": "packaged", "optimizer": SGD, "optimizer.lr": 0.1, "schedule": "cosine"},
    "split": {
        "rule": "split",
        **{f"{side}.{key}": value for side in ("hidden", "rest") for key, value in
           {"optimizer": SGD, "optimizer.lr": 0.1, "schedule": "cosine"}.items()},
    },
}  # fmt: skip


def own(loop, rule=None, folder=None, **more):
    """A training by that loop, under that rule."""

    @dataclass(frozen=True)
    class Mine(Training):
        metric, mode, chance = "score", "max", 0.5

        def train(self, session):
            loop(session)

    keys = {key: trusted(value) for key, value in (rule or {"scheme.lr": 0.1}).items()}
    numbers = {"epochs": 4.0, **more}
    made = Trial(task=Mine(), rule=Trial.parse({"task": "quadratic", **keys}).rule, **numbers)
    return OwnLoop(made, folder=folder)


def walk(model, optimizer):
    """Four steps: an epoch."""
    for rows in torch.arange(64).split(16):
        optimizer.zero_grad()
        cross_entropy(model(INPUTS[rows]), LABELS[rows]).backward()
        optimizer.step()


def loss_of(model):
    return cross_entropy(model(INPUTS), LABELS)


@pytest.mark.parametrize(
    ("rule", "grouped"), [*((rule, False) for rule in RULES), ("composed", True), ("packaged", True)]
)
def test_what_is_thawed_trains_at_the_rate_that_the_schedule_has_by_then(rule, grouped):
    found = {}

    def loop(session):
        hidden = nn.Linear(8, 8)
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), hidden, nn.Linear(8, 2))
        model[:3].requires_grad_(False)
        parts = [{"params": model[:3].parameters()}, {"params": model[3].parameters()}]
        optimizer = session.optimizer(parts if grouped else model, steps_per_epoch=4)
        start = hidden.weight.detach().clone()
        for epoch in session.epochs(model=model, optimizer=optimizer):
            if epoch == 2:
                model.requires_grad_(True)
            for rows in torch.arange(64).split(16):
                before = hidden.weight.detach().clone()
                optimizer.zero_grad()
                cross_entropy(model(INPUTS[rows]), LABELS[rows]).backward()
                optimizer.step()
            session.report(valid_score=0.5)
        moved = (before - hidden.weight).norm() / hidden.weight.grad.norm()
        found.update(rate=moved.item(), moved=not torch.equal(start, hidden.weight))

    list(own(loop, RULES[rule]))
    cosine = 0.1 * (1 + torch.tensor(torch.pi * 15 / 16).cos()) / 2
    assert found["moved"]
    assert found["rate"] == pytest.approx(cosine.item(), rel=1e-2)


@pytest.mark.parametrize("rule", ["composed", "packaged"])
def test_a_group_that_is_added_later_follows_the_schedule_too(rule):
    found = {}

    def loop(session):
        model, late = nn.Linear(2, 2), nn.Parameter(torch.ones(2))
        optimizer = session.optimizer(model, steps_per_epoch=4)
        for epoch in session.epochs():
            if epoch == 1:
                optimizer.add_param_group({"params": [late if rule == "packaged" else ("late", late)]})
            for _ in range(4):
                optimizer.zero_grad()
                before = late.detach().clone()
                (model(INPUTS[:4]) * late).sum().backward()
                optimizer.step()
            session.report(valid_score=0.5)
        found["rate"] = ((before - late).norm() / late.grad.norm()).item()

    list(own(loop, RULES[rule]))
    assert found["rate"] == pytest.approx(0.1 * (1 + math.cos(math.pi * 15 / 16)) / 2, rel=1e-2)


@pytest.mark.parametrize("rule", ["composed", "packaged"])
def test_a_training_with_a_group_that_was_added_later_says_how_it_could_go_on(rule):
    def loop(session):
        model, late = nn.Linear(2, 2), nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        added = list(late.parameters()) if rule == "packaged" else list(late.named_parameters())
        if len(session.records) > 1 and early:
            optimizer.add_param_group({"params": added})
        for epoch in session.epochs(model=model, late=late, optimizer=optimizer):
            if epoch == 1:
                optimizer.add_param_group({"params": added})
            walk(nn.Sequential(model, late), optimizer)
            session.report(valid_score=loss_of(nn.Sequential(model, late)).item())

    early = False
    whole, first = own(loop, RULES[rule]), own(loop, RULES[rule])
    list(whole)
    first.epoch(), first.epoch()
    state, again = first.state_dict(), own(loop, RULES[rule])
    first.close()
    again.load_state_dict(state)
    with pytest.raises(
        Refusal, match="'optimizer' had 2 parameter groups when this training was broken off, and has 1"
    ):
        list(again)
    early, again = True, own(loop, RULES[rule])
    again.load_state_dict(state)
    list(again)
    assert [record.valid_score for record in again.records] == [record.valid_score for record in whole.records]


def test_a_second_pass_of_epochs_goes_on_where_the_first_has_ended():
    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        for last in (1, 3):
            for epoch in session.epochs(model=model, optimizer=optimizer):
                walk(model, optimizer)
                session.report(valid_score=loss_of(model).item())
                if epoch >= last:
                    break

    whole, first, again = own(loop), own(loop), own(loop)
    list(whole)
    first.epoch()
    again.load_state_dict(first.state_dict())
    first.close()
    list(again)
    assert [record.valid_score for record in again.records] == [record.valid_score for record in whole.records]


def test_what_a_checkpoint_would_not_give_back_is_refused():
    class Counting(nn.Linear):
        def get_extra_state(self):
            return defaultdict(int, steps=1)

        def set_extra_state(self, state):
            pass

    def loop(session):
        model = Counting(2, 2)
        for _ in session.epochs(model=model, optimizer=session.optimizer(model, steps_per_epoch=4)):
            pass

    with pytest.raises(Refusal, match=r"session\.epochs keeps model\._extra_state, a defaultdict"):
        list(own(loop))


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    "rule",
    [
        {"scheme.lr": 0.1, "scheme.schedule.warmup": 0.5},
        {"rule": "packaged", "optimizer": SGD, "optimizer.lr": 0.1, "schedule.warmup": 0.5},
    ],
    ids=["composed", "packaged"],
)
def test_a_warm_up_alone_is_a_schedule(rule, told):
    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, **({"steps_per_epoch": 4} if told else {}))
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            session.report(valid_score=0.5)

    if told:
        assert [record.lr for record in own(loop, rule)] == pytest.approx([0.1 * 3 / 8, 0.1 * 7 / 8, 0.1, 0.1])
    else:
        with pytest.raises(Refusal, match="the trial's rule has a schedule"):
            list(own(loop, rule))


def scales(rule, *, whole):
    """The mean scales of a loop that trains the last of two layers; `whole`: the optimizer is given both."""

    def loop(session):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
        model[0].requires_grad_(False)
        optimizer = session.optimizer(model if whole else model[2], steps_per_epoch=4)
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            session.report(valid_score=0.5)

    return [record.extras["mean_scale"] for record in own(loop, {"scheme": "cprop", **rule})]


@pytest.mark.parametrize("rule", [{}, {"scheme.order": "adam", "decay.weight_decay": 0.01}], ids=["sgd", "adam"])
def test_a_scale_is_the_mean_over_what_trains(rule):
    assert scales(rule, whole=True) == scales(rule, whole=False)


def scheduled(names):
    """A loop with an LR scheduler of its own, which keeps what is named."""

    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        steps = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        made = {"model": model, "optimizer": optimizer, "steps": steps}
        for _ in session.epochs(**{name: made[name] for name in names}):
            walk(model, optimizer)
            steps.step()
            session.report(valid_score=0.5)

    return loop


@pytest.mark.parametrize(
    ("kept", "named"),
    [("model optimizer steps", "'steps'"), ("model optimizer", "your LR scheduler"), ("", "your LR scheduler")],
)
def test_a_schedule_beside_that_of_a_packaged_rule_is_refused(kept, named):
    with pytest.raises(Refusal, match=f"the trial's rule has a schedule, which would write over {named}"):
        list(own(scheduled(kept.split()), RULES["packaged"]))


class Noam:
    """Somebody's optimizer around the session's."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.state_dict, self.load_state_dict = optimizer.state_dict, optimizer.load_state_dict


class Engine(Noam):
    """Somebody's keeper of an optimizer and a schedule."""

    def __init__(self, optimizer):
        super().__init__(optimizer)
        self.scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)


@pytest.mark.parametrize("keeper", [Noam, Engine], ids=["an optimizer around it", "an engine with a schedule"])
def test_the_sessions_optimizer_may_be_kept_by_what_holds_it(keeper):
    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        for _ in session.epochs(model=model, keeper=keeper(optimizer)):
            walk(model, optimizer)
            session.report(valid_score=0.5)

    assert len(list(own(loop))) == 4


def test_a_schedule_that_would_start_anew_is_to_be_kept_where_the_optimizer_is():
    with pytest.raises(Refusal, match=r"without its LR scheduler, .* add scheduler=scheduler"):
        list(own(scheduled(["model", "optimizer"])))
    assert len(list(own(scheduled([])))) == len(list(own(scheduled(["model", "optimizer", "steps"])))) == 4


def test_a_side_of_a_split_may_be_frozen_at_first():
    def loop(session):
        model = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 2))
        model[:2].requires_grad_(False)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        for epoch in session.epochs(model=model, optimizer=optimizer):
            model[:2].requires_grad_(epoch > 1)
            walk(model, optimizer)
            session.report(valid_score=0.5)

    records = list(own(loop, {"rule": "split"}))
    assert [record.extras["hidden_share"] > 0 for record in records] == [False, False, True, True]


def test_a_split_takes_no_group_that_it_would_never_step():
    def loop(session):
        optimizer = session.optimizer(
            nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 2)), steps_per_epoch=4
        )
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))]})

    with pytest.raises(Refusal, match="a split takes no further parameters"):
        list(own(loop, RULES["split"]))


def test_a_schedule_that_is_kept_is_no_optimizer_that_is_kept():
    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        steps = torch.optim.lr_scheduler.StepLR(optimizer, 100)
        for _ in session.epochs(model=model, scheduler=steps):
            walk(model, optimizer)
            session.report(valid_score=0.5)

    with pytest.raises(Refusal, match="keeps models without the session's optimizer"):
        list(own(loop, {"direction": "momentum"}))


def overwrites(session, logs=False):
    """A trainer with one checkpoint, which it writes over after every epoch; or with one an epoch, and a log."""
    model, done = nn.Linear(2, 2), 0
    optimizer = session.optimizer(model, steps_per_epoch=4)
    session.folder.mkdir(exist_ok=True, parents=True)
    if session.resume_from:
        kept = torch.load(session.resume_from)
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        done = kept["done"]
    for epoch in range(done, session.num_epochs):
        walk(model, optimizer)
        session.report(valid_score=-loss_of(model))
        kept = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "done": epoch + 1}
        torch.save(kept, session.folder / (f"{epoch}.pt" if logs else "last.pt"))
        if logs:
            with (session.folder / "log.txt").open("a") as log:
                log.write(f"{epoch}\n")


def told(run):
    return [(record.epoch, record.steps, record.valid_score) for record in run.records]


def broken_off(folder, records, *, written=True):
    """The state of a training after so many records; `written`: its trainer has not gone on since."""
    first = own(overwrites, {"direction": "momentum"}, folder, epochs=6.0)
    for _ in range(records):
        first.epoch()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    if not written:
        first.epoch()
    first.close()
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("written", [True, False], ids=["as noted", "written over since"])
def test_a_checkpoint_that_is_written_over_is_of_the_epoch_at_which_it_was(written, tmp_path):
    whole = own(overwrites, {"direction": "momentum"}, tmp_path / "whole", epochs=6.0)
    list(whole)
    state = broken_off(tmp_path / "same", 4, written=written)
    second = own(overwrites, {"direction": "momentum"}, tmp_path / "same", epochs=6.0)
    second.load_state_dict(state)
    assert bool(second.session.resume_from) == written
    list(second)
    assert told(second) == told(whole)


def test_a_log_beside_checkpoints_is_none(tmp_path):
    def loop(session):
        overwrites(session, logs=True)

    first, second = (own(loop, {"direction": "momentum"}, tmp_path / "logged") for _ in range(2))
    for _ in range(3):
        first.epoch()
    state = first.state_dict()
    first.close()
    second.load_state_dict(state)
    assert second.session.resume_from == str(tmp_path / "logged" / "1.pt")
    second.close()


def refreshed(session, *, whole):
    """The validation loss of a loop with BatchNorm under a rule that is judged by an average."""
    model = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = session.optimizer(model if whole else model.parameters(), steps_per_epoch=4)
    for _ in session.epochs(model=model, optimizer=optimizer):
        walk(model.train(), optimizer)
        model.eval()
        with session.evaluating(refresh=INPUTS.split(16)), torch.no_grad():
            score = -loss_of(model)
        session.report(valid_score=score)


def test_statistics_are_made_anew_whether_the_optimizer_was_given_the_module_or_its_parameters():
    rule = {"rule": "packaged", "optimizer": "schedulefree_sgd", "optimizer.lr": 1.0}
    first, second = (own(lambda session, whole=whole: refreshed(session, whole=whole), rule) for whole in (True, False))
    assert [record.valid_score for record in first] == [record.valid_score for record in second]


def scaled(session):
    """A loop in half precision, whose scaler leaves out the steps that overflow."""
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = session.optimizer(model, steps_per_epoch=4)
    scaler = torch.amp.GradScaler("cpu")
    for _ in session.epochs(model=model, optimizer=optimizer, scaler=scaler):
        for rows in torch.arange(64).split(16):
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.float16):
                loss = cross_entropy(model(INPUTS[rows]).float(), LABELS[rows])
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        session.report(valid_score=0.5)


def test_an_epoch_of_which_a_scaler_leaves_out_every_step_is_a_record():
    records = list(own(scaled, {"scheme.lr": 100.0}))
    assert [record.epoch for record in records] == [1, 2, 3, 4]
    assert records[-1].steps < 16


@pytest.mark.parametrize("rule", [RULES["packaged"], RULES["composed"]], ids=["packaged", "composed"])
def test_a_score_that_is_no_number_ends_a_training_that_has_not_stepped(rule):
    def loop(session):
        model = nn.Linear(2, 2)
        for _ in session.epochs(model=model, optimizer=session.optimizer(model, steps_per_epoch=4)):
            session.report(valid_score=float("nan"))

    (record,) = list(own(loop, rule))
    assert (record.diverged, record.lr) == (True, 0.1)


def test_a_step_without_any_gradient_is_refused_in_one_line():
    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        for _ in session.epochs(model=model, optimizer=optimizer):
            optimizer.step()
            session.report(valid_score=0.5)

    with pytest.raises(Refusal, match="has stepped without a gradient"):
        list(own(loop))


def test_a_precision_that_torch_cannot_say_hinders_no_training():
    matmul = torch.backends.cuda.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "tf32"  # beside the old way to say it
    try:
        with pytest.raises(RuntimeError):
            torch.get_float32_matmul_precision()
        assert len(list(own(scaled))) == 4
    finally:
        matmul.fp32_precision = before
        torch.set_float32_matmul_precision("highest")


def test_flags_that_are_locked_hinder_no_training(monkeypatch):
    flags = torch.backends.flags_frozen.__globals__  # locked, as torch.testing leaves them
    monkeypatch.setitem(flags, "__allow_nonbracketed_mutation_flag", False)
    with pytest.raises(RuntimeError, match="disable_global_flags"):
        torch.backends.cudnn.benchmark = False
    assert len(list(own(scaled))) == 4


def test_the_seed_of_a_session_serves_numpy_and_what_a_loop_sets_ends_with_it():
    seen = []

    def loop(session):
        seen.append(session.seed)
        torch.set_float32_matmul_precision("high")
        torch.use_deterministic_algorithms(mode=True)
        torch.autograd.set_detect_anomaly(mode=True)
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            session.report(valid_score=0.5)

    before = torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()
    list(own(loop, seed=2**60 + 7))
    assert seen == [7]
    assert (torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()) == before
    assert not torch.is_anomaly_enabled()
