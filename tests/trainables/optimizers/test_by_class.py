"""Any `torch.optim.Optimizer` by its class: its constructor's arguments are the fields, its defaults are theirs."""

import re

import pytest
import torch
from torch import nn

from study.plan.catalogue import lines
from study.plan.parse import parse
from trainables.components import files_of, name_of, slots
from trainables.packaged import Packaged
from trainables.plugins import trusted
from trainables.refusal import Refusal
from trainables.run.loop import Run
from trainables.space import LogUniform, Uniform
from trainables.testing import check_fields, noisy_bowl, same, two_layers
from trainables.trial import Trial

CLASSES = [
    name for name, found in vars(torch.optim).items() if isinstance(found, type) and found is not torch.optim.Optimizer
]
FILE = """
import torch


class Mine(torch.optim.SGD):
    \"\"\"SGD along other things.\"\"\"

    def __init__(self, params, lr, shape: str = "flat", tables: "list[float] | None" = None, make=dict, *, decay=0):
        super().__init__(params, lr=lr, weight_decay=decay)
        self.told = lr, shape, tables, make, decay


class Taken(torch.optim.SGD):
    def __init__(self, params, rate=0.1):
        super().__init__(params, lr=rate)


class Needy(torch.optim.SGD):
    def __init__(self, params, lr: float = 0.1, *, inner: torch.optim.Optimizer):
        super().__init__(params, lr=lr)
"""
TASK = {"task": "quadratic"}


def of(name, **given):
    keys = {f"optimizer.{key}": value for key, value in given.items()}
    return {**TASK, "optimizer": trusted(name), **keys}


@pytest.mark.parametrize("name", CLASSES)
def test_an_optimizer_of_torchs_has_the_defaults_of_its_class(name):
    trial = Trial.parse(of(f"torch.optim:{name}"))
    leaf = nn.Parameter(torch.zeros(2, 2))
    assert trial.rule.optimizer.make([leaf]).defaults == getattr(torch.optim, name)([leaf]).defaults
    assert isinstance(trial.rule, Packaged)
    check_fields(trial.rule.optimizer)
    assert Trial.parse({key: trusted(value) for key, value in trial.flat().items()}) == trial


def test_what_is_searched_is_the_rate():
    found = slots(Trial, of("torch.optim:AdamW"))
    domains = {key: slot.domain for key, slot in found.items() if key.startswith("optimizer.") and slot.domain}
    assert domains == {"optimizer.lr": LogUniform(1e-5, 10.0)}


