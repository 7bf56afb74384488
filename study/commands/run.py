"""`lr-study run`: make a study's record complete, then print its table and write its page."""

import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from study.commands import options

if TYPE_CHECKING:
    from study.execution.settings import Cluster
    from study.plan.study import Study
    from study.records.material import Material


@click.command()
@click.argument("study")
@click.option("--trials", type=click.IntRange(min=1), help="Budget of every search, instead of the study's own.")
@click.option("--arm", "arms", multiple=True, metavar="NAME", help="Run only this arm now (repeatable); * fits all.")
@options.tracking_uri
@click.option(
    "--storage",
    type=click.Path(file_okay=False, path_type=Path),
    default=".lr-study",
    show_default=True,
    help="Folder for checkpoints; on a cluster, one that every node sees.",
)
@click.option(
    "--address", help="A running Ray ('auto', or host:port). Default: one that runs here, else it is started."
)
@click.option("--cpus", type=click.IntRange(min=1), help="Cores of this machine that trials may take. Default: all.")
@click.option("--gpus", type=click.FloatRange(min=0), help="GPUs (or a share of one) a trial. Default: 1 if any.")
@click.option("--fresh", is_flag=True, help="Forget what is recorded of the study, and start anew.")
@click.option("--yes", is_flag=True, help="Run grids of more than 10,000 cells; delete what --fresh does unasked.")
@click.option("--check/--no-check", default=True, help="Try one step of what comes from outside before Ray starts.")
@click.option("--dry-run", is_flag=True, help="Print searches, trials and an estimate of the time; run nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Show what Ray and MLflow say.")
def run(
    study: str,
    trials: int | None,
    arms: tuple[str, ...],
    tracking_uri: str,
    storage: Path,
    address: str | None,
    cpus: int | None,
    gpus: float | None,
    fresh: bool,
    yes: bool,
    check: bool,
    dry_run: bool,
    verbose: bool,
) -> None:
    """Run STUDY, a shipped study's name or a path to a YAML file, print its table and write its page.

    What is already recorded is not run again: the same command goes on after an interruption, and does nothing
    when the record is complete.
    """
    import study as lr_study
    from study.execution import estimate, settings
    from study.plan import parse

    read = parse.load(study, trials)
    if dry_run:
        click.echo(estimate.dry_run(read.part(arms), cpus))
        return
    if fresh:
        cluster = settings.Cluster(address, gpus, verbose, cpus)
        _begin_anew(read, arms, cluster, tracking_uri, storage, check=check, ask=not yes)
    complete = lr_study.run(
        read,
        tracking_uri=tracking_uri,
        storage=storage,
        address=address,
        cpus=cpus,
        gpus_per_trial=gpus,
        yes=yes,
        verbose=verbose,
        check=check,
        arms=arms,
        live=True,
    )
    _tell(read.name, tracking_uri, storage, complete=complete)


def _tell(name: str, tracking_uri: str, storage: Path, *, complete: bool) -> None:
    """Print a study's table, write its page where its record is complete, and end as the study did."""
    import study as lr_study
    from study.records.failures import all_failed
    from study.records.material import of_study
    from study.tracking import shown

    material = of_study(name, tracking_uri)  # read once: from a server that takes a while
    click.echo(lr_study.report(material))
    if complete:
        _page(material, tracking_uri, storage)
    click.echo(f"Every trial in MLflow:  lr-study ui {name} --tracking-uri {shown(tracking_uri)}", err=True)
    if not complete:
        options.end_interrupted()
    if all_failed(material.record):
        click.echo(f"error: every trial of {name} failed", err=True)
        raise SystemExit(1)


def _begin_anew(
    read: "Study",
    arms: tuple[str, ...],
    cluster: "Cluster",
    tracking_uri: str,
    storage: Path,
    *,
    check: bool,
    ask: bool,
) -> None:
    """Forget what is recorded of a study, once it is known that it could run again."""
    import study as lr_study
    from study.plan import checks
    from study.tracking import is_recorded

    if not is_recorded(read.name, tracking_uri):
        return
    if ask:
        checks.check_size(read)
    _could_run(read, arms, cluster, storage, check=check)
    try:
        if ask:
            click.confirm(f"delete the record of {read.name}, its pages and checkpoints, and start anew?", abort=True)
    except click.Abort:
        if not sys.stdin.isatty():
            click.echo("where nobody can be asked, --fresh needs --yes", err=True)
        raise
    typed = click.get_current_context().get_parameter_source("storage") is not click.core.ParameterSource.DEFAULT
    lr_study.forget(read.name, tracking_uri=tracking_uri, storage=storage if typed else None)  # else where it ran


def _could_run(read: "Study", arms: tuple[str, ...], cluster: "Cluster", storage: Path, *, check: bool) -> None:
    """Refuse what could not run, before anything is forgotten for it."""
    from study.execution import rehearsal, runner
    from study.execution.cluster import check_room

    part = read.part(arms)
    check_room(part, cluster)
    runner.check_storage(storage)
    part = runner.settled(part, verbose=cluster.verbose)
    if check:
        rehearsal.rehearse(part, verbose=cluster.verbose)


def _page(material: "Material", tracking_uri: str, storage: Path) -> None:
    """Write the page and say where it is; a record that no page can be made of is still a record."""
    import study as lr_study
    from study.reports.kept import folder_of
    from trainables.refusal import Refusal

    try:
        folder = folder_of(storage, material.name)
        written = lr_study.page(material, folder, tracking_uri=tracking_uri, record=True)
    except Refusal as refusal:
        click.echo(f"\nno page: {refusal}", err=True)
        return
    for sentence in chain(*written.said):
        click.echo(f"\n{sentence}")
    click.echo(f"\nThe page about it:      {written.path}{' (unchanged)' if written.unchanged else ''}", err=True)
