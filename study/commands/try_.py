"""`lr-study try`: one trial in this process, without a record."""

import json
import math
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from study.plan.chosen import Chosen
    from trainables.run.profile import Profile
    from trainables.trial import Record


@click.command(name="try")
@click.argument("study")
@click.argument("words", nargs=-1, metavar="[ARM] [KEY=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="Print every record as a line of JSON.")
@click.option("--profile", "profiled", is_flag=True, help="Say at the end where the time went.")
def try_(study: str, words: tuple[str, ...], as_json: bool, profiled: bool) -> None:
    """Train one trial of STUDY here and now, and print its records as they come; nothing is recorded.

    It runs in this process, without Ray and MLflow: breakpoints stop, and errors show their whole traceback. ARM is
    the study's first where none is named. KEY=VALUE goes before what the arm says, as in a study file; what it
    searches is at its default.

    \b
    Examples:
      lr-study try mine.yaml
      lr-study try quickstart adam scheme.lr=0.01 epochs=2 seed=3
      lr-study try mine.yaml bold --profile
    """  # noqa: D301 - \b is for click: leave this paragraph as it is
    from study.plan.chosen import choose

    chosen = choose(study, words)
    click.echo(_told(chosen), err=True)
    from trainables.run.profile import Profile

    profile = Profile() if profiled else None
    try:
        ended = _train(chosen, profile, as_json=as_json)
    finally:
        for line in profile.table() if profile else ():
            click.echo(line, err=True)
    if not ended:
        raise SystemExit(130)


def _train(chosen: "Chosen", profile: "Profile | None", *, as_json: bool) -> bool:
    """Print records as they come; False where somebody has ended the training, by Ctrl-C or in the debugger."""
    from bdb import BdbQuit

    from trainables.run.here import train

    count = 0

    def show(record: "Record") -> None:
        nonlocal count
        count += 1
        click.echo(_json(record) if as_json else _line(record, chosen.trial.task.metric))

    try:
        train(chosen.trial, show, watch=profile.watching() if profile else None)
    except (KeyboardInterrupt, BdbQuit):
        click.echo(f"interrupted after {count} {'record' if count == 1 else 'records'}", err=True)
        return False
    return True


def _told(chosen: "Chosen") -> str:
    """The choice in a few lines."""
    lines = [f"{chosen.study}, arm {chosen.arm}, seed {chosen.trial.seed}: one trial here, nothing is recorded"]
    if chosen.others:
        lines.append(f"  the study's first arm; it has others: {', '.join(chosen.others)}")
    return "\n".join([*lines, *(f"  {key} = {said}" for key, said in chosen.taken.items())])


def _line(record: "Record", metric: str) -> str:
    """A record in one line."""
    test = record.extras.get("test_score")
    told = [
        _numbers("train", {"loss": record.train_loss, metric: record.train_score}),
        _numbers("valid", {"loss": record.valid_loss, metric: record.valid_score}),
        f"lr {record.lr:.3g}",
        _split(record),
        f"{record.passes:g} passes, {record.seconds:.2f} s",
        "" if test is None else f"test {metric} {test:.4g}",
        "diverged" if record.diverged else "",
    ]
    return f"epoch {record.epoch:g}: " + "; ".join(words for words in told if words)


def _split(record: "Record") -> str:
    """Say how much of the network a split moves by its first rule."""
    share = record.extras.get("hidden_share")
    return "" if share is None else f"rest lr {record.extras['rest_lr']:.3g}, hidden matrices {share:.0%}"


def _numbers(split: str, numbers: dict[str, float]) -> str:
    """Write the known numbers of a split; loops of the user's need not tell everything."""
    known = [f"{name} {value:.4g}" for name, value in numbers.items() if value == value]
    return f"{split} {', '.join(known)}" if known else ""


def _json(record: "Record") -> str:
    """A record as JSON, which has neither NaN nor infinity."""
    return json.dumps({key: value if math.isfinite(value) else None for key, value in record.flat().items()})
