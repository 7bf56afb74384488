"""`lr-study ui`: MLflow's own pages over the record, and the studies' own beside them."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import click

from study.commands import options
from trainables.refusal import Refusal


@click.command()
@click.argument("study", required=False)
@options.tracking_uri
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@click.option("--page", is_flag=True, help="Serve the studies' own pages too, on the port after that.")
@click.option("--host", metavar="ADDRESS", help="Where --page listens.  [default: 127.0.0.1, for nobody else]")
def ui(study: str | None, tracking_uri: str, port: int, page: bool, host: str | None) -> None:
    """Show a recorded STUDY in MLflow's pages on 127.0.0.1: its trials by arm, the best first.

    Prints an address when it answers. Without STUDY it opens the one that ran last. To plot trials, switch from the
    list to the chart view, or select some and press Compare. For a server that others reach, see cluster/README.md.

    --page prints the address of the page that `run` and `report` write, too: reload it while the study runs.
    """
    from study.tracking import pages, shown

    if host and not page:
        raise Refusal("--host says where the studies' own pages are served: say --page too")
    study, elsewhere = study or pages.latest(tracking_uri), tracking_uri.startswith("http")
    opens = pages.address(study, tracking_uri, port)
    if elsewhere:
        click.echo(f"{shown(tracking_uri)} is a server with its own pages", err=True)
    if elsewhere and not page:
        click.echo(opens)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end too
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        own = [stack.enter_context(_own_page(study, tracking_uri, port + 1, host))] if page else []
        until_it_ends = pages.wait
        if not elsewhere:
            click.echo("MLflow's server is starting …", err=True)
            until_it_ends = stack.enter_context(pages.serving(tracking_uri, port))
        click.echo("\n".join([opens, *own]))
        click.echo("Ctrl-C ends it", err=True)
        until_it_ends()


@contextmanager
def _own_page(study: str | None, tracking_uri: str, port: int, host: str | None) -> Iterator[str]:
    """Serve the pages of studies, and say the address of one."""
    from study import page_folder
    from study.reports.serving import LOOPBACK, serving

    if study is None:
        raise Refusal("no study has run yet: there is no page")
    folder = page_folder(study, tracking_uri)
    if not (folder / "report.html").is_file():
        click.echo(f"{study} has no page yet: `lr-study run` writes it meanwhile, `lr-study report` at once", err=True)
    with serving(lambda name: page_folder(name, tracking_uri), port, host or LOOPBACK) as address_of:
        yield address_of(study)
