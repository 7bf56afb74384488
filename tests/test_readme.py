"""The READMEs cannot lie: their tree, commands, study files and examples are held against reality."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from study.cli import cli
from study.plan import parse
from trainables.plugins import trusted
from trainables.run.loop import Run
from trainables.run.own_loop import OwnLoop
from trainables.trial import Trial

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BESIDE = ("study", "study/results", "trainables", "tests/benchmarks")
ALL = "\n".join([README, *((ROOT / folder / "README.md").read_text(encoding="utf-8") for folder in BESIDE)])
GATE = (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def tree():
    """The paths that the README's tree names, packages for folders with __init__."""
    named, folder = set(), ""
    for line in blocks("text")[-1].splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name
            named.add(name)
        else:
            named.add(folder + name)
    return named


def real():
    """The folders that a reader of the tree should find."""
    found = {"cluster/", "tests/"}
    for package in ("study", "trainables"):
        found.add(f"{package}/")
        for path in (ROOT / package).iterdir():
            if path.name.startswith(("__", ".")):
                continue
            if path.is_dir():
                found.add(f"{package}/{path.name}/")
    return found


def test_the_tree_is_the_tree():
    assert tree() == real()


def test_the_first_readme_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 160


def test_links_between_readmes_lead_somewhere():
    for folder in (".", *BESIDE):
        text = (ROOT / folder / "README.md").read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)(?:#[\w-]+)?\)", text):
            assert (ROOT / folder / link).exists(), f"{folder}/README.md leads to {link}"


def test_the_commands_of_the_table_are_all_commands():
    named = set(re.findall(r"^\| `lr-study (\w+)", README, flags=re.MULTILINE))
    assert named == set(cli.list_commands(None))


@pytest.mark.parametrize("line", sorted(set(re.findall(r"lr-study (run [\w-]+|report [\w-]+)(?![\w/-])", ALL))))
def test_commands_name_studies_that_exist(line):
    name = line.split()[1]
    assert name in {*parse.shipped(), "STUDY", "my_study", "mine"}


def test_options_named_in_the_readme_exist():
    options = {
        option
        for name in cli.list_commands(None)
        for parameter in cli.get_command(None, name).params
        for option in parameter.opts
    }
    shell = " ".join(re.findall(r"`(?:lr-study [^`]*|--[^`]*)`", ALL))
    for option in re.findall(r"(?<!\S)--[a-z-]+", shell):
        assert option in options, f"the README names {option}, which no command has"


def test_the_study_file_in_the_readme_is_read():
    study = parse.parse(blocks("yaml")[0], "readme")
    assert [arm.name for arm in study.arms] == ["sgd", "momentum", "adam"]


@pytest.fixture
def examples(tmp_path):
    """A folder with every file that the README writes out under its name."""
    for language in ("python", "yaml"):
        for block in blocks(language, ALL):
            named = re.match(r"# (\w+\.\w+)\n", block)
            if named:
                (tmp_path / named[1]).write_text(block)
    return tmp_path


def test_the_task_and_the_scheme_in_the_readme_train(examples):
    fixed, bold = parse.load(str(examples / "mine.yaml")).arms
    records = {arm.name: list(Run(arm.trial({"scheme.lr": 0.3}, seed=0))) for arm in (fixed, bold)}
    assert min(max(record.valid_score for record in of_arm) for of_arm in records.values()) > 0.8
    assert {record.lr for record in records["fixed"]} == {0.3}
    assert len({record.lr for record in records["bold"]}) == 10


def test_the_direction_in_the_readme_trains(examples):
    keys = {"direction": trusted("./my_direction.py:Sign", examples), "scheme": "curvature"}
    records = list(Run(Trial.parse({"task": "quadratic", "epochs": 5, **keys})))
    assert records[-1].train_loss < 0.6 * records[0].train_loss


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("plain.py:Plain", 30),
        ("stream.py:Stream", 30),
        ("gan.py:Gan", 45),
        ("finetune.py:Finetune", 35),
        ("module.py:Fit", 35),
    ],
)
@pytest.mark.filterwarnings("default")  # of trainers
@pytest.mark.timeout(300)
def test_the_loops_in_the_readme_train_and_are_short(examples, name, longest):
    text = (examples / name.partition(":")[0]).read_text()
    assert len([line for line in text.splitlines() if line and not line.startswith("#")]) <= longest
    task = trusted(f"./{name}", examples)
    size = {"batch_size": 32} if "session.batch_size" in text or "(session)" in text else {}
    records = list(OwnLoop(Trial.parse({"task": task, **size, "epochs": 3, "direction": "adam", "scheme.lr": 0.01})))
    assert len(records) == 3
    assert not records[-1].diverged


@pytest.mark.parametrize("name", ["Ranked", "Found"])
def test_the_scorers_in_the_readme_score_whole_splits(examples, name):
    pytest.importorskip("torchmetrics", reason="needs the dependency group metrics")
    scorers = next(block for block in blocks("python", ALL) if "def scorer" in block)
    (examples / "my_task.py").write_text((examples / "my_task.py").read_text() + scorers)
    task = trusted(f"./my_task.py:{name}", examples)
    record = list(Run(Trial.parse({"task": task, "direction": "adam", "scheme.lr": 0.03, "epochs": 10})))[-1]
    assert 0.9 < record.valid_score <= 1


def test_the_conformance_test_in_the_readme_passes(examples):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_scheme.py"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=examples, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^[6-9] passed", done.stdout, flags=re.MULTILINE), done.stdout


def test_the_gate_runs_the_readmes_test_command():
    command = next(block.strip() for block in blocks("sh") if "pytest" in block)
    assert command in GATE


def test_nothing_else_is_visible_at_the_top():
    """`mlflow.db` is made by a run and ignored by git."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout
    top = {path.split("/")[0] for path in listed.split() if not path.startswith(".")}
    if not top:
        pytest.skip("not a git checkout")
    assert top <= {"README.md", "cluster", "pyproject.toml", "study", "tests", "trainables"}
