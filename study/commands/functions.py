"""`lr-study functions`: what the networks of a study compute, rather than how well they score."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from study.commands import options

if TYPE_CHECKING:
    from study.plan.study import Study


@click.command()
@click.argument("study")
@options.tracking_uri
@click.option("--markdown", is_flag=True, help="Print Markdown instead of terminal tables.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for distances.png, distances.csv and averages.csv.",
)
@click.option("--trust", is_flag=True, help="Run the stored code that the study names; look at it first.")
def functions(study: str, tracking_uri: str, markdown: bool, output: Path | None, trust: bool) -> None:
    """Compare the arms of STUDY as functions, by the labels that their networks predict, and average weights.

    Needs trials with `artifacts: true`. Distances are between the distributions of labels over an arm's seeds, with
    what they would be if both arms were one. Averages are of weights inside of a run and across runs, their BatchNorm
    statistics taken anew, scored on validation data. A fall of the rate is told by what it does to effective rates.

    Networks are made by the study's own code. Where that is other people's, it is shown, and run with --trust alone.
    """
    import pandas as pd

    from study import tracking
    from study.answers import networks as compared
    from study.answers.grids.drops import drops
    from study.commands import words as asked
    from study.reports import networks as words
    from study.reports import terminal

    if output is not None:
        with asked.writing("--output", output):
            output.mkdir(parents=True, exist_ok=True)
    read = _study(study, tracking_uri, trust)
    left = compared.artifacts_of(read, tracking_uri)
    each = []
    for arm in read.arms:
        click.echo(f"averaging {arm.name} …", err=True)
        each.append(compared.averages(left, arm))
    averages, distances = pd.concat(each, ignore_index=True), compared.distances(left, study)
    fell = drops(tracking.read(study, tracking_uri))
    made = words.network_tables(distances, averages)
    made += [words.fall_table(fell)] if len(fell) else []
    if markdown:
        click.echo(terminal.markdown(made))
    else:
        terminal.terminal(made)
    if output is not None:
        from study.figures import apart, vega

        drawn = apart.chart(distances)
        with asked.writing("--output", output):
            distances.to_csv(output / "distances.csv", index=False)
            averages.to_csv(output / "averages.csv", index=False)
            if drawn is not None:
                (output / "distances.png").write_bytes(vega.picture(drawn))


def _study(name: str, uri: str, trust: bool) -> "Study":
    """The recorded study, with the stored code that it names; that is shown, and refused unless it is trusted."""
    from study import tracking
    from study.plan.parse import parse
    from trainables.plugins import File, is_outside, receive
    from trainables.refusal import Refusal

    about = tracking.about(name, uri)
    values = [value for told in about.contents.values() for value in told.values()]
    places = sorted({value.rpartition(":")[0] for value in values if is_outside(value)})
    if not places:
        return parse(about.study_file, name)
    kept = tracking.stored_code(name, uri)
    code = {place: kept.get(tracking.kept_name(place), kept.get(Path(place).name)) for place in places}
    missing = [place for place in places if place.endswith(".py") and code[place] is None]
    if missing:
        raise Refusal(f"study {name!r} was run with {missing[0]}, of which the store holds no copy")
    for place in places:
        text = code[place] or "an installed package: what is here is imported"
        click.echo(f"# --- {place}\n{_visible(text)}", err=True)
    if not trust:
        raise Refusal(f"study {name!r} names the code above, which its networks are made of: --trust runs it")
    receive(File(place, place, text) for place, text in code.items() if place.endswith(".py") and text is not None)
    return parse(about.study_file, name, folder=Path())


def _visible(text: str) -> str:
    r"""Code as it is: what would move a terminal's cursor or hide a line is written out.

    >>> _visible("x = 1\n\x1b[2K")
    'x = 1\n\\x1b[2K'
    """
    return "".join(one if one.isprintable() or one in "\n\t" else repr(one)[1:-1] for one in text)
