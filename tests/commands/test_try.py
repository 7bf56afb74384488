"""`lr-study try`: one trial in this process, where a debugger stops and Ctrl-C ends it."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

from study.plan.chosen import choose
from trainables.run.loop import Run

QUADRATIC = "{question: q, common: {task: quadratic, batch_size: full, epochs: 4, scheme.lr: 0.5}, arms: {sgd: {}}}"
TASKS = """
from dataclasses import dataclass

from trainables.tasks.quadratic import Quadratic


@dataclass(frozen=True)
class Mine(Quadratic):
    at: int = 3
    does: str = "raises"

    def score(self, outputs, targets):
        if not torch_seen(outputs) and seen() == self.at:
            if self.does == "raises":
                raise ValueError("no such score")
            if self.does == "stops":
                breakpoint()
            if self.does == "interrupts":
                raise KeyboardInterrupt
        return super().score(outputs, targets)


def torch_seen(outputs):
    return outputs.requires_grad


SEEN = [0]


def seen():
    SEEN[0] += 1
    return SEEN[0]
"""
PDB = {"PYTHONBREAKPOINT": "pdb.set_trace"}  # once Ray has begun in this process, its own debugger stands there
MINE = "{question: q, common: {task: './tasks.py:Mine', batch_size: full, epochs: 4, scheme.lr: 0.5}, arms: {sgd: {}}}"


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "mine.yaml").write_text(MINE)
    return tmp_path


def test_the_records_are_those_of_the_trial(lr_study, tmp_path):
    (tmp_path / "q.yaml").write_text(QUADRATIC)
    done = lr_study("try", "q.yaml", "scheme.lr=0.25", "epochs=3", "seed=7", "--json")
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    made = [record.flat() for record in Run(choose("q.yaml", ["scheme.lr=0.25", "epochs=3", "seed=7"]).trial)]
    assert len(told) == 3
    assert [{**one, "seconds": 0} for one in told] == [{**one, "seconds": 0} for one in made]
    assert not (tmp_path / "mlflow.db").exists()
    assert not (tmp_path / ".lr-study").exists()


def test_people_get_a_line_a_record_and_what_was_chosen(lr_study):
    done = lr_study("try", "quickstart", "epochs=2")
    assert done.returncode == 0, done.stderr
    first, last = done.stdout.splitlines()
    assert first.startswith("epoch 1: train loss ")
    assert "; valid loss " in first
    assert "accuracy" in first
    assert "test accuracy" in last
    assert "quickstart, arm sgd, seed 0: one trial here" in done.stderr
    assert "it has others: adam, curvature" in done.stderr
    assert "scheme.lr = 0.1, its default" in done.stderr


def test_of_a_split_people_are_told_both_rates_and_the_share_of_the_hidden_matrices(lr_study, tmp_path):
    (tmp_path / "s.yaml").write_text("{question: q, arms: {muon: {task: digits_mlp, rule: split, epochs: 1}}}")
    done = lr_study("try", "s.yaml")
    assert "; lr 0.02; rest lr 0.001, hidden matrices 85%; " in done.stdout, done.stderr


def test_a_diverged_trial_says_so_and_json_has_neither_nan_nor_infinity(lr_study, tmp_path):
    (tmp_path / "q.yaml").write_text(QUADRATIC)
    assert "; diverged" in lr_study("try", "q.yaml", "scheme.lr=10", "epochs=400").stdout.splitlines()[-1]
    last = json.loads(lr_study("try", "q.yaml", "scheme.lr=10", "epochs=400", "--json").stdout.splitlines()[-1])
    assert last["diverged"] is True
    assert last["valid_loss"] is None
    (tmp_path / "m.yaml").write_text("{question: q, arms: {m: {task: quadratic, scheme: multilevel, scheme.lr: 10}}}")
    last = json.loads(lr_study("try", "m.yaml", "--json").stdout.splitlines()[-1], parse_constant=pytest.fail)
    assert last["lr_layer"] is None


def test_neither_ray_nor_mlflow_nor_optuna_is_imported(tmp_path):
    words = ["lr-study", "try", "quickstart", "epochs=1", "--profile"]
    code = f"import sys; from study.cli import main; sys.argv = {words}; main(); \
print(sorted({{'ray', 'mlflow', 'optuna'}} & set(sys.modules)))"
    command = [sys.executable, "-c", code]
    env = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, env=env)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_profile_tells_phases_and_functions(lr_study):
    done = lr_study("try", "quickstart", "adam", "epochs=2", "--profile")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    for phase in ("data", "forward", "backward", "update", "evaluation", "other"):
        assert f"\n  {phase} " in done.stderr
    assert "dearest functions" in done.stderr
    assert "run_backward" in done.stderr


def test_a_refusal_is_one_line(lr_study):
    done = lr_study("try", "quickstart", "scheme.lrr=1")
    assert done.returncode == 2
    assert done.stderr.startswith("error: arm 'sgd': unknown key 'scheme.lrr': did you mean 'scheme.lr'?")
    assert done.stderr.count("\n") == 1


def test_an_error_in_ones_own_code_shows_its_whole_traceback(lr_study_process, mine):
    out, err = lr_study_process("try", "mine.yaml").communicate(timeout=100)
    assert 'tasks.py", line 15, in score' in err
    assert err.strip().endswith("ValueError: no such score")
    assert "epoch 1" in out


def test_a_breakpoint_stops_in_ones_own_code_and_goes_on(lr_study_process, mine):
    process = lr_study_process("try", "mine.yaml", "task.does=stops", stdin=subprocess.PIPE, env=PDB)
    out, err = process.communicate("p self.at + 4000\nc\n", timeout=100)
    assert process.returncode == 0, err
    assert "4003" in out
    assert out.count("epoch ") == 4


LOOP = """
from dataclasses import dataclass

