"""`lr-study list`: what there is to choose from."""

import click

KINDS = (
    "studies", "arms", "settings", "rules", "directions", "schemes", "schedules", "decays", "optimizers", "tasks",
    "searchers", "stoppers",
)  # fmt: skip


@click.command(name="list")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name", required=False)
def list(kind: str, name: str | None) -> None:  # noqa: A001 — the command's own name
    """List everything of a KIND by name, with its fields: defaults, and the domains that are searched.

    A study file uses exactly these names: `direction: momentum`, `direction.momentum: 0.95`. With NAME only that one,
    which may be a class of your own, as in `lr-study list tasks ./my_task.py:Mine`: its file is run.
    """
    from study.plan import catalogue

    click.echo("\n".join(catalogue.lines(kind, name)))
