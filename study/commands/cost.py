"""`lr-study cost`: what tuning cost, from anybody's table."""

from pathlib import Path

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("table")
@click.option(
    "--target",
    multiple=True,
    metavar="[TASK=]SCORE",
    help="The score that ends the race; fix it before tuning.",
)
@click.option("--mode", type=click.Choice(["max", "min"]), help="Is a high score or a low one better? [default: max]")
@click.option("--baseline", metavar="SCHEME", help="The scheme whose cost is 1.")
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    metavar="K",
    help="Trials of the share at budget. [default: n/8, at most 16]",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="How much below the baseline's best of K will do.",
)
@click.option(
    "--chance",
    multiple=True,
    metavar="[TASK=]SCORE",
    help="The score of guessing; a diverged trial counts as this.",
)
@click.option(
    "--dearest",
    multiple=True,
    metavar="[TASK=]COST",
    help="The most a trial can cost. [default: as planned in a study of ours; else the dearest seen, and said so]",
)
@click.option("--unit", help="What costs are counted in. [default: cost, epochs or trials, by the columns]")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seeds the intervals' draws.")
@click.option(
    "--draws",
    type=click.IntRange(min=100),
    default=10_000,
    show_default=True,
    help="How many draws an interval takes.",
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the results here.")
@click.option("--markdown", is_flag=True, help="Print Markdown instead of a terminal table.")
@click.option(
    "--figures",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the figures that are defined, and their data, into this folder.",
)
@click.option("--column", multiple=True, metavar="OURS=THEIRS", help="Map a column; OURS==TEXT sets a constant.")
@click.option(
    "--uri",
    "--tracking-uri",
    help="Where studies and mlflow: or optuna: records are, such as sqlite:///FILE; for optuna: a journal too.",
)
@click.option(
    "--learns/--independent",
    default=None,
    help="Does the searcher learn from earlier trials? [default: by column searcher; optuna: learns]",
)
@click.option(
    "--score-at",
    type=click.Choice(["last", "best"]),
    help="Which epoch's score a trial is worth.  [default: last; of our own records best, as their page says]",
)
@click.option(
    "--rates",
    multiple=True,
    metavar="[SCHEME=]LOW,HIGH",
    help="From where to where learning rates were drawn, log-uniformly: says what knowing them better is worth.",
)
@click.option("--includes", multiple=True, metavar="A=B", help="Scheme A contains scheme B; losing to it is flagged.")
def cost(table: str, json_file: Path | None, markdown: bool, figures: Path | None, **options: object) -> None:
    """Print what tuning cost in TABLE, misses counted, and what each scheme saves against a baseline.

    \b
    TABLE is one of
      FILE.csv, FILE.parquet
      STUDY               a study of ours, in --uri, or its saved record; target, chance level and baseline are those
                          that stand in it; --unit passes, gradients, flops, steps, epochs or seconds
      mlflow:EXPERIMENT   with --column score=metrics.NAME and --column scheme=params.NAME or tags.NAME
      optuna:[STUDY]      with --uri; without STUDY every study in the storage, each a scheme

    \b
    Its columns, one row a trial, or one an epoch where there is an epoch:
      task, scheme, trial, score   needed
      repetition                   which independent search a trial belongs to
      seed                         several a trial: their scores are averaged, their costs added
      epoch                        counted from 0, before training
      cost                         cumulative within the trial; without it a trial costs its epochs
      lr                           for sensitivity and width; of several in a trial the first
      status                       finished, diverged, failed or stopped; of several in a trial the last
      searcher                     random, grid, qmc …; any other name is taken to learn
      test_score                   what the trial chosen by score is worth, at the epoch whose score counts

    The formulas hold for independent trials. Where the searcher learns (--learns, column searcher), or a
    trial was stopped early (status stopped or pruned), they are not defined, and the results say so; with
    several repetitions the costs observed, search by search, stand in their place. The points of sobol, halton
    and qmc keep their distance from each other: the best of k of them is given no interval.

    \b
    Examples:
      lr-study cost trials.csv --target 0.92 --chance 0.1 --baseline sgd
      lr-study cost mlflow:tuning --uri sqlite:///mlflow.db \\
          --column score=metrics.accuracy --column scheme=params.optimizer
      lr-study cost optuna: --uri sqlite:///optuna.db --column lr=params.lr --independent
    """  # noqa: D301 - \b is for click: leave this paragraph as it is
    import json

    from study.answers.summary import summarize
    from study.commands import words as asked
    from study.reports import knowledge, over_tasks, terminal

    found = asked.read_source(table, options)
    results = summarize(*found)
    drawn = []
    if json_file is not None:
        text = json.dumps([result.as_json() for result in results], indent=1, allow_nan=False) + "\n"
        with asked.writing("--json", json_file):
            json_file.write_text(text)
    if figures is not None:
        from study.figures import save

        with asked.writing("--figures", figures):
            drawn = save(results, figures, found[1].baseline, found[1].question.mode)
    made = [*terminal.cost_tables(results), *knowledge.tables(results), *over_tasks.tables(results)]
    if markdown:
        click.echo(terminal.markdown(made))
    else:
        terminal.terminal(made)
    for path in drawn:
        click.echo(f"wrote {path}")
