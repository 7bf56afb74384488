"""The command line: fast help, refusals in one line, output that pipes."""

import json
import subprocess
import sys
import time

import click
import pytest
from jsonschema import Draft202012Validator
from mlflow.exceptions import MlflowException

from study import cli
from study.plan import catalogue, parse
from study.plan.plain_yaml import read_plain


def refused(done, *words):
    """Exit code 2, one line on stderr that holds the words, no traceback."""
    assert done.returncode == 2, done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


def test_an_unknown_command_is_refused(lr_study):
    refused(lr_study("runn"), "unknown command 'runn'", "did you mean 'run'?")


def test_help_imports_nothing_slow():
    slow = "torch", "ray", "mlflow", "optuna", "pandas", "numpy", "pydantic"
    code = f"import sys; from study.cli import cli; cli.main(['--help'], standalone_mode=False); \
print([m for m in {slow!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_every_command_has_a_help_that_teaches():
    from click.testing import CliRunner

    from study.cli import cli

    names = cli.list_commands(None)
    assert {"run", "list", "report", "ui", "prepare"} <= set(names)
    for name in names:
        shown = CliRunner().invoke(cli, [name, "--help"])
        assert shown.exit_code == 0
        assert len(shown.output.splitlines()) > 5, f"`{name} --help` says too little"


@pytest.mark.parametrize("word", ["task=mnist_logreg", "epochs=2", "record_every=0.5"])
def test_a_target_takes_nothing_twice(word, lr_study):
    refused(lr_study("target", "digits_mlp", word), f"{word.partition('=')[0]} is not said as KEY=VALUE here")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "quickstart", "--epochs", "--record"], "--epochs prints records, csv or json: leave out --record"),
        (["report", "quickstart", "--epochs", "--unit", "steps"], "leave out --unit"),
        (
            ["report", "q", "--no-page", "--format", "csv", "--baseline", "a"],
            "prints the table alone: leave out --baseline",
        ),
        (["report", "quickstart", "--epochs", "--target", "0.9"], "leave out --target"),
        (["report", "quickstart", "--epochs", "--format", "markdown"], "leave out --format markdown"),
        (["best", "quickstart", "--as", "start", "--json"], "--as start prints searched values: leave out --json"),
        (["best", "quickstart", "--as", "start", "--seeds", "5"], "leave out --seeds"),
        (["overhead", "--task", "digits_mlp", "--device", "gpu"], "--device takes cpu, or cuda where torch finds one"),
        (["functions", "quickstart", "--output", "/proc/nowhere"], "--output: '/proc/nowhere' cannot be written"),
    ],
)
def test_options_that_nothing_would_heed_are_refused(words, said, lr_study):
    refused(lr_study(*words), said)


def test_a_storage_that_cannot_be_written_is_refused_before_ray_starts(lr_study):
    done = lr_study("run", "quickstart", "--storage", "/proc/nowhere")
    refused(done, "--storage /proc/nowhere cannot be written", "mount it, or give another")


def test_an_unknown_study_is_refused_with_the_nearest(lr_study):
    refused(lr_study("run", "quickstrat"), "unknown study 'quickstrat'", "did you mean 'quickstart'?")


def test_a_store_that_cannot_be_reached_is_refused(lr_study):
    uri = "sqlite:////proc/nowhere/mlflow.db"
    refused(lr_study("run", "quickstart", "--tracking-uri", uri), uri, "cannot be reached or written")


def test_a_server_that_does_not_answer_is_refused_within_seconds(lr_study, tmp_path):
    before = time.monotonic()
    refused(
        lr_study("run", "quickstart", "--tracking-uri", "http://127.0.0.1:9"), "http://127.0.0.1:9 cannot be reached"
    )
    assert time.monotonic() - before < 20
    assert not (tmp_path / ".lr-study").exists()


def test_reading_makes_no_store(lr_study, tmp_path):
    refused(lr_study("report", "quickstart"), "no MLflow store at mlflow.db")
    assert not (tmp_path / "mlflow.db").exists()


