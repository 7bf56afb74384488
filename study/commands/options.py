"""The part that commands share: options, and how to go on after an interruption."""

import shlex
import sys
from typing import NoReturn

import click

tracking_uri = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    default="sqlite:///mlflow.db",
    show_default=True,
    help="MLflow store that holds the record. Credentials come from MLFLOW_TRACKING_USERNAME and _PASSWORD.",
)


def interrupted(command: list[str]) -> str:
    """The line that an interrupted command ends with: itself as it was typed, but what would start anew, or is secret.

    Args:
        command: its words.

    >>> interrupted(["run", "my study.yaml", "--arm", "*-digits_mlp", "--fresh"])
    "interrupted; `lr-study run 'my study.yaml' --arm '*-digits_mlp'` goes on"
    """
    typed = shlex.join(["lr-study", *(word for word in command if word != "--fresh")])
    if "://" in typed:
        from study.tracking import shown

        typed = shown(typed)
    return f"interrupted; `{typed}` goes on"


def end_interrupted() -> NoReturn:
    """Say how the command that was typed goes on, and end with the exit code of Ctrl-C."""
    click.echo(interrupted(sys.argv[1:]), err=True)
    raise SystemExit(130)
