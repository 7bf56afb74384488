"""`lr-study best`: the winner of a study, to be taken home."""

from typing import TYPE_CHECKING

import click

from study.commands import options

if TYPE_CHECKING:
    from study.answers.luck import Luck
    from study.answers.winners import Winner


@click.command()
@click.argument("study")
@click.argument("arm", required=False)
@click.option("--top", type=click.IntRange(min=1), default=1, show_default=True, help="So many trials a task.")
@click.option("--seeds", type=click.IntRange(min=2), help="Train each again on so many fresh seeds, and say its luck.")
@click.option("--as", "form", type=click.Choice(["start"]), help="Print what other searches are to try first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@options.tracking_uri
def best(
    study: str, arm: str | None, top: int, seeds: int | None, form: str | None, as_json: bool, tracking_uri: str
) -> None:
    """Print the best trial of STUDY, or of its ARM, by validation score: as YAML and as Python.

    STUDY is a recorded study's name or its file, or a .csv or .parquet that `lr-study report STUDY --epochs` wrote. The
    YAML is an arm of a study file, which searches nothing. The Python builds optimizer, groups and schedule in a
    training loop of your own. Nothing is run, and of a study that names code of yours nothing is imported.

    A trial that was chosen for its score owes some of it to chance: --seeds 5 trains it again, in this process and one
    after the other, and says its score minus the mean of the others. Code of yours is run where STUDY is its file.

    --as start prints the searched values alone, as the `start` of an arm that searches the same fields elsewhere.

    \b
    Examples:
      lr-study best quickstart
      lr-study best mine.yaml adam --seeds 5
      lr-study best schemes.parquet --top 3 --json
      lr-study best schemes.parquet momentum-cosine --top 3 --as start
    """  # noqa: D301 - \b is for click: leave this paragraph as it is
    import json

    import study as lr_study
    from study.answers import winners

    if form == "start":
        options.refuse_beside("--as start prints searched values", click.get_current_context(), ("seeds", "as_json"))
    told = {"seeds": seeds or 0, "tracking_uri": tracking_uri, "show": lambda line: click.echo(line, err=True)}
    found = lr_study.best(study, arm, top=top, **told)
    if form == "start":
        click.echo(winners.start(found), nl=False)
        return
    if as_json:
        click.echo(json.dumps([winner.told for winner in found], indent=2, allow_nan=False))
        return
    click.echo("\n".join(_text(winner) for winner in found), nl=False)


def _text(winner: "Winner") -> str:
    """A winner for people: what it is, how it is written in a study file, how it is built at home."""
    key = winner.key
    of_seeds = f", means over {winner.seeds} seeds" if winner.seeds > 1 else ""
    tested = "" if winner.test_score is None else f", test {winner.test_score:.4g}"
    place = f"arm {key.arm}, repetition {key.repetition}, trial {key.k}"
    lines = [
        f"# {key.study}: {place}; validation {winner.metric} {winner.score:.4g}{tested}{of_seeds}{_found(winner)}",
        *([] if winner.luck is None else [f"# {_luck(winner.luck, winner)}"]),
        "",
        "# as an arm of a study file",
        winner.yaml,
        "# in a training loop of your own, in Python",
        winner.python,
        "",
    ]
    return "\n".join(lines)


def _found(winner: "Winner") -> str:
    """The rate that its rule found; what it was given stands in the configuration."""
    from trainables.rates import lr_of

    given = lr_of(winner.configuration)
    return "" if winner.lr is None or winner.lr == given else f"; it found a rate of {winner.lr:.3g}"


def _luck(luck: "Luck", winner: "Winner") -> str:
    """The luck of a winner in a sentence."""
    from study.cost import Interval

    ends = f" [{luck.interval.low:.4g}, {luck.interval.high:.4g}]" if isinstance(luck.interval, Interval) else ""
    lost = f", {luck.diverged} of them diverged" if luck.diverged else ""
    own = f", its own of {luck.score:.4g}, each at its best" if winner.seeds > 1 else ""
    told = f"{len(luck.fresh)} fresh seeds have a mean {winner.metric} of {luck.mean:.4g}{ends}{lost}"
    return f"luck {luck.luck:+.4g}: {told}{own}"
