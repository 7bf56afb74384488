"""The command `lr-study`: parsing, and nothing else. Each command is one file in `commands/`."""

import contextlib
import pkgutil
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from io import TextIOWrapper
from keyword import iskeyword
from typing import NoReturn

import click

from study import commands
from study.commands.options import end_interrupted
from trainables.refusal import Refusal, first_line, unknown

MOMENT = 0.8  # seconds
CONTINUED = (["run"], ["target"])  # commands that go on where they were interrupted
SHARED = {"options", "words"}  # modules of the folder that are no commands


class Commands(click.Group):
    """A group whose commands are the files of the folder `commands/`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The folder's modules, in alphabetical order."""
        return sorted({module.name.rstrip("_") for module in pkgutil.iter_modules(commands.__path__)} - SHARED)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The command in the module of that name; one that Python keeps for itself has a module with a _ behind it.

        Args:
            ctx: click's.
            cmd_name: as it was typed.

        Raises:
            Refusal: where there is none of that name.
        """
        if cmd_name not in self.list_commands(ctx):
            raise unknown("command", cmd_name, self.list_commands(ctx))
        name = f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name
        return getattr(import_module(f"study.commands.{name}"), name)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lr-study")
def cli() -> None:
    """Measure what it costs to tune a learning rate, and which adaptive scheme saves how much of it.

    \b
    Start here:
      lr-study run quickstart     train real trials under three schemes (half a minute)
      lr-study report quickstart  the table again, as text, Markdown, JSON or CSV
      lr-study ui                 the same trials in MLflow
    """  # noqa: D301 — click reads a real \b


@contextlib.contextmanager
def _sign_of_life() -> Iterator[None]:
    """Say on a terminal that a command is on its way, where importing what it needs takes longer than a moment."""
    timer = threading.Timer(MOMENT, lambda: sys.stderr.write("lr-study is loading …\n"))
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end_interrupted() -> NoReturn:
    """Say so, and how to go on where that can be."""
    if sys.argv[1:2] in CONTINUED:
        end_interrupted()
    click.echo("interrupted", err=True)
    sys.exit(130)


def _end_aborted(abort: click.Abort) -> NoReturn:
    """Tell a refusal at a prompt from Ctrl-C and the end of a file, in whose place click raises the same."""
    if isinstance(abort.__cause__, EOFError):
        raise abort.__cause__ from None
    if isinstance(abort.__cause__, KeyboardInterrupt):
        _end_interrupted()
    click.echo("nothing was done", err=True)
    sys.exit(130)


def main() -> None:
    """Run the command line; bad input ends with one line on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that does not know ≥ shows another sign for it
    try:
        with _sign_of_life():
            cli.main(standalone_mode=False)
    except Refusal as refusal:
        click.echo(f"error: {refusal}", err=True)
        sys.exit(refusal.exit_code)
    except click.ClickException as refusal:
        refusal.show()
        sys.exit(refusal.exit_code)
    except click.Abort as abort:
        _end_aborted(abort)
    except KeyboardInterrupt:
        _end_interrupted()
    except Exception as error:
        if not type(error).__module__.startswith("mlflow."):
            raise
        from study.tracking import shown

        click.echo(f"error: the MLflow store says: {shown(first_line(error))}", err=True)
        sys.exit(1)
