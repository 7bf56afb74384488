"""The way to a curvature is settled before anything starts, recorded with every trial, refused where it cannot be."""

import json

import pytest
import torch

from study.dispatch.dispatcher import Dispatcher
from study.plan.parse import parse
from study.plan.recipes import settled
from trainables.refusal import Refusal
from trainables.run.loop import Run

TASKS = """
from dataclasses import dataclass

import torch
from torch import nn

from trainables.space import setting
from trainables.tasks.digits_mlp import DigitsMLP


class Reader(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.cell, self.head = nn.GRUCell(8, hidden), nn.Linear(hidden, 10)

    def forward(self, x):
        state = None
        for row in x.view(-1, 8, 8).unbind(1):
            state = self.cell(row, state)
        return self.head(state)


class Sinh(nn.Module):
    def forward(self, x):
        return torch.sinh(x)


@dataclass(frozen=True)
class Cells(DigitsMLP):
    def model(self):
        return Reader(self.hidden)


@dataclass(frozen=True)
class Strange(DigitsMLP):
    def model(self):
        return nn.Sequential(nn.Linear(64, 4), Sinh(), nn.Linear(4, 10))
"""
TEXT = "{question: q, common: {task: digits_mlp, scheme: curvature, trials: 2, epochs: 1}, arms: {one: {%s}}}"
CELLS, STRANGE = "task: './tasks.py:Cells', task.hidden: 4", "task: './tasks.py:Strange'"


@pytest.fixture
def study_of(tmp_path):
    (tmp_path / "tasks.py").write_text(TASKS)
    return lambda arm: parse(TEXT % arm, "mine", folder=tmp_path)


def recorded(study):
    """The recipe in the parameters of the first trial, once all arms are settled."""
    study = study._replace(arms=tuple(map(settled, study.arms)))
    return Dispatcher(study, {}).next().trial.flat().get("scheme.recipe")


@pytest.mark.parametrize(
    ("arm", "recipe"),
    [
        ("", "adjoints"),
        ("precision: bfloat16", "graph"),
        (CELLS, "graph"),
        (STRANGE, "graph"),
        ("scheme.recipe: sweep", "sweep"),
        ("scheme.recipe: graph", "graph"),
        (f"{CELLS}, scheme.recipe: adjoints", "adjoints"),
        ("scheme: fixed", None),
    ],
    ids=[
        "MLP",
        "bfloat16",
        "cells",
        "no jet",
        "sweep asked for",
        "graph asked for",
        "jets of cells asked for",
        "fixed",
    ],
)
def test_every_trial_records_the_way_that_was_settled_or_asked_for(study_of, arm, recipe):
    assert recorded(study_of(arm)) == recipe


@pytest.mark.parametrize(
    "searched",
    ["task.hidden: {integer: [4, 8]}", "batch_size: {choice: [32, 64]}", "scheme.recipe: {choice: [auto, graph]}"],
)
def test_where_trials_may_differ_in_their_networks_each_settles_it_by_the_same_rule(study_of, searched):
    (arm,) = study_of(searched).arms
    assert settled(arm) is arm


@pytest.mark.parametrize("domain", ["scheme.every: {integer: [1, 4]}", "task.hidden: 8"])
def test_what_leaves_the_network_as_it_is_may_be_searched(study_of, domain):
    assert recorded(study_of(domain)) == "adjoints"


@pytest.mark.parametrize("jets", ["adjoints", "sweep", "{choice: [graph, sweep]}"])
def test_jets_are_refused_of_a_network_with_a_call_that_has_none(study_of, jets):
    (arm,) = study_of(f"{STRANGE}, scheme.recipe: {jets}").arms
    with pytest.raises(
        Refusal, match=r"arm 'one': scheme.recipe: \w+ needs a jet of every call, and .*sinh has no"
    ) as told:
        settled(arm)
    assert str(told.value).endswith(": say auto")
    assert "\n" not in str(told.value)


def test_the_command_refuses_them_before_anything_starts(lr_study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "mine.yaml").write_text(TEXT % f"{STRANGE}, scheme.recipe: adjoints")
    done = lr_study("run", "mine.yaml")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("error: arm 'one': scheme.recipe: adjoints needs a jet")


def test_an_arm_is_the_same_arm_before_and_after(study_of):
    (arm,) = study_of(CELLS).arms
    after = settled(arm)
    assert after != arm
    assert json.dumps(after.contents()) == json.dumps(arm.contents())


@pytest.mark.parametrize("arm", ["task.hidden: 4", CELLS], ids=["MLP", "cells"])
def test_a_trial_settled_before_it_starts_gives_the_bits_of_one_that_settles_it_itself(study_of, arm):
    (one,) = study_of(arm).arms
    runs = [Run(each.trial({"scheme.level": 0.5}, seed=3)) for each in (one, settled(one))]
    for run in runs:
        for _ in range(3):
            run.step()
    assert runs[0].passes == runs[1].passes
    assert all(torch.equal(runs[0].params[name], runs[1].params[name]) for name in runs[0].params)
