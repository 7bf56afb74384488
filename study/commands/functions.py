"""`lr-study functions`: what the networks of a study compute, rather than how well they score."""

from pathlib import Path

import click

from study.commands import options


@click.command()
@click.argument("study")
@options.tracking_uri
@click.option("--markdown", is_flag=True, help="Print Markdown instead of terminal tables.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for distances.png, distances.csv and averages.csv.",
)
def functions(study: str, tracking_uri: str, markdown: bool, output: Path | None) -> None:
    """Compare the arms of STUDY as functions, by the labels that their networks predict, and average weights.

    Needs trials with `artifacts: true`. Distances are between the distributions of labels over an arm's seeds, with
    what they would be if both arms were one. Averages are of weights inside of a run and across runs, their BatchNorm
    statistics taken anew, scored on validation data. A fall of the rate is told by what it does to effective rates.
    """
    import pandas as pd

    from study import tracking
    from study.answers import networks as compared
    from study.answers.grids.drops import drops
    from study.plan.parse import parse
    from study.reports import networks as words
    from study.reports import terminal

    read = parse(tracking.about(study, tracking_uri).study_file, study)
    left = compared.read(read, tracking_uri)
    each = []
    for arm in read.arms:
        click.echo(f"averaging {arm.name} …", err=True)
        each.append(compared.averages(left, arm))
    averages, distances = pd.concat(each, ignore_index=True), compared.distances(left, study)
    fell = drops(tracking.read(study, tracking_uri))
    made = words.sheets(distances, averages)
    made += [words.fallen(fell)] if len(fell) else []
    if markdown:
        click.echo(terminal.markdown(made))
    else:
        terminal.terminal(made)
    if output is not None:
        from study.figures import apart

        output.mkdir(parents=True, exist_ok=True)
        distances.to_csv(output / "distances.csv", index=False)
        averages.to_csv(output / "averages.csv", index=False)
        drawn = apart.panel(distances)
        if drawn is not None:
            drawn.figure.savefig(output / "distances.png", dpi=200, facecolor="white")
