"""`lr-study replay`: other searchers, stoppers and budgets over a record, without training."""

import click

from study.commands import options


@click.command()
@click.argument("record")
@click.option("--searcher", help="Searches in place of the study's own; see `lr-study list searchers`.")
@click.option("--stopper", metavar="NAME[,FIELD=N…]", help="Stops trials early, as in asha,reduction=4.")
@click.option("--start", multiple=True, metavar="KEY=N[,KEY=N…]", help="A configuration that is tried first.")
@click.option("--prior", multiple=True, metavar="KEY=MEDIAN,DECADES", help="Draws KEY from this log-normal law.")
@click.option("--trials", type=click.IntRange(min=1), help="Budget of a search.  [default: the study's]")
@click.option("--repetitions", type=click.IntRange(min=100), default=1000, show_default=True, help="Searches an arm.")
@click.option("--target", type=float, help="The score that ends the race.  [default: the task's own]")
@click.option(
    "--baseline",
    metavar="ARM",
    help="The arm whose cost is 1.  [default: the study's, or its first arm]",
)
@click.option("--unit", default="passes", show_default=True, help="passes, flops, steps, epochs or seconds.")
@click.option("--study", "file", metavar="FILE", help="The study file of a saved record.  [default: as recorded]")
@click.option("--of", metavar="ARM", help="The recorded arm that answers for every arm of --study.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--markdown", is_flag=True, help="Print Markdown instead of a terminal table.")
@options.tracking_uri
def replay(
    record: str,
    stopper: str | None,
    start: tuple[str, ...],
    prior: tuple[str, ...],
    file: str | None,
    markdown: bool,
    tracking_uri: str,
    **asked: str,
) -> None:
    """Search the recorded trials of RECORD again, by the same searchers and stoppers, without training.

    RECORD is a recorded study's name, or a .csv or .parquet that `lr-study report STUDY --epochs` wrote. What a
    searcher asks for is answered by the nearest recorded configuration of the arm, so record many trials drawn at
    random. Intervals draw the recorded trials anew too; a search that misses the target is followed by another. Each
    configuration is trained once, whatever `seeds` says.

    --start and --prior, a median and a standard deviation in decades, tell what knowing something beforehand would have
    saved, and what it would have cost to be wrong.

    \b
    Examples:
      lr-study replay quickstart --searcher tpe --trials 16 --target 0.95
      lr-study replay schemes.parquet --searcher tpe --stopper asha,min_epochs=0.5
      lr-study replay schemes.parquet --prior scheme.lr=0.1,0.5 --start scheme.lr=0.03
      lr-study replay wd-lr-grid --study intrinsic-search --of normalised --trials 16
    """  # noqa: D301 - \b is for click: leave this paragraph as it is
    from study import replay as replaying
    from study.reports import terminal

    name, _, fields = (stopper or "").partition(",")
    given = replaying.ReplayOptions(
        stopper=name or None,
        stopper_fields=_numbers(fields),
        start=[_numbers(words, "--start", "KEY=NUMBER") for words in start],
        priors=dict(map(_prior, prior)),
        **asked,  # type: ignore[arg-type]
    )
    table, study = replaying.read_record(record, file, tracking_uri)
    rows = replaying.replay(table, study, given, lambda arm: click.echo(f"replaying {arm} …", err=True))
    made = [terminal.replayed_table(task, answers) for task, answers in rows.items()]
    if markdown:
        click.echo(terminal.markdown(made))
    else:
        terminal.terminal(made)


def _numbers(fields: str, option: str = "--stopper", form: str = "NAME,FIELD=NUMBER") -> dict[str, float]:
    """Numbers by name, from words like `reduction=4,min_epochs=2`."""
    from trainables.refusal import Refusal

    pairs = [field.partition("=") for field in fields.split(",") if field]
    try:
        return {name: int(value) if value.isdigit() else float(value) for name, _, value in pairs}
    except ValueError as error:
        raise Refusal(f"{option} takes {form}, got {fields!r}") from error


def _prior(words: str) -> tuple[str, list[float]]:
    """A key with median and decades, from words like `scheme.lr=0.1,0.5`."""
    from trainables.refusal import Refusal

    key, _, numbers = words.partition("=")
    try:
        median, decades = map(float, numbers.split(","))
    except ValueError as error:
        raise Refusal(f"--prior takes KEY=MEDIAN,DECADES, got {words!r}") from error
    return key, [median, decades]
