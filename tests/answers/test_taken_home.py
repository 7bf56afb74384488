"""The rule taken home is the one that was trained: the printed Python steps as the trial does, bit for bit."""

import math

import pytest
import torch
from conftest import ROOT

from study.answers.taken_home import python
from trainables.components import members
from trainables.directions import Direction
from trainables.optimizers import Optimizer
from trainables.packaged import Packaged
from trainables.plugins import trusted
from trainables.run.loop import Run
from trainables.schedules import Schedule
from trainables.schemes import Scheme
from trainables.seeds import generator, seed_of, seeded
from trainables.trial import Trial

DIGITS = {"task": "digits_mlp", "batch_size": 300, "epochs": 1.5, "threads": 1}
STEPS = 4  # of 6; an epoch has 4


def built(code, model, loader):
    """The names that the code leaves behind."""
    names = {"model": model, "loader": loader}
    exec(code, names)  # noqa: S102 — as whoever takes it home does
    return names


def stepped(trial):
    """The parameters after some steps: of the trial, and of a loop with the optimizer that is printed for it."""
    run, configuration = Run(trial), {key: value for key, value in trial.flat().items() if key != "seed"}
    with seeded(torch.device("cpu"), seed_of(trial.seed, "init")):
        model = trial.task.model()
    loader = range(run.course.steps_per_epoch)
    names = built(python(configuration), model, loader)
    optimizer, schedulers = names["optimizer"], [names[name] for name in names if name.endswith("scheduler")]
    for mode in ("train",) if hasattr(optimizer, "train") else ():
        getattr(optimizer, mode)()
    asks = getattr(getattr(trial.rule, "scheme", None), "asks", False)
    train = run.data.train
    order = torch.randperm(len(train), generator=generator(trial.seed, "order", 0))  # as a loader would shuffle
    for rows in train.rows[order].split(run.course.batch_size)[:STEPS]:
        inputs, targets = train.inputs[rows], train.targets[rows]

        def loss(inputs=inputs, targets=targets):
            return trial.task.loss(model(trial.task.prepare(inputs)), targets)

        optimizer.zero_grad()
        if asks:
            optimizer.step(loss)
        else:
            before = loss()
            before.backward()
            optimizer.step(**({"loss": before} if "loss=loss" in python(configuration) else {}))
        for scheduler in schedulers:
            scheduler.step()
        run.step()
    return run.params, {name: param.detach() for name, param in model.named_parameters()}


def same(trial):
    ours, theirs = stepped(trial)
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("scheme", members(Scheme))
def test_every_scheme_steps_at_home_as_in_its_trial(scheme):
    assert same(Trial.parse({**DIGITS, "scheme": scheme}))


@pytest.mark.parametrize("direction", members(Direction))
def test_every_direction_does_with_a_schedule_and_a_decay(direction):
    rule = {"direction": direction, "scheme.schedule": "cosine", "scheme.lr": 0.01}
    decay = {"decay": "decoupled", "decay.weight_decay": 0.1, "decay.schedule": "cosine", "decay.on": "matrices"}
    assert same(Trial.parse({**DIGITS, **rule, **decay}))


@pytest.mark.parametrize("optimizer", [name for name, member in members(Optimizer).items() if not member.matrices_only])
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_every_packaged_optimizer_does_with_its_schedule(optimizer, schedule):
    if schedule != "constant" and not hasattr(members(Optimizer)[optimizer](), "lr"):
        pytest.skip("it has no rate")
    assert same(Trial.parse({**DIGITS, "rule": "packaged", "optimizer": optimizer, "schedule": schedule}))


@pytest.mark.parametrize(
    "sides",
    [
        {},
        {"hidden.optimizer": "muon", "hidden.schedule": "cosine", "rest.optimizer": "adamw", "rest.schedule": "linear"},
        {
            "hidden": "composed",
            "hidden.scheme": "multilevel",
            "rest.optimizer": "schedulefree_adamw",
            "rest.decay.on": "matrices",
        },
        {"hidden.optimizer": "./mine.py:Mine", "hidden.schedule": "cosine", "rest.direction": "momentum"},
    ],
)
def test_both_rules_of_a_split_do(sides, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PACKAGED)
    named = {key: trusted(value) if key == "hidden.optimizer" else value for key, value in sides.items()}
    assert same(Trial.parse({**DIGITS, "rule": "split", **named}))


def test_an_evaluation_is_told_to_the_side_of_a_split_that_asks_for_it():
    told = python({"rule": "split", "rest.scheme": "plateau"})
    assert "# after every evaluation: rest_optimizer.after_epoch(score)" in told


def test_a_clip_is_told_where_it_does_something():
    assert "inside of a closure if the step takes one" in python({"gradient_clip": 1.0})
    assert "scheme 'line_search' does so in no loop but ours" in python({"scheme": "line_search", "gradient_clip": 1.0})
    assert "clip_grad_norm_" not in python({"scheme": "curvature", "gradient_clip": 1.0})


