"""Loops that do what loops do: catch an error of one batch, move a rate, log any name, forget to train at all."""

import io
import math
from dataclasses import dataclass

import pytest
import torch
from test_ordinary_loops import RULES, SGD, own, walk
from torch import nn

from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.training import Training
from trainables.trial import Trial

PACKAGED = {"rule": "packaged", "optimizer": SGD, "optimizer.lr": 0.1}


@pytest.mark.parametrize("rule", ["composed", "packaged"])
def test_a_step_that_raised_and_was_caught_is_no_end_of_counting(rule):
    def loop(session):
        model, calls = nn.Linear(2, 2), 0
        optimizer = session.optimizer(model, steps_per_epoch=3)

        def closure():
            nonlocal calls
            calls += 1
            if calls == 2:
                raise RuntimeError("out of memory, say")
            optimizer.zero_grad()
            loss = model(torch.ones(4, 2)).square().mean()
            if rule == "packaged":
                loss.backward()
            return loss

        for _ in session.epochs(model=model, optimizer=optimizer):
            for _ in range(3):
                try:
                    optimizer.zero_grad()
                    if rule == "composed":
                        closure().backward()
                        optimizer.step()
                    else:
                        optimizer.step(closure)
                except RuntimeError:
                    optimizer.step(closure) if rule == "packaged" else (closure().backward(), optimizer.step())
            session.report(0.5)

    records = list(own(loop, RULES[rule]))
    assert [record.steps for record in records] == [3, 6, 9, 12]
    assert records[-1].lr == pytest.approx(0.1 * (1 + math.cos(math.pi * 11 / 12)) / 2)


def test_a_step_that_raises_inside_of_the_optimizer_is_not_taken_for_the_one_around_the_next():
    class Breaks(torch.optim.SGD):
        steps = 0

        def step(self, closure=None):
            Breaks.steps += 1
            if Breaks.steps == 2:
                raise RuntimeError("no memory for the step")
            return super().step(closure)

    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        optimizer.__class__ = Breaks
        Breaks._patch_step_function(optimizer)
        for _ in session.epochs(model=model, optimizer=optimizer):
            try:
                walk(model, optimizer)
            except RuntimeError:
                optimizer.step()
            session.report(0.5)

    assert [record.steps for record in own(loop, PACKAGED)] == [2, 6, 10, 14]


def test_the_rate_of_a_record_is_that_of_its_last_step_whoever_moves_rates_afterwards():
    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
        for _ in session.epochs(model=model, optimizer=optimizer, scheduler=scheduler):
            walk(model, optimizer)
            scheduler.step()
            session.report(0.5)

    assert [record.lr for record in own(loop, PACKAGED)] == pytest.approx([0.1, 0.01, 0.001, 0.0001])


@pytest.mark.parametrize("early", [True, False], ids=["before the report", "after it"])
def test_a_rules_schedule_over_somebody_elses_is_refused_where_a_trainer_owns_its_epochs_too(early):
    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
        for _ in range(2):
            walk(model, optimizer)
            if early:
                scheduler.step()
            session.report(0.5)
            scheduler.step()

    training = own(loop, RULES["packaged"])
    with pytest.raises(Refusal, match="has a schedule, which writes over what your LR scheduler sets: leave that out"):
        [training.epoch() for _ in range(2)]
    assert len(training.records) == (0 if early else 1)


def test_a_rate_that_a_loop_sets_by_hand_where_the_rules_schedule_would_write_over_it_is_refused():
    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            optimizer.param_groups[0]["lr"] = 0.001
            session.report(0.5)

    with pytest.raises(Refusal, match="has a schedule, which writes over what your LR scheduler sets: leave that out"):
        own(loop, RULES["packaged"]).epoch()


AVERAGE = {"rule": "packaged", "optimizer": "schedulefree_sgd", "optimizer.lr": 0.1}


