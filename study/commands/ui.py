"""`lr-study ui`: MLflow's own pages over the record."""

import signal
import sys
from contextlib import suppress

import click

from study.commands import options


@click.command()
@click.argument("study", required=False)
@options.tracking_uri
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(study: str | None, tracking_uri: str, port: int) -> None:
    """Show a recorded STUDY in MLflow's pages on 127.0.0.1: its trials by arm, the best first.

    Prints an address when it answers. Without STUDY it opens the one that ran last. To plot trials, switch from the
    list to the chart view, or select some and press Compare. For a server that others reach, see cluster/README.md.
    """
    from study.tracking import pages, shown

    opens = pages.address(study, tracking_uri, port)
    if tracking_uri.startswith("http"):
        click.echo(f"{shown(tracking_uri)} is a server with its own pages", err=True)
        click.echo(opens)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server ends too
    click.echo("MLflow's server is starting …", err=True)
    with suppress(KeyboardInterrupt), pages.serving(tracking_uri, port) as until_it_ends:
        click.echo(opens)
        click.echo("Ctrl-C ends it", err=True)
        until_it_ends()
