"""`lr-study report`: the table of a recorded study, and its page."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from study.commands import options
from trainables.refusal import Refusal

if TYPE_CHECKING:
    from study.records.material import Material
    from study.reports.kept import Said, Written


ANSWER = "baseline", "target", "unit"  # of the page, and of what is said below the text
PAGE = *ANSWER, "output", "record"


@click.command()
@click.argument("study")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "markdown", "json", "csv"]),
    default="text",
    show_default=True,
    help="What to print.",
)
@click.option("--epochs", is_flag=True, help="With csv or json: every epoch of every trial; no page is written.")
@options.tracking_uri
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the page.  [default: reports/STUDY where the study ran, else in .lr-study]",
)
@click.option(
    "--baseline",
    metavar="ARM",
    help="The arm whose cost is 1.  [default: the study's, or its first arm]",
)
@click.option(
    "--target", multiple=True, metavar="[TASK=]SCORE", help="The score that ends the race.  [default: the task's own]"
)
@click.option(
    "--unit",
    default="passes",
    show_default=True,
    help="Of the sentence: passes, gradients (passes as measured), flops, steps or seconds.",
)
@click.option("--record", is_flag=True, help="Write the summary, page and figures into MLflow too.")
@click.option("--no-page", is_flag=True, help="Print the table and the answer; write nothing.")
def report(study: str, form: str, epochs: bool, tracking_uri: str, no_page: bool, **asked: object) -> None:
    """Print the table of STUDY, one row an arm, the best first; write its page, report.html.

    `passes` and `seconds` count all trials of an arm, misses and diverged ones too. The page says what each scheme
    saves, with intervals and figures; report.md and report.json say the same, figures/ holds every figure with its
    data.

    STUDY may also be a saved record: the .csv that --epochs printed, a .parquet of it, or a folder/ of several.
    """
    import study as lr_study
    from study.records.material import of
    from study.records.saved import with_study
    from study.reports.summary import as_json

    if no_page and (asked["record"] or asked["output"]):
        raise Refusal("--no-page writes nothing: leave out --record and --output")
    if epochs:
        options.refuse_beside("--epochs prints records, csv or json", click.get_current_context(), PAGE)
        if form == "markdown":
            raise Refusal("--epochs prints records, csv or json: leave out --format markdown")
    elif no_page and form != "text":
        options.refuse_beside(f"--format {form} prints the table alone", click.get_current_context(), ANSWER)
    material = of(study, tracking_uri)
    if asked["record"] and not material.run:
        raise Refusal(f"--record writes into the study's runs in MLflow, and {study} is a file: leave out --record")
    if epochs:
        if form == "json":
            click.echo(as_json(material.record))
            return
        saved = with_study(material.record, material.text, material.contents, material.prices)
        click.echo(saved.to_csv(index=False).rstrip("\n"))
        return
    click.echo(lr_study.report(material, form))
    written = None if no_page else _page(material, tracking_uri, asked)
    if form == "text":
        said = written.said if written else _said(material, asked)
        click.echo("".join(f"\n{sentence}\n" for sentence in chain(*said)), nl=False)
    if written:
        click.echo(f"\npage: {written.path}{' (unchanged)' if written.unchanged else ''}", err=True)


def _said(material: "Material", asked: dict) -> "Said":
    from study.commands.words import levels
    from study.reports import writing

    options = writing.ReportOptions(asked["baseline"], levels("target", asked["target"]) or {}, asked["unit"])
    return writing.said(writing.answers_of(material, options))


def _page(material: "Material", tracking_uri: str, asked: dict) -> "Written":
    import study as lr_study
    from study.commands.words import levels

    words = {name: asked[name] for name in ("baseline", "unit", "record")}
    target = levels("target", asked["target"])
    return lr_study.page(material, asked["output"], tracking_uri=tracking_uri, target=target, **words)