@pytest.mark.parametrize(
    ("modules", "refresh", "line"),
    [
        (2, [torch.ones(4, 2)], "several modules have a BatchNorm"),
        (1, [{"x": torch.ones(4, 2)}], "takes batches that are a tensor, or begin with one, got a dict"),
    ],
    ids=["two modules", "a dict"],
)
def test_statistics_that_cannot_be_made_anew_are_refused(modules, refresh, line):
    def loop(session):
        parts = [nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)) for _ in range(modules)]
        optimizer = session.optimizer([param for part in parts for param in part.parameters()])
        for _ in session.epochs(optimizer=optimizer, **{f"m{at}": part for at, part in enumerate(parts)}):
            walk(nn.Sequential(*parts), optimizer)
            with session.evaluating(refresh=refresh):
                session.report(0.5)

    with pytest.raises(Refusal, match=line):
        own(loop, AVERAGE).epoch()


def test_evaluating_inside_of_evaluating_the_average_stays():
    seen = []

    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model)
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            with session.evaluating():
                outside = model.weight.detach().clone()
                with session.evaluating():
                    pass
                seen.append(bool((model.weight == outside).all()))
                session.report(0.5)
            seen.append(not bool((model.weight == outside).all()))

    own(loop, AVERAGE).epoch()
    assert seen[0]


def silent(**says):
    """A task that says so of its scores, and trains nothing."""

    class Says(Training):
        def train(self, session):
            """Nothing."""

    for name, value in says.items():
        setattr(Says, name, value)
    return dataclass(frozen=True)(Says)()


WELL = {"metric": "accuracy", "mode": "max", "chance": 0.5}


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({**WELL, "mode": "maximize"}, "mode must be 'max' or 'min', got 'maximize'"),
        ({**WELL, "chance": "half"}, "chance must be a number, got 'half'"),
        ({**WELL, "chance": math.inf}, "chance must be a number, got inf"),
        ({**WELL, "target": "0.9"}, "target must be a number, got '0.9'"),
        ({**WELL, "metric": ""}, "metric must name its score, got ''"),
        ({"mode": "max", "chance": 0.5}, "metric must name its score, got None"),
    ],
    ids=str,
)
def test_a_task_that_does_not_say_how_its_scores_are_read_is_refused(said, line):
    with pytest.raises(Refusal, match=line):
        silent(**said).check()


def test_a_task_that_says_how_its_scores_are_read_is_taken():
    silent(**WELL).check()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_setting_that_no_epoch_asks_for_is_refused_without_a_rehearsal_too(precision):
    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model)
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            session.report(0.5)

    training = own(loop, precision=precision, batch_size=128)
    if precision == "float32":
        assert training.epoch().epoch == 1
    else:
        with pytest.raises(Refusal, match=r"precision is given, and recorded, and train\(\) never asks"):
            training.epoch()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("batch_size", "is a column of every study's table"),
        ("status", "is a column of every study's table"),
        ("scheme.lr", "is a column of every study's table"),
        ("best_valid_score", "is a column of every study's table"),
        ("recall@10", "cannot be recorded: take letters, digits"),
        ("F1, macro", "cannot be recorded: take letters, digits"),
        ("a//b", "cannot be recorded: take letters, digits"),
        ("/a", "cannot be recorded: take letters, digits"),
    ],
)
def test_a_name_that_no_record_could_have_is_refused_as_it_is_logged(name, line):
    def loop(session):
        session.optimizer(nn.Linear(2, 2))
        session.log(**{name: 1.0})

    with pytest.raises(Refusal, match=line):
        own(loop).epoch()


@pytest.mark.parametrize("makes", [True, False])
def test_rehearsed_a_loop_without_a_step_is_refused(makes):
    def loop(session):
        if makes:
            session.optimizer(nn.Linear(2, 2))

    with pytest.raises(Refusal, match=r"Mine.train has ended without a step of session.optimizer\(…\)"):
        own(loop).rehearse()


@pytest.mark.parametrize("told", [{"steps_per_epoch": 0}, {"total_steps": 0}])
def test_no_steps_are_refused(told):
    with pytest.raises(Refusal, match=r"session.optimizer\(\w+=0\): at least one, or the loader is empty"):
        own(lambda session: session.optimizer(nn.Linear(2, 2), **told), RULES["packaged"]).epoch()


