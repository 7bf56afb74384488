"""The part that commands share: options, and how to go on after an interruption."""

import shlex
import sys
from collections.abc import Iterable
from typing import NoReturn

import click
from click.core import ParameterSource

from trainables.refusal import Refusal

tracking_uri = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    default="sqlite:///mlflow.db",
    show_default=True,
    help="MLflow store that holds the record. Credentials come from MLFLOW_TRACKING_USERNAME and _PASSWORD.",
)


def refuse_beside(what: str, context: click.Context, names: Iterable[str]) -> None:
    """Refuse options that would be dropped in silence.

    Args:
        what: is printed instead, and by which option.
        context: of the command.
        names: of the parameters that nothing would heed.

    Raises:
        Refusal: where one of them was given.
    """
    given = [name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        option = next(param.opts[0] for param in context.command.params if param.name == given[0])
        raise Refusal(f"{what}: leave out {option}")


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
