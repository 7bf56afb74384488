"""`lr-study report`: the table of a recorded study."""

import click


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
@click.option("--epochs", is_flag=True, help="With csv or json: every epoch of every trial instead of the summary.")
@click.option("--tracking-uri", envvar="MLFLOW_TRACKING_URI", default="sqlite:///mlflow.db", show_default=True)
def report(study: str, form: str, epochs: bool, tracking_uri: str) -> None:
    """Print the table of STUDY: one row an arm, the best first.

    `passes` and `seconds` count all trials of an arm, misses and diverged ones too.
    """
    import study as lr_study

    if epochs:
        table = lr_study.read(study, tracking_uri=tracking_uri)
        text = table.to_json(orient="records") if form == "json" else table.to_csv(index=False).rstrip("\n")
        click.echo(text)
        return
    click.echo(lr_study.report(study, form, tracking_uri=tracking_uri))
