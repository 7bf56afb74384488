"""`lr-study ui`: MLflow's own pages over the record."""

import sys

import click

from study.commands import options


@click.command()
@options.tracking_uri
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
def ui(tracking_uri: str, port: int) -> None:
    """Open MLflow's UI on 127.0.0.1: pick a study, select trials, and press Compare.

    For a server that others reach, see cluster/README.md.
    """
    import os

    from study.tracking import client, shown

    if tracking_uri.startswith("http"):
        click.echo(f"the store is a server with its own pages: {shown(tracking_uri)}")
        return
    client(tracking_uri)  # refused here, in one line, where it cannot be reached
    click.echo(f"MLflow on http://127.0.0.1:{port} (Ctrl-C ends it)", err=True)
    server = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    arguments = [sys.executable, *server, "--artifacts-destination", ".lr-study"]
    os.environ["MLFLOW_BACKEND_STORE_URI"] = tracking_uri  # no argument: everybody can read those of a process
    os.execv(sys.executable, arguments)  # noqa: S606 — replaces this process, so that Ctrl-C reaches MLflow
