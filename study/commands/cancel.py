"""`lr-study cancel`: end a running study from anywhere."""

import click

from study.commands import options


@click.command()
@click.argument("study")
@options.tracking_uri
def cancel(study: str, tracking_uri: str) -> None:
    """Ask the driver of STUDY to end cleanly, from any machine that reaches the MLflow store.

    The driver looks every few seconds. What is recorded stays; the command that began the study goes on from there.
    """
    from study import tracking
    from study.tracking.embedded import refuse_missing

    refuse_missing(tracking_uri)  # before MLflow is imported, which takes seconds
    tracking.cancel(study, tracking_uri)
    click.echo(f"asked {study} to end; the command that began it goes on later")
