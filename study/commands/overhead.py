"""`lr-study overhead`: what each scheme adds to a training step, on your task and device."""

from typing import TypeAlias

import click

Keys: TypeAlias = dict[str, object]


@click.command()
@click.option("--task", required=True, help="A task's name; see `lr-study list tasks`.")
@click.option("--direction", default="sgd", show_default=True, help="The direction under every scheme.")
@click.option("--scheme", "schemes", multiple=True, help="Only this scheme (repeatable), or `all`.")
@click.option("--optimizer", "optimizers", multiple=True, help="Only this optimizer of other people's (repeatable).")
@click.option(
    "--row",
    "rows",
    multiple=True,
    metavar="KEY=VALUE,…",
    help="One more row (repeatable), e.g. scheme=multilevel,scheme.levels=global+parameter,compile=true.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=128, show_default=True)
@click.option("--precision", default="float32", show_default=True, help="float32, bfloat16 or float64.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--compile", "compiled", is_flag=True, help="Compile every update.")
@click.option("--steps", type=click.IntRange(min=1), default=30, show_default=True, help="Steps measured, each rule.")
@click.option("--device", help="cpu or cuda. Default: cuda if there is one.")
def overhead(
    task: str,
    direction: str,
    schemes: tuple[str, ...],
    optimizers: tuple[str, ...],
    rows: tuple[str, ...],
    batch_size: int,
    precision: str,
    threads: int,
    compiled: bool,
    steps: int,
    device: str | None,
) -> None:
    """Measure step time, FLOPs and peak memory of schemes and optimizers as multiples of plain SGD's.

    With neither --scheme nor --optimizer, all that there are; --optimizer torch.optim:Adam takes any. Steps of all are
    interleaved and medians are taken; keep the machine quiet all the same. FLOPs are those of products, as torch counts
    them; memory is parameters, state and the most that a step holds besides.

    Two columns price a step in gradients: `passes` counts what it asked for, as records do; `gradients` is its time
    over that of one forward and backward of the same mini-batch, without an update: of plain SGD a little above 1. They
    are marked where they differ by more than a quarter.
    """
    import torch

    from trainables.plugins import trusted
    from trainables.run.overhead import overhead as measure

    trials = _of_members(schemes, optimizers, direction, compiled=compiled)
    trials |= {row: _of_row(row, direction, compiled=compiled) for row in rows}
    where = _device(device)
    common = {"task": trusted(task), "batch_size": batch_size, "precision": precision, "threads": threads}
    found = measure(common, trials, steps, where)
    click.echo(f"{task}, batches of {batch_size}, {precision}, {where}, {threads} thread(s), torch {torch.__version__}")
    width = max(len(row.name) for row in found)
    click.echo(f"{'':{width}}  ms a step    time   FLOPs  memory  passes  gradients")
    for row in found:
        numbers = f"{1e3 * row.seconds:9.3f}  {row.time:6.2f}  {row.flops:6.2f}  {row.memory:6.2f}"
        price = f"{row.passes:6.2f}  {row.gradients:9.2f}{' *' if row.differs else ''}"
        click.echo(f"{row.name:{width}}  {row.refused or f'{numbers}  {price}'}")
    if any(row.differs for row in found):
        click.echo("* measured and counted differ by more than a quarter, here and in this precision")
    if where == "cpu" and not torch.cuda.is_available():
        click.echo("On a GPU: not measured, there is none here.")


def _of_members(
    schemes: tuple[str, ...], optimizers: tuple[str, ...], direction: str, *, compiled: bool
) -> dict[str, Keys]:
    """The flat keys of schemes and optimizers by name: all that there are where none are named."""
    from trainables.components import find, members
    from trainables.optimizers import Optimizer
    from trainables.plugins import trusted
    from trainables.schemes import Scheme

    if not (schemes or optimizers):
        schemes, optimizers = ("all",), tuple(members(Optimizer))
    chosen = [name for name in (members(Scheme) if "all" in schemes else schemes) if find(Scheme, trusted(name))]
    trials: dict[str, Keys] = {
        name: {"direction": trusted(direction), "scheme": trusted(name), "compile": compiled} for name in chosen
    }
    return trials | {name: {"optimizer": trusted(name)} for name in optimizers if find(Optimizer, trusted(name))}


def _device(asked: str | None) -> str:
    """The device that was asked for, if it is there; else a GPU where there is one."""
    import torch

    from trainables.refusal import Refusal

    known = {"cpu": True, "cuda": torch.cuda.is_available()}
    if asked is None:
        return "cuda" if known["cuda"] else "cpu"
    if not known.get(asked.partition(":")[0], False):
        raise Refusal(f"--device takes cpu, or cuda where torch finds one, got {asked!r}")
    return asked


def _of_row(row: str, direction: str, *, compiled: bool) -> Keys:
    """The flat keys of a row: numbers, booleans and names as YAML reads them, and those of the command besides."""
    from study.plan.plain_yaml import read_plain
    from trainables.plugins import trusted
    from trainables.refusal import Refusal

    pairs = [pair.partition("=") for pair in row.split(",")]
    if any(not equals for _, equals, _ in pairs):
        raise Refusal(f"--row needs KEY=VALUE,…, got {row!r}")
    keys = {key.strip(): trusted(read_plain(value)) for key, _, value in pairs}
    above = {} if {"rule", "optimizer"} & {*keys} else {"direction": trusted(direction)}
    return {"compile": compiled, **above, **keys}
