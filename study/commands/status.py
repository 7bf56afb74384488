"""`lr-study status`: how far a study is."""

import click

from study.commands import options


@click.command()
@click.argument("study")
@options.tracking_uri
def status(study: str, tracking_uri: str) -> None:
    """Print one line a search of STUDY: trials ended, failed and running, and the time left at the pace so far.

    Works from any machine that reaches the MLflow store, while the study runs and after it.
    """
    from study import tracking
    from study.tracking.embedded import refuse_missing

    refuse_missing(tracking_uri)  # before MLflow is imported, which takes seconds
    from study.tracking.standing import clock

    for search in tracking.status(study, tracking_uri):
        left = "?" if search.seconds_left != search.seconds_left else clock(search.seconds_left)
        failed = f", {search.failed} failed" if search.failed else ""
        counts = f"{search.ended + search.failed}/{search.planned} trials{failed}, {search.running} running"
        click.echo(f"{search.arm} repetition {search.repetition}: {counts}, {left} left")
