"""The store: how it is reached, and how a trial is written into one run and read back."""

import json
import logging
import re
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from study.dispatcher import Recorded
from trainables.refusal import Refusal
from trainables.rungs import Rung

logging.getLogger("mlflow").setLevel(logging.WARNING)  # its migrations are not news
logging.getLogger("alembic").setLevel(logging.WARNING)

ARTIFACTS = ".lr-study/artifacts"  # of the embedded store; a server has a place of its own
PREFIX = "lr_study."
CANCEL = f"{PREFIX}cancel"  # of the experiment: when somebody asked for the end
TERMINAL = ("FINISHED", "FAILED")


def client(uri: str) -> MlflowClient:
    """A client of the store, or a refusal that says why it cannot be reached."""
    try:
        reached = MlflowClient(tracking_uri=uri)
        reached.search_experiments(max_results=1)
    except Exception as error:  # sqlalchemy, requests and MLflow each raise their own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise Refusal(f"the MLflow store {shown(uri)} cannot be reached or written: {shown(reason)}") from error
    return reached


def shown(uri: str) -> str:
    """The text without a user name and password that may stand in a URL.

    >>> shown("postgresql://me:secret@db/mlflow")
    'postgresql://…@db/mlflow'
    """
    return re.sub(r"(?<=://)[^/@\s]*@", "…@", uri)


def experiment_of(store: MlflowClient, name: str, uri: str) -> str:
    """The id of the experiment of that name, made if it is not there."""
    found = store.get_experiment_by_name(name)
    if found is not None:
        if found.lifecycle_stage != "active":
            raise Refusal(
                f"study {name!r} is deleted in {shown(uri)}: restore it (`mlflow experiments restore`) or rename it"
            )
        return found.experiment_id
    try:
        return store.create_experiment(name, ARTIFACTS if uri.startswith("sqlite:") else None)
    except MlflowException:
        found = store.get_experiment_by_name(name)  # another driver was faster
        if found is None:
            raise
        return found.experiment_id


def runs_of(store: MlflowClient, experiment: str, kind: str) -> list[Run]:
    """All runs of a kind, oldest first."""
    runs: list[Run] = []
    token = None
    while True:
        page = store.search_runs(
            [experiment],
            f"tags.`{PREFIX}kind` = '{kind}'",
            ViewType.ACTIVE_ONLY,
            max_results=1000,
            order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
            page_token=token,
        )
        runs += page
        token = page.token
        if not token:
            return runs


def own_tags(run: Run) -> dict[str, str]:
    """The tags that this program wrote, without their prefix."""
    return {tag.removeprefix(PREFIX): value for tag, value in run.data.tags.items() if tag.startswith(PREFIX)}


def recorded_of(run: Run) -> Recorded:
    """What a child run says of its trial."""
    tags = own_tags(run)
    status: Any = tags.get("status") if run.info.status in TERMINAL else None
    params = {name: value_of(text) for name, text in run.data.params.items()}
    score = float(tags["score"]) if status else float("nan")
    rungs = tuple(Rung(*rung) for rung in json.loads(tags.get("rungs", "[]"))) if status else ()
    attempts, versions = int(tags.get("attempts", "0")), tags.get("versions", "")
    return Recorded(run.info.run_id, params, status, score, attempts, versions, rungs)


def text_of(value: Any) -> str:
    """A parameter as MLflow keeps it."""
    return value if isinstance(value, str) else json.dumps(value)


def value_of(text: str) -> Any:
    """The inverse of `text_of`: numbers, truth values and null as themselves, anything else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
