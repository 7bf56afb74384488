"""The command line: fast help, and refusals in one line."""

import subprocess
import sys


def lr_study(*args):
    return subprocess.run(
        [sys.executable, "-c", "from study.cli import main; main()", *args],
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_unknown_command_is_one_line_and_exit_code_2():
    done = lr_study("runn")
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown command 'runn'")
    assert len(done.stderr.splitlines()) == 1


def test_help_imports_nothing_slow():
    slow = "torch", "ray", "mlflow", "optuna", "pandas"
    code = f"import sys; import study.cli; print([m for m in {slow!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
