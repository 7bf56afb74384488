"""A record may name code, and may come from anybody: whoever reads it runs none of that."""

import sys

import pandas as pd
import pytest
from mlflow import MlflowClient
from simulated import simulate

import study
from study.answers.study import ReportOptions, answers_of
from study.cost import NotDefined
from study.plan import parse
from study.records.material import level_of, of_study
from study.tracking import Tracker, kept_name, stored_code
from trainables import plugins
from trainables.components import find, name_of
from trainables.refusal import Refusal
from trainables.run import artifacts
from trainables.run.loop import Run
from trainables.tasks import Task
from trainables.tasks.quadratic import Quadratic
from trainables.trial import Trial

MODULE = """
from dataclasses import dataclass
from pathlib import Path

from trainables.schemes.fixed import Fixed
from trainables.space import LogUniform, searched
from trainables.schemes import Rate, Scheme
from trainables.tasks.digits_mlp import DigitsMLP
from trainables.tasks.quadratic import Quadratic

with (Path(__file__).parent / "ran").open("a") as file:
    file.write(__name__)


@dataclass(frozen=True)
class Bowl(Quadratic):
    pass


@dataclass(frozen=True)
class Digits(DigitsMLP):
    pass


@dataclass(frozen=True)
class Bold(Scheme):
    lr: float = searched(LogUniform(1e-3, 1.0), default=0.1)

    def init(self, params):
        return ()

    def rate(self, known):
        return Rate(self.lr), known.state
"""
NAMES = "evil_module:Bowl", "./evil_module.py:Bowl", "os:system", "evil_module:", ":", "a:b:c", "\x1b[2J:X"
PLAIN = {
    "repetition": 0,
    "seed_number": 0,
    "searcher": "random",
    "record": 1,
    "status": "finished",
    "arm": "sgd",
    "epoch": 1.0,
    "passes": 10.0,
    "train_loss": 1.0,
    "flops": 1.0,
    "steps": 10,
    "seconds": 1.0,
    "diverged": 0,
    "lr": 0.1,
    "scheme": "fixed",
    "valid_loss": 1.0,
}
LEVEL = {"mode": "min", "metric": "loss", "chance": 3.0, "target": 0.4}


