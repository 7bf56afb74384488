"""`lr-study list`: what there is to choose from."""

import click

KINDS = ("studies", "arms", "directions", "schemes", "schedules", "tasks", "searchers", "stoppers")


@click.command(name="list")
@click.argument("kind", type=click.Choice(KINDS))
def list(kind: str) -> None:  # noqa: A001 — the command's own name
    """List everything of a KIND by name, with its fields: defaults, and the domains that are searched.

    A study file uses exactly these names: `direction: momentum`, `direction.momentum: 0.95`.
    """
    from study.plan import catalogue

    click.echo("\n".join(catalogue.lines(kind)))