def test_beside_a_part_of_other_peoples_a_scheme_is_heard_and_its_infinite_numbers_are_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        SCHEME.replace("schemes.fixed import Fixed", "directions.sgd import SGD as Fixed")
    )
    mine = {"direction": "./mine.py:Mine"}
    assert "optimizer.after_epoch(score)" in python({**mine, "scheme": "plateau"})
    bounds = {"scheme.floor": -math.inf, "scheme.ceiling": math.inf}
    told = python({**mine, "scheme": "multilevel", **bounds, "epochs": 2.0})
    assert built(told, torch.nn.Linear(2, 2), range(10))["optimizer"]._rule.scheme.ceiling == math.inf


def test_without_a_schedule_nothing_drives_the_rate_of_other_peoples_optimizer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PACKAGED)
    mine = {"rule": "packaged", "optimizer": "./mine.py:Mine"}
    assert "LambdaLR" not in python({**mine, "schedule": "constant", "schedule.warmup": 0.0})
    assert "LambdaLR" in python({**mine, "schedule.warmup": 0.5})


def test_it_would_be_seen_if_it_did_not():
    trial = Trial.parse({**DIGITS, "scheme.schedule": "cosine"})
    ours, _ = stepped(trial)
    _, theirs = stepped(Trial.parse({**DIGITS, "scheme.schedule": "linear"}))
    assert not all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("schedule", members(Schedule))
def test_every_schedule_can_be_written(schedule):
    configuration = {"scheme.schedule": schedule, "decay.weight_decay": 0.1, "decay.schedule": schedule}
    names = built(python(configuration), torch.nn.Linear(2, 2), range(10))
    rule = Trial.parse({"task": "quadratic", **configuration}).rule
    assert names["optimizer"]._rule == rule


def test_what_the_optimizer_does_not_say_is_a_comment():
    text = python({**DIGITS, "gradient_clip": 2.0, "precision": "bfloat16", "scheme": "plateau"})
    first, clip, *rest = text.splitlines()
    assert first.endswith("loader: batches of 300; epochs: 1.5, in bfloat16")
    assert clip.endswith("torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)")
    assert any(line.startswith("# after every evaluation: optimizer.after_epoch(score)") for line in rest)
    assert "optimizer.after_epoch" not in python(DIGITS)
    assert "step(closure)" in python({"scheme": "line_search"})
    assert "optimizer.eval()" in python({"rule": "packaged", "optimizer": "schedulefree_sgd"})
    assert "optimizer.eval()" not in python({"rule": "packaged", "optimizer": "prodigy"})


def test_matrices_alone_are_decayed_at_home_too():
    rule = {"optimizer": "adamw", "optimizer.weight_decay": 0.5, "decay.on": "matrices"}
    assert same(Trial.parse({**DIGITS, **rule}))
    assert "step(loss=loss)" in python({"rule": "packaged", "optimizer": "momo_adam"})


@pytest.mark.parametrize(("accumulate", "epochs"), [(1, 2.0), (1, 0.01), (3, 1.5), (4, 2.0)])
def test_the_steps_in_all_are_those_of_the_trial(accumulate, epochs):
    configuration = {**DIGITS, "batch_size": 100, "accumulate": accumulate, "epochs": epochs}
    run = Run(Trial.parse(configuration))
    batches = range(-(-len(run.data.train) // 100))
    optimizer = built(python(configuration), torch.nn.Linear(2, 2), batches)["optimizer"]
    assert optimizer._total_steps == run.course.num_steps
    told = f"# one optimizer.step() for every {accumulate} batches"
    assert (told in python(configuration)) == (accumulate > 1)


def test_a_package_that_is_not_installed_is_a_comment_too(monkeypatch):
    from trainables import packaged

    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    assert python({"rule": "packaged", "optimizer": "prodigy"}).startswith("# optimizer: prodigy needs the package")


SCHEME = """
from dataclasses import dataclass

from trainables.schemes.fixed import Fixed


@dataclass(frozen=True)
class Mine(Fixed):
    times: int = 2
"""
PACKAGED = """
from dataclasses import dataclass
from typing import ClassVar

import torch

from trainables.optimizers import Optimizer


@dataclass(frozen=True)
class Mine(Optimizer):
    package: ClassVar[str] = "torch"
    lr: float = 0.1

    def make(self, params):
        return torch.optim.SGD(params, lr=self.lr)

    def rate(self, live):
        return live.param_groups[0]["lr"]
"""


def test_other_peoples_scheme_is_named_not_imported_and_runs_where_its_file_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = python({"scheme": "./mine.py:Mine", "scheme.lr": 0.5, "scheme.times": 3, "epochs": 2.0})
    assert "trusted('./mine.py:Mine')" in text  # and its file is not here yet
    (tmp_path / "mine.py").write_text(SCHEME)
    optimizer = built(text, torch.nn.Linear(2, 2), range(10))["optimizer"]
    assert (optimizer._rule.scheme.times, optimizer._total_steps, optimizer.param_groups[0]["lr"]) == (3, 20, 0.5)


def test_other_peoples_packaged_optimizer_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(PACKAGED)
    rule = {"rule": "packaged", "optimizer": trusted("./mine.py:Mine"), "schedule": "cosine"}
    assert Packaged.parse({key: value for key, value in rule.items() if key != "rule"}).optimizer.lr == 0.1
    assert same(Trial.parse({**DIGITS, **rule}))


def test_the_lines_need_nothing_of_the_study():
    assert "study" not in python(DIGITS)
    assert (ROOT / "trainables" / "optimizer.py").is_file()
