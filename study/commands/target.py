"""`lr-study target`: calibrate the score that ends a task's race."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from study.commands import options

if TYPE_CHECKING:
    from study.answers.calibration import Calibrated


@click.command()
@click.argument("task")
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--epochs", type=click.FloatRange(min=0, min_open=True), default=5.0, show_default=True)
@click.option("--trials", type=click.IntRange(min=2), default=16, show_default=True, help="Configurations searched.")
@click.option("--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Fresh seeds of the best one.")
@click.option(
    "--record-every",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Epochs from one validation score to the next: as in the study that is to race to this target.",
)
@options.tracking_uri
@click.option(
    "--storage",
    type=click.Path(file_okay=False, path_type=Path),
    default=".lr-study",
    show_default=True,
    help="Folder for checkpoints; on a cluster, one that every node sees.",
)
@click.option("--address", help="A running Ray ('auto', or host:port). Default: one here, else it is started.")
@click.option("-v", "--verbose", is_flag=True, help="Show what Ray and MLflow say.")
def target(
    task: str,
    words: tuple[str, ...],
    epochs: float,
    trials: int,
    seeds: int,
    record_every: float,
    tracking_uri: str,
    storage: Path,
    address: str | None,
    verbose: bool,
) -> None:
    """Calibrate TASK's target: tune a baseline, train its best configuration on fresh seeds, print their median.

    The baseline is momentum with a cosine schedule, searched at random; KEY=VALUE, such as batch_size=32, says
    otherwise, as in a study file. Fix the target before any scheme is tuned, and give it to `report`, `cost` and
    `replay` as --target; a task of your own carries it as `target = …`. Beside it is told what the same seeds had
    reached after half of their epochs: a target that asks for less.
    """
    import datetime as dt

    from study.plan.chosen import values_of
    from trainables.refusal import Refusal

    said = [word.partition("=")[0] for word in words]
    for key in (key for key in ("task", "epochs", "record_every", "trials", "seeds") if key in said):
        remedy = "TASK names it" if key == "task" else f"say --{key.replace('_', '-')}"
        raise Refusal(f"{key} is not said as KEY=VALUE here: {remedy}")
    settings = {"epochs": epochs, "record_every": record_every, **values_of(words)}
    store = {"tracking_uri": tracking_uri, "storage": storage, "address": address, "verbose": verbose}
    found = _calibrate(task, trials, seeds, settings, **store)
    if found is None:
        options.end_interrupted()
    chosen = ", ".join(
        f"{key} = {value:.4g}" if isinstance(value, float) else f"{key} = {value}"
        for key, value in found.chosen.items()
    )
    scores = ", ".join(f"{score:.4f}" for score in sorted(found.scores))
    click.echo(f"best of {trials}: {chosen}; on {seeds} fresh seeds: {scores}", err=True)
    if found.halfway is not None:
        click.echo(f"after half of the epochs: {found.halfway:.6g}", err=True)
    command = " ".join(["lr-study target", task, *words, f"--epochs {epochs:g} --trials {trials} --seeds {seeds}"])
    command += f" --record-every {record_every:g}" if record_every != 1 else ""
    click.echo(f"target = {found.target:.6g}  # {command}; {dt.date.today()}")


def _calibrate(
    task: str, trials: int, seeds: int, settings: dict[str, Any], *, tracking_uri: str, **options: Any
) -> "Calibrated | None":
    """Run both studies, recorded as any other, and read the target off them; None if interrupted."""
    import study as lr_study
    from study.answers import calibration
    from study.tracking.searches import OtherContents
    from trainables.refusal import Refusal

    searched = calibration.search_study(task, trials, settings)
    try:
        complete = lr_study.run(searched, tracking_uri=tracking_uri, **options)
    except OtherContents:
        forget = f"lr-study forget {searched.name}"
        raise Refusal(f"{searched.name} is recorded with other settings: `{forget}`, then say this again") from None
    if not complete:
        return None
    chosen = calibration.best_configuration(lr_study.read(searched.name, tracking_uri=tracking_uri), searched)
    fresh = calibration.seeds_study(task, seeds, {**settings, **chosen})
    try:
        complete = lr_study.run(fresh, tracking_uri=tracking_uri, **options)
    except OtherContents:
        click.echo(f"{fresh.name} is of another configuration or number of seeds: its seeds are trained anew", err=True)
        lr_study.forget(fresh.name, tracking_uri=tracking_uri)
        complete = lr_study.run(fresh, tracking_uri=tracking_uri, **options)
    if not complete:
        return None
    return calibration.calibrated(lr_study.read(fresh.name, tracking_uri=tracking_uri), chosen)
