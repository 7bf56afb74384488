"""`lr-study prepare`: download and verify data before any trial needs it."""

import click


@click.command()
@click.argument("names", nargs=-1)
def prepare(names: tuple[str, ...]) -> None:
    """Download, verify and prepare the data sets NAMES (default: all), once for this machine.

    LR_STUDY_DATA names a folder that already holds the raw files; LR_STUDY_CACHE names where the prepared arrays go.
    """
    from trainables.data import datasets

    for name in names or datasets.NAMES:
        click.echo(f"{name}: {datasets.prepare(name)}")