import torch

from trainables.training import Training


@dataclass(frozen=True)
class Own(Training):
    metric, mode, chance = "accuracy", "max", 0.5

    def train(self, session):
        weight = torch.nn.Parameter(torch.ones(1))
        optimizer = session.optimizer([weight])
        for epoch in session.epochs():
            weight.grad = torch.ones(1)
            optimizer.step()
            if epoch == 1:
                breakpoint()
            session.report(valid_score=0.75)
"""


def test_a_breakpoint_stops_in_a_loop_of_ones_own(lr_study_process, tmp_path):
    (tmp_path / "loop.py").write_text(LOOP)
    (tmp_path / "own.yaml").write_text("{question: q, common: {task: './loop.py:Own', epochs: 3}, arms: {sgd: {}}}")
    process = lr_study_process("try", "own.yaml", stdin=subprocess.PIPE, env=PDB)
    out, err = process.communicate("p epoch + 4000\nc\n", timeout=100)
    assert process.returncode == 0, err
    assert "4001" in out
    assert out.count(": valid accuracy 0.75; lr 0.1; ") == 3  # nothing else was told
    assert out.index("epoch 1: ") < out.index("4001") < out.index("epoch 2: ")


def test_who_leaves_the_debugger_ends_the_trial(lr_study_process, mine):
    process = lr_study_process("try", "mine.yaml", "task.does=stops", stdin=subprocess.PIPE, env=PDB)
    _, err = process.communicate("q\n", timeout=100)
    assert process.returncode == 130
    assert err.strip().endswith("interrupted after 1 record")
    assert "Traceback" not in err


def test_ctrl_c_ends_with_a_line_and_the_profile_is_told_all_the_same(lr_study, mine):
    done = lr_study("try", "mine.yaml", "task.does=interrupts", "--profile")
    assert done.returncode == 130
    assert "interrupted after 1 record\n" in done.stderr
    assert "  update " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_study_whose_file_fails_names_it(lr_study, mine):
    (mine / "mine.yaml").write_text(MINE.replace("sgd: {}", "sgd: {task.at: 1}"))
    done = lr_study("run", "mine.yaml")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].endswith("`lr-study try mine.yaml sgd` shows its traceback")