def test_what_ends_the_process_as_a_file_is_loaded_is_told_in_one_line(tmp_path):
    (tmp_path / "exits.py").write_text("import sys\nsys.exit()\n")
    task = trusted("./exits.py:Mine", tmp_path)
    with pytest.raises(Refusal, match=r"exits.py:Mine cannot be loaded: SystemExit"):
        Trial.parse({"task": task})


@pytest.mark.parametrize("optimizer", ["mechanic", "dadapt_sgd", "dog", "prodigy"])
def test_a_training_that_has_diverged_before_its_first_step_has_no_rate(optimizer):
    def loop(session):
        model = nn.Linear(2, 2)
        made = session.optimizer(model, steps_per_epoch=1)
        for _ in session.epochs(model=model, optimizer=made):
            with session.evaluating():
                session.report(math.nan)

    (record,) = own(loop, {"rule": "packaged", "optimizer": optimizer})
    assert record.diverged
    assert math.isnan(record.lr)


@pytest.mark.parametrize("optimizer", ["dog", "sps_safe"])
def test_a_frozen_parameter_is_refused_where_the_package_would_trip_over_it(optimizer):
    def loop(session):
        session.optimizer(nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 2)), steps_per_epoch=1)

    with pytest.raises(Refusal, match=f"optimizer '{optimizer}' takes no frozen parameter"):
        list(own(loop, {"rule": "packaged", "optimizer": optimizer}))


MINE = """
from dataclasses import dataclass
from trainables.schemes.fixed import Fixed
@dataclass(frozen=True)
class Mine(Fixed):
    "A scheme of somebody's."
"""


def test_a_scheme_of_ones_own_goes_on_in_a_loop_of_ones_own(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)

    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            session.report(model.weight.detach().sum())

    rule = {"scheme": f"{tmp_path}/mine.py:Mine", "scheme.lr": 0.1}
    whole, first, again = (own(loop, rule) for _ in range(3))
    list(whole)
    first.epoch()
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    first.close()
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    list(again)
    assert [record.valid_score for record in again.records] == [record.valid_score for record in whole.records]


@pytest.mark.parametrize("rule", ["composed", "packaged"])
@pytest.mark.parametrize(
    ("scheduler", "said"), [("OneCycleLR", True), ("LambdaLR", False), ("groups", True), ("", False)]
)
def test_a_loop_that_sets_rates_of_its_own_is_told_that_a_search_over_the_rate_finds_nothing(rule, scheduler, said):
    def loop(session):
        model = nn.Linear(2, 2)
        groups = [{"params": list(model.named_parameters()), "lr": 0.3}]
        optimizer = session.optimizer(groups if scheduler == "groups" else model, steps_per_epoch=4)
        kept = {"model": model, "optimizer": optimizer}
        if scheduler == "OneCycleLR":
            kept["scheduler"] = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, 20, cycle_momentum=False)
        if scheduler == "LambdaLR":
            kept["scheduler"] = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: (epoch + 1) / 9)
        for _ in session.epochs(**kept):
            walk(model, optimizer)
            if "scheduler" in kept:
                kept["scheduler"].step()
            session.report(0.5)

    training = own(loop, {"scheme.lr": 0.1} if rule == "composed" else PACKAGED)
    list(training)
    assert ["a search over the rate finds nothing" in note for note in training.session.notes] == [True] * said


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (lambda session: session.report(None), "session.report takes numbers, got None"),
        (lambda session: session.report(0.5, valid_loss={}), "session.report(valid_loss=…) takes numbers, got {}"),
        (lambda session: session.report(torch.ones(2)), "session.report takes numbers, got tensor([1., 1.])"),
        (lambda session: session.log(mine="much"), "session.log(mine=…) takes numbers, got 'much'"),
    ],
)
def test_what_is_no_number_is_refused_by_its_name(told, line):
    def loop(session):
        model = nn.Linear(2, 2)
        optimizer = session.optimizer(model, steps_per_epoch=4)
        for _ in session.epochs(model=model, optimizer=optimizer):
            walk(model, optimizer)
            told(session)

    with pytest.raises(Refusal) as refusal:
        list(own(loop))
    assert str(refusal.value) == line