def test_missing_data_is_refused(lr_study, tmp_path):
    nowhere = {
        "LR_STUDY_DATA": str(tmp_path),
        "LR_STUDY_CACHE": str(tmp_path / "cache"),
        "https_proxy": "http://[::1]:9",
    }
    done = lr_study("prepare", "FashionMNIST", env=nowhere)
    refused(done, "FashionMNIST is missing or fails its checksum", "set LR_STUDY_DATA")


def test_a_corrupt_download_is_refused(lr_study, tmp_path, shared):
    raw = tmp_path / "data" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in (shared / "data" / "FashionMNIST" / "raw").iterdir():
        (raw / file.name).write_bytes(file.read_bytes()[:1000])
    corrupt = {
        "LR_STUDY_DATA": str(tmp_path / "data"),
        "LR_STUDY_CACHE": str(tmp_path / "cache"),
        "https_proxy": "http://[::1]:9",
    }
    refused(lr_study("prepare", "FashionMNIST", env=corrupt), "fails its checksum")


@pytest.mark.parametrize(
    "kind",
    ["studies", "arms", "rules", "directions", "schemes", "schedules", "decays", "optimizers", "tasks", "searchers"],
)
def test_list_names_everything(kind):
    from study.plan import catalogue

    assert list(catalogue.lines(kind))


MINE = """
from dataclasses import dataclass

from trainables.schemes.fixed import Fixed
from trainables.space import Uniform, searched


@dataclass(frozen=True)
class Mine(Fixed):
    \"\"\"A rate, times a half.\"\"\"

    half: float = searched(Uniform(0.25, 0.75), default=0.5)
"""


def test_one_class_of_the_users_own_is_listed_and_no_other_is_imported(lr_study, tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "other.py").write_text("raise SystemExit(3)")
    done = lr_study("list", "schemes", "mine.py:Mine")
    assert (done.returncode, done.stderr) == (0, "")
    head, *slots = done.stdout.splitlines()
    assert head == "mine.py:Mine: A rate, times a half."
    assert "    scheme.half = 0.5, searched over uniform [0.25, 0.75]" in slots
    assert "fixed" not in done.stdout
    refused(lr_study("list", "tasks", "mine.py:Mine"), "mine.py:Mine is no task")
    refused(lr_study("list", "schemes", "mine.py:Other"), "'Other': Known: Mine")
    refused(lr_study("list", "searchers", "mine.py:Mine"), "not searchers")


def test_one_of_ours_is_listed_alone(lr_study):
    assert lr_study("list", "schemes", "cprop").stdout.startswith("cprop: ")
    refused(lr_study("list", "schemes", "cprob"), "did you mean 'cprop'?")


def test_a_study_is_listed_where_packages_that_it_needs_are_not_installed(monkeypatch):
    from study.plan import catalogue
    from trainables import packaged

    monkeypatch.setattr(packaged, "find_spec", lambda name: None)
    (line,) = [line for line in catalogue.lines("studies") if line.startswith("adaptive: ")]
    assert (
        "needs the package schedulefree, which is not installed: in a checkout, uv sync --group packaged or pip" in line
    )
    assert any(line.startswith("quickstart: ") and "(48 trials; " in line for line in catalogue.lines("studies"))
    arms = list(catalogue.lines("arms"))
    assert len([line for line in arms if line.startswith("adaptive: arm ")]) == 1
    assert any(line.startswith("quickstart/") for line in arms)


def test_the_schema_is_json_and_knows_the_settings():
    from study.plan import file as reading

    text = json.dumps(reading.schema())
    assert all(name in text for name in reading.Settings.model_fields)


def test_every_shipped_study_has_the_form_that_the_schema_asks_for():
    from study.plan import file as reading

    form = Draft202012Validator(reading.schema())
    files = {name: read_plain(path.read_text(encoding="utf-8")) for name, path in parse.shipped().items()}
    assert [(name, error.message) for name, file in files.items() for error in form.iter_errors(file)] == []


