"""`lr-study forget`: delete a study's record, pages and checkpoints."""

from pathlib import Path

import click

from study.commands import options


@click.command()
@click.argument("study")
@options.tracking_uri
@click.option(
    "--storage",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for checkpoints and pages.  [default: the one that the study ran with]",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(study: str, tracking_uri: str, storage: Path | None, yes: bool) -> None:
    """Delete the record of STUDY, its pages and its checkpoints; `lr-study run STUDY` then starts anew.

    MLflow keeps the deleted runs, without their files, as NAME@time until `mlflow gc` removes them. A study that
    somebody is running is refused.
    """
    import study as lr_study
    from study import tracking

    trials = sum(search.ended + search.failed for search in tracking.status(study, tracking_uri))
    if not yes:
        click.confirm(
            f"delete the record of {study} ({trials} trials that ended), its pages and checkpoints?", abort=True
        )
    kept = lr_study.forget(study, tracking_uri=tracking_uri, storage=storage)
    click.echo(f"forgot {study}; MLflow keeps the deleted runs as {kept} until `mlflow gc`", err=True)
