"""Options that several commands share."""

import click

tracking_uri = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    default="sqlite:///mlflow.db",
    show_default=True,
    help="MLflow store that holds the record. Credentials come from MLFLOW_TRACKING_USERNAME and _PASSWORD.",
)