def test_defaults_are_listed_as_a_study_file_writes_them():
    from study.plan import catalogue

    assert "    scheme.ceiling = .inf" in list(catalogue.lines("schemes", "multilevel"))
    assert "    hidden.optimizer.nesterov = true" in list(catalogue.lines("rules", "split"))


def test_settings_are_listed_those_of_a_search_and_those_of_a_trial():
    from study.plan import catalogue

    told = list(catalogue.lines("settings"))
    assert "    batch_size: 1 … 1e+09, full (default: 128)" in told
    assert "    repetitions: independent searches of the arm (default: 1)" in told


def test_a_loop_of_ones_own_is_listed_as_a_task(tmp_path):
    from study.plan import catalogue

    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom trainables.training import Training\n@dataclass(frozen=True)\n"
        "class Mine(Training):\n    'Mine.'\n    metric, mode, chance = 'score', 'max', 0.0\n    width: int = 3\n"
        "    def train(self, session): ...\n"
    )
    told = list(catalogue.lines("tasks", f"{tmp_path}/mine.py:Mine"))
    assert told[1:] == ["    task.width = 3"]


def test_a_dry_run_counts_the_trials_and_starts_nothing(lr_study, tmp_path):
    done = lr_study("run", "quickstart", "--dry-run")
    assert done.returncode == 0
    assert "48 trials" in done.stdout
    assert not (tmp_path / "mlflow.db").exists()
    assert lr_study("run", "quickstart", "--dry-run", "--cpus", "1").stdout.endswith(" on 1 core here\n")


def test_what_a_store_says_in_the_middle_is_one_line_without_what_stands_in_its_address(monkeypatch, capsys):
    def breaks(**named):
        raise MlflowException("http://me:secret@store/api failed\nmore")

    monkeypatch.setattr(cli.cli, "main", breaks)
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    assert capsys.readouterr().err == "error: the MLflow store says: http://…@store/api failed\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "my study.yaml", "--fresh"], "interrupted; `lr-study run 'my study.yaml'` goes on\n"),
        (
            ["target", "quadratic", "--epochs", "2", "--tracking-uri", "http://me:secret@store"],
            "interrupted; `lr-study target quadratic --epochs 2 --tracking-uri http://…@store` goes on\n",
        ),
        (["list"], "interrupted\n"),
    ],
)
def test_ctrl_c_says_how_to_go_on_whenever_it_comes(words, told, monkeypatch, capsys):
    def breaks(**named):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.cli, "main", breaks)
    monkeypatch.setattr(sys, "argv", ["lr-study", *words])
    with pytest.raises(SystemExit, match="130"):
        cli.main()
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("raised", "told"),
    [(KeyboardInterrupt, "\ninterrupted\n"), (click.Abort, "nothing was done\n")],
)
def test_inside_of_a_command_ctrl_c_is_told_from_a_refusal_at_a_prompt(raised, told, monkeypatch, capsys):
    def breaks(*arguments, **named):
        raise raised

    monkeypatch.setattr(catalogue, "lines", breaks)
    monkeypatch.setattr(sys, "argv", ["lr-study", "list", "tasks"])
    with pytest.raises(SystemExit, match="130"):
        cli.main()
    assert capsys.readouterr().err == told


def test_the_end_of_a_file_of_the_users_is_an_error_like_others(monkeypatch):
    def ends(*arguments, **named):
        raise EOFError("Ran out of input")

    monkeypatch.setattr(catalogue, "lines", ends)
    monkeypatch.setattr(sys, "argv", ["lr-study", "list", "tasks"])
    with pytest.raises(EOFError, match="Ran out"):
        cli.main()


def test_on_a_terminal_a_command_that_takes_a_while_says_that_it_is_on_its_way(monkeypatch, capsys):
    monkeypatch.setattr(cli, "MOMENT", 0.05)
    monkeypatch.setattr(cli.cli, "main", lambda **named: time.sleep(0.5))
    for terminal in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda shown=terminal: shown)
        cli.main()
        assert ("loading" in capsys.readouterr().err) == terminal