def test_a_study_file_may_search_its_numbers_and_fix_its_lists(tmp_path):
    text = (
        "{question: q, common: {task: quadratic}, arms: {a: {optimizer: 'torch.optim:Adam', "
        "optimizer.betas: [0.8, 1e-1], optimizer.weight_decay: {uniform: [0, 1]}, schedule: cosine}}}"
    )
    (arm,) = parse(text, "x", folder=tmp_path).arms
    assert arm.space == {"optimizer.lr": LogUniform(1e-5, 10.0), "optimizer.weight_decay": Uniform(0, 1)}
    trial = arm.trial({"optimizer.lr": 0.5, "optimizer.weight_decay": 0.25}, 0)
    live = trial.rule.optimizer.make([nn.Parameter(torch.zeros(1))])
    assert (live.defaults["lr"], live.defaults["betas"], live.defaults["weight_decay"]) == (0.5, (0.8, 0.1), 0.25)
    assert name_of(type(trial.rule.schedule)) == "cosine"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (of("torch.optim:Adm"), "unknown optimizer in torch.optim: 'Adm': did you mean 'Adam'?"),
        (of("torch.nn:Linear"), "torch.nn:Linear is no optimizer: it must inherit torch.optim.Optimizer"),
        (of("torch.optim:Optimizer"), "optimizer torch.optim:Optimizer: Optimizer.__init__() missing 1 required"),
        (of("torch.optim:Adam", betas="fast"), "optimizer.betas must be a list of numbers, got 'fast'"),
        (of("torch.optim:Adam", betas=["a", 1]), "optimizer.betas must be a list of numbers, got ['a', 1]"),
        (
            of("torch.optim:Adam", betas=[0.9, 1.5]),
            "optimizer torch.optim:Adam: Invalid beta parameter at index 1: 1.5",
        ),
        (of("torch.optim:Adam", lr=-1), "optimizer.lr must lie in [0, inf], got -1"),
        (of("torch.optim:Adam", amsgrad=1), "optimizer.amsgrad must be true or false, got 1"),
        (of("torch.optim:Adam", momentum=1), "unknown key 'optimizer.momentum'"),
        (
            {**of("torch.optim:Adam"), "scheme": "cprop"},
            "optimizer is a rule of its own, and takes no scheme beside it",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_is_refused_in_one_clear_line(given, told):
    with pytest.raises(Refusal, match=re.escape(told)) as refusal:
        Trial.parse(given)
    assert "\n" not in str(refusal.value)


def test_parameters_that_it_does_not_take_are_refused_in_one_line():
    with pytest.raises(Refusal, match=r"^optimizer torch\.optim:Muon: Muon only supports 2D parameters[^\n]*$"):
        Run(Trial.parse(of("torch.optim:Muon")))


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_of_a_file_takes_plain_data_alone_and_goes_with_its_file(mine):
    trial = Trial.parse(of("./mine.py:Mine", lr=0.5, tables=[1, 2.5], decay=0.1))
    assert {key: value for key, value in trial.flat().items() if key.startswith("optimizer")} == {
        "optimizer": "./mine.py:Mine",
        "optimizer.lr": 0.5,
        "optimizer.shape": "flat",
        "optimizer.tables": (1, 2.5),
        "optimizer.decay": 0.1,
    }
    told = trial.rule.optimizer.make([nn.Parameter(torch.zeros(1))]).told
    assert told == (0.5, "flat", (1, 2.5), dict, 0.1)
    assert [file.text for file in files_of(trial)] == [FILE]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (of("./mine.py:Mine", lr=0.5, make=1), "unknown key 'optimizer.make'"),
        (of("./mine.py:Mine"), "optimizer.lr is missing"),
        (of("./mine.py:Taken"), "has an argument 'rate', which is a name of ours"),
        (of("./mine.py:Needy"), "optimizer ./mine.py:Needy: "),
    ],
    ids=["callable", "missing", "ours", "needs more"],
)
def test_one_of_a_file_that_cannot_be_described_is_refused(mine, given, told):
    with pytest.raises(Refusal, match=re.escape(told)):
        Trial.parse({key: trusted(str(value)) if key == "optimizer" else value for key, value in given.items()})


def test_it_trains_as_the_class_itself_bit_for_bit():
    rule, params = Trial.parse({**of("torch.optim:NAdam", lr=0.05), "schedule": "linear"}).rule, two_layers()
    leaves = {name: nn.Parameter(param.clone()) for name, param in params.items()}
    theirs, state = torch.optim.NAdam(leaves.values(), lr=0.05), rule.init(params)
    for step in range(20):
        _, params, state = rule.step(noisy_bowl(step), params, state, torch.tensor(step / 20, dtype=torch.float64))
        for name, grad in noisy_bowl(step).gradient({name: leaf.detach() for name, leaf in leaves.items()})[1].items():
            leaves[name].grad = grad
        theirs.param_groups[0]["lr"] = 0.05 * (1 - step / 20)
        theirs.step()
    assert same(params, {name: leaf.detach() for name, leaf in leaves.items()})


def test_it_is_listed_with_the_defaults_of_its_class_and_what_is_searched():
    first, *told = lines("optimizers", "torch.optim:Adafactor")
    assert first.startswith("torch.optim:Adafactor: ")
    assert told[:3] == [
        "    optimizer.lr = 0.01, searched over log_uniform [1e-05, 10.0]",
        "    optimizer.beta2_decay = -0.8",
        "    optimizer.eps = [null, 0.001]",
    ]
