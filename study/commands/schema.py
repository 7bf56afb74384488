"""`lr-study schema`: the JSON Schema of a study file, for editors."""

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of a study file; editors complete and check YAML with it."""
    import json

    from study.plan.file import schema as schema_of_files

    click.echo(json.dumps(schema_of_files(), indent=2))