@pytest.fixture
def ran(tmp_path, monkeypatch):
    """The mark that the module makes if it is run; the module can be imported, and lies in the working directory."""
    (tmp_path / "evil_module.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(plugins, "_SHIPPED", {})  # else the text that another test was sent stands for this file
    yield tmp_path / "ran"
    sys.modules.pop("evil_module", None)


def saved(path, **columns):
    """A saved record whose cells the sender chose."""
    rows = [{**PLAIN, "k": k, "run_id": str(k), "scheme.lr": 10.0**-k, "valid_score": k / 10} for k in range(3)]
    table = pd.DataFrame([row | columns for row in rows])
    table.to_csv(path, index=False) if path.suffix == ".csv" else table.to_parquet(path)


def recorded(folder, text):
    """A study that somebody ran where the module was trusted; here it has not been loaded."""
    uri = f"sqlite:///{folder}/mlflow.db"
    theirs = parse.parse(text, "theirs", folder=folder)
    simulate(theirs, uri, lambda arm, trial, rng: [1.0, float(rng.uniform())])
    forgotten(folder / "ran")
    return uri


def forgotten(ran):
    """As in another process, which has not loaded the module."""
    ran.unlink()
    for name in [name for name in sys.modules if name.startswith("evil_module")]:
        del sys.modules[name]


def as_if_older(uri):
    """The first versions did not record how scores are read."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("theirs").experiment_id
    for run in client.search_runs([experiment], "tags.`lr_study.kind` = 'trial'"):
        client.delete_tag(run.info.run_id, "lr_study.chance")


# --- a table from anybody ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize(
    ("column", "name"),
    [*(("task", name) for name in NAMES), *((column, NAMES[0]) for column in ("scheme", "direction", "rule"))],
)
def test_a_saved_record_that_names_code_is_read_without_running_it(column, name, suffix, ran, lr_study, tmp_path):
    path = tmp_path / f"x{suffix}"
    saved(path, **{"task": "quadratic", column: name})
    told = [lr_study(command, path) for command in ("report", "replay", "cost")]
    assert not ran.exists()
    assert "evil_module" not in sys.modules
    assert not [done for done in told if "Traceback" in done.stderr or done.returncode not in (0, 2)]


@pytest.mark.parametrize("column", ["task", "scheme"])
def test_where_the_record_says_how_scores_are_read_its_page_needs_no_code(column, ran, lr_study, tmp_path):
    saved(tmp_path / "x.parquet", **{"task": "quadratic", **LEVEL, column: NAMES[0]})
    reported = lr_study("report", "x.parquet")
    assert reported.returncode == 0, reported.stderr
    assert (tmp_path / ".lr-study" / "reports" / "x" / "report.html").exists()
    assert not ran.exists()


def test_a_record_that_does_not_say_how_its_scores_are_read_is_refused_in_one_line(ran, lr_study, tmp_path):
    saved(tmp_path / "x.parquet", task="evil_module:Bowl")
    told = lr_study("report", "x.parquet")
    assert told.returncode == 2
    assert "scores of task 'evil_module:Bowl' are read" in told.stderr
    assert len(told.stderr.splitlines()) == 1
    saved(tmp_path / "x.parquet", task="quadratic")
    assert lr_study("report", "x.parquet").returncode == 0  # our own says it
    assert not ran.exists()


def test_replay_of_a_study_file_imports_nothing(ran, lr_study, tmp_path):
    saved(tmp_path / "x.parquet", task="evil_module:Bowl", **LEVEL)
    text = "{question: q, common: {task: evil_module:Bowl, trials: 3}, arms: {sgd: {}}}"
    (tmp_path / "theirs.yaml").write_text(text)
    told = lr_study("replay", "x.parquet", "--study", "theirs.yaml", "--repetitions", "100")
    assert not ran.exists()
    assert "Traceback" not in told.stderr


# --- a store that others write -------------------------------------------------------------------------------

THEIRS = """
question: q
common: {task: 'evil_module:Bowl', epochs: 2, trials: 12, artifacts: false}
arms:
  bold: {scheme: ./evil_module.py:Bold}
  sgd: {}
"""


@pytest.mark.parametrize("tagged", [True, False], ids=["level recorded", "by an older version"])
def test_a_store_that_names_code_is_read_without_running_it(tagged, ran, lr_study, tmp_path):
    uri = recorded(tmp_path, THEIRS)
    if not tagged:
        as_if_older(uri)
    told = {
        command: lr_study(command, *words, "--uri" if command == "cost" else "--tracking-uri", uri)
        for command, words in {
            "report": ["theirs"],
            "replay": ["theirs", "--repetitions", "100"],
            "functions": ["theirs"],
            "status": ["theirs"],
            "cost": ["study:theirs", "--mode", "min"],
            "cancel": ["theirs"],
        }.items()
    }
    assert not ran.exists()
    assert not any(name.startswith("evil_module") for name in sys.modules)
    assert not [command for command, done in told.items() if "Traceback" in done.stderr]
    assert told["status"].returncode == told["cancel"].returncode == 0
    read = {told[command].returncode for command in ("report", "replay", "cost")}
    assert read == {0 if tagged else 2}, told["replay"].stderr
    assert told["functions"].returncode == 2
    assert "--trust runs it" in told["functions"].stderr


def test_what_the_arms_search_and_their_defaults_are_told_by_the_record(ran, lr_study, tmp_path):
    """Of a scheme of other people's the domain is recorded; of our own, on their task, the default is known."""
    uri = recorded(tmp_path, THEIRS + "  untuned: {scheme.lr: default, trials: 1}\n")
    material = of_study("theirs", uri)
    assert {arm: [*domains] for arm, domains in material.searched.items()} == {
        "bold": ["scheme.lr"],
        "sgd": ["scheme.lr"],
        "untuned": [],
    }
    (answers,) = answers_of(material, ReportOptions())
    assert isinstance(answers.regret["sgd"], float)
    assert isinstance(answers.regret["bold"], NotDefined)
    told = lr_study("replay", "theirs", "--searcher", "sobol", "--repetitions", "100", "--tracking-uri", uri)
    assert told.returncode == 0, told.stderr
    assert "bold" in told.stdout
    assert not ran.exists()


def test_functions_shows_the_stored_code_and_runs_it_only_where_it_is_trusted(ran, lr_study, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    text = (
        "{question: q, common: {task: './evil_module.py:Digits', artifacts: true, epochs: 1, trials: 2}, arms: {a: {}}}"
    )
    theirs = parse.parse(text, "theirs", folder=tmp_path)
    tracker = Tracker(theirs, uri)
    (search,) = theirs.searches()
    tracker.searches.open([search])
    for k in range(2):
        run, key = Run(search.arm.trial({"scheme.lr": 0.1}, k)), search.key(k)
        run.epoch()
        tracker.start(search, key, run.trial)
        tracker.keep(key, artifacts.save(run.artifacts(), tmp_path / "work"))
        tracker.finish(key, "finished", run.best_score)
    tracker.close(complete=True)
    forgotten(ran)
    (tmp_path / "evil_module.py").unlink()  # it need not be here
    shown = lr_study("functions", "theirs", "--tracking-uri", uri)
    assert shown.returncode == 2
    assert "class Digits(DigitsMLP)" in shown.stderr
    assert not any(name.startswith("evil_module") for name in sys.modules)
    trusted = lr_study("functions", "theirs", "--trust", "--tracking-uri", uri)
    assert trusted.returncode == 0, trusted.stderr
    assert "mean inside a run" in trusted.stdout
    assert any(name.startswith("evil_module") for name in sys.modules)


def test_two_files_of_one_name_are_kept_as_two(tmp_path):
    for folder in ("v1", "v2"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "task.py").write_text(MODULE.replace("class Digits", f"# of {folder}\nclass Digits"))
    arms = ", ".join(f"{one}: {{task: './{one}/task.py:Digits'}}" for one in ("v1", "v2"))
    theirs = parse.parse(f"{{question: q, common: {{trials: 1}}, arms: {{{arms}}}}}", "both", folder=tmp_path)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracker = Tracker(theirs, uri)
    tracker.searches.open(theirs.searches())
    tracker.close(complete=False)
    code = stored_code("both", uri)
    assert ["of v1" in code[kept_name("./v1/task.py")], "of v2" in code[kept_name("./v2/task.py")]] == [True, True]


def test_an_older_record_of_our_own_task_is_read_by_the_tasks_name(ran, lr_study, tmp_path):
    uri = recorded(tmp_path, THEIRS.replace("evil_module:Bowl", "quadratic"))
    as_if_older(uri)
    reported = lr_study("report", "theirs", "--tracking-uri", uri)
    assert reported.returncode == 0, reported.stderr
    assert set(study.read("theirs", tracking_uri=uri)["mode"]) == {"min"}
    assert not ran.exists()


def test_from_python_nothing_runs_either(ran, tmp_path):
    uri = recorded(tmp_path, THEIRS)
    assert set(study.read("theirs", tracking_uri=uri)["task"]) == {"evil_module:Bowl"}
    assert "evil_module:Bowl" in study.report("theirs", tracking_uri=uri)
    assert study.page("theirs", tmp_path / "page", tracking_uri=uri).path.exists()
    assert not ran.exists()


# --- where a name is the user's ------------------------------------------------------------------------------


def test_a_name_out_of_a_text_is_refused_and_one_that_the_user_gave_is_imported(ran, tmp_path):
    with pytest.raises(Refusal, match=r"'evil_module:Bowl' names other people's code, which is not run"):
        Trial.parse({"task": "evil_module:Bowl"})
    text = "{question: q, common: {task: evil_module:Bowl}, arms: {sgd: {}}}"
    with pytest.raises(Refusal, match="names other people's code"):
        parse.parse(text, "recorded")
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(Refusal, match="names other people's code"):
        parse.load(str(tmp_path / "mine.yaml"), code=False)
    assert not ran.exists()
    arm = parse.load(str(tmp_path / "mine.yaml")).arms[0]
    assert ran.read_text() == "evil_module"
    flat = arm.trial({"scheme.lr": 0.1}, seed=0).flat()
    assert type(Trial.parse(flat).task) is type(arm.task)  # its code has run


def test_what_is_imported_must_be_of_the_family(ran, tmp_path):
    for name, why in {
        "evil_module:Path": "Path is no task: it must inherit trainables.tasks.Task",
        "evil_module:dataclass": "is no task",
        "evil_module:Bold": "Bold is no task",
    }.items():
        (tmp_path / "mine.yaml").write_text(f"{{question: q, common: {{task: '{name}'}}, arms: {{sgd: {{}}}}}}")
        with pytest.raises(Refusal, match=why):
            parse.load(str(tmp_path / "mine.yaml"))


def test_our_own_members_need_nobodys_word():
    assert find(Task, "quadratic") is Quadratic
    assert name_of(Quadratic) == "quadratic"
    table = pd.DataFrame([{**PLAIN, "task": "quadratic", "scheme.lr": 0.1}])
    assert level_of(table, "quadratic").mode == "min"
