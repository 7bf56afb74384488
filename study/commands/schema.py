"""`lr-study schema`: the JSON Schema of a study file, for editors."""

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of a study file; editors complete and check YAML with it."""
    import json

    from study import reading

    click.echo(json.dumps(reading.schema(), indent=2))
