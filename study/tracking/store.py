"""The store: how it is reached, and how a trial is written into one run and read back."""

import contextlib
import json
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_HTTP_REQUEST_TIMEOUT
from mlflow.exceptions import MlflowException

from study.dispatch.outcome import Recorded
from study.plan.key import Key
from study.tracking import embedded
from trainables.price import Price, read
from trainables.refusal import Refusal, first_line, unknown
from trainables.run.stopping import Rung

logging.getLogger("mlflow").setLevel(logging.WARNING)  # its migrations are not news
logging.getLogger("alembic").setLevel(logging.WARNING)

ARTIFACTS = ".lr-study/artifacts"  # of the embedded store; a server has a place of its own
PREFIX = "lr_study."
ARM = "arm"  # a parameter of a trial's run beside its own, as its task is; for MLflow's pages
RATE = "axis/log10 lr"  # another: MLflow's axes are linear, and its compare page takes the first three by name
PRICE = "price/"  # how the tags begin in which a search has measured prices of a step
REPORT = "report"  # the kind of the run that holds a summary's files
STORAGE = f"{PREFIX}storage"  # of the experiment: the folder that the last driver was given
CANCEL = f"{PREFIX}cancel"  # of the experiment: when somebody asked for the end
LEASE = f"{PREFIX}lease/"  # how the names of experiments begin that are no studies (lease.py)
TOO_LATE = (408, 429)
MISSING = (FileNotFoundError, NotADirectoryError, PermissionError)  # of a file to be kept: waiting brings it no nearer
TERMINAL = ("FINISHED", "FAILED")


_asking = threading.local()  # `depth`: how many contexts this thread is in


def _unless_asked_once(variable: Any, value: int) -> None:
    """Let a variable of MLflow's have another value in a thread that asks once: MLflow knows but the whole process."""
    ordinary = variable.get
    variable.get = lambda: value if getattr(_asking, "depth", 0) else ordinary()


_unless_asked_once(MLFLOW_HTTP_REQUEST_MAX_RETRIES, 0)  # MLflow's own: 7
_unless_asked_once(MLFLOW_HTTP_REQUEST_TIMEOUT, 30)  # 120 s


@contextlib.contextmanager
def without_retries() -> Iterator[None]:
    """MLflow's client does not retry inside this context, in this thread; other threads keep its patience."""
    _asking.depth = getattr(_asking, "depth", 0) + 1
    try:
        yield
    finally:
        _asking.depth -= 1


def client(uri: str) -> MlflowClient:
    """A client of the store, or a refusal that says why it cannot be reached."""
    try:
        embedded.make(uri)
        reached = MlflowClient(tracking_uri=uri)
        with without_retries():
            reached.search_experiments(max_results=1)
    except Exception as error:  # sqlalchemy, requests and MLflow each raise their own
        reason = shown(first_line(error))
        raise Refusal(f"the MLflow store {shown(uri)} cannot be reached or written: {reason}") from error
    return reached


def is_away(error: Exception) -> bool:
    """Tell if the store, or the way to it, is what failed, and not the write."""
    answer = getattr(error, "response", None)  # of a server that answers in HTTP, and not in MLflow's words
    status = (
        error.get_http_status_code() if isinstance(error, MlflowException) else getattr(answer, "status_code", None)
    )
    if status is not None:
        return status >= 500 or status in TOO_LATE
    return isinstance(error, OSError) and not isinstance(error, MISSING)  # as those of requests are


def shown(uri: str) -> str:
    """The text without a user name and password that may stand in a URL.

    >>> shown("postgresql://me:secret@db/mlflow")
    'postgresql://…@db/mlflow'
    >>> shown("http://me:se/cr@et@db and postgresql://db/mlflow?user=me&password=secret")
    'http://…@db and postgresql://db/mlflow?user=…&password=…'
    """
    masked = re.sub(r"(?<=://)\S*@", "…@", uri)
    return re.sub(r"(?<=[?&])(user|password)=[^&\s]*", r"\1=…", masked)


def artifacts(uri: str) -> str | None:
    """The place where an experiment keeps its files; None for a server, which says it itself."""
    return ARTIFACTS if uri.startswith("sqlite:") else None


def experiment_of(store: MlflowClient, name: str, uri: str) -> str:
    """The id of the experiment of that name, made if it is not there.

    Args:
        store: a client of it.
        name: of the experiment.
        uri: of the store.

    Raises:
        Refusal: where an experiment of that name was deleted, or is somebody else's.
    """
    found = store.get_experiment_by_name(name)
    if found is not None:
        refuse_deleted("study", found, uri)
        _refuse_foreign(store, found, uri)
        return found.experiment_id
    try:
        return store.create_experiment(name, artifacts(uri))
    except MlflowException:
        found = store.get_experiment_by_name(name)  # another driver was faster
        if found is None:
            raise
        return found.experiment_id


def _refuse_foreign(store: MlflowClient, experiment: Experiment, uri: str) -> None:
    """Refuse an experiment that was begun by other people's runs: a study would write among them, and forget them."""
    oldest = store.search_runs([experiment.experiment_id], max_results=1, order_by=["attributes.start_time ASC"])
    if oldest and f"{PREFIX}kind" not in oldest[0].data.tags:
        raise Refusal(
            f"experiment {experiment.name!r} in {shown(uri)} holds runs that no study has made: give the study file "
            "another name"
        )


def refuse_deleted(kind: str, experiment: Experiment, uri: str) -> None:
    """Refuse an experiment that somebody deleted: MLflow keeps its name, and gives it back as if nothing had been.

    Args:
        kind: study or experiment, as its reader would call it.
        experiment: as the store gives it.
        uri: of the store.
    """
    if experiment.lifecycle_stage != "active":
        raise Refusal(
            f"{kind} {experiment.name!r} is deleted in {shown(uri)}: restore it "
            f"(`mlflow experiments restore --experiment-id {experiment.experiment_id}`) or rename it"
        )


def folder_of_search(study: str, arm: str, repetition: int, run: str) -> Path:
    """The place of a search's checkpoints inside a storage folder, by its run: two stores may share the folder.

    Args:
        study: the study's name.
        arm: the arm's.
        repetition: from 0.
        run: the id of the search's run.

    Returns:
        A path relative to the storage folder.
    """
    return Path("checkpoints") / study / arm / f"{repetition}-{run[:12]}"


def find_study(study: str, uri: str) -> tuple[MlflowClient, str]:
    """The store and the id of a study's experiment; reading makes neither.

    Args:
        study: the study's name.
        uri: of the MLflow store.

    Raises:
        Refusal: where the store or the study is not there, the study was deleted, or it is somebody else's experiment.
    """
    embedded.refuse_missing(uri)
    store = client(uri)
    experiment = store.get_experiment_by_name(study)
    if experiment is None:
        names = [found.name for found in store.search_experiments() if not found.name.startswith(LEASE)]
        raise unknown(f"study in {shown(uri)}:", study, names)
    refuse_deleted("study", experiment, uri)
    _refuse_foreign(store, experiment, uri)
    return store, experiment.experiment_id


def runs_of(store: MlflowClient, experiment: str, kind: str, where: str = "") -> list[Run]:
    """All runs of a kind, oldest first.

    Args:
        store: a client of it.
        experiment: its id.
        kind: trial, search or report, as the tag of the run says.
        where: a further filter in MLflow's language.
    """
    runs: list[Run] = []
    token = None
    while True:
        page = store.search_runs(
            [experiment],
            f"tags.`{PREFIX}kind` = '{kind}'" + (f" AND {where}" if where else ""),
            ViewType.ACTIVE_ONLY,
            max_results=1000,
            order_by=["attributes.start_time ASC", "attributes.run_id ASC"],
            page_token=token,
        )
        runs += page
        token = page.token
        if not token:
            return runs


def trial_runs(store: MlflowClient, experiment: str) -> tuple[dict[Key, Run], list[Run]]:
    """The run of every trial, and what is left over: a create whose answer was lost may have been repeated.

    Of several the one that has ended counts, else the first.

    Args:
        store: a client of it.
        experiment: its id.

    Returns:
        The runs by key, and the surplus ones.
    """
    found: dict[Key, Run] = {}
    surplus: list[Run] = []
    for run in runs_of(store, experiment, "trial"):
        key = Key.of_path(own_tags(run)["key"])
        known = found.get(key)
        if known is None or (recorded_of(known).status is None and recorded_of(run).status is not None):
            found[key] = run
            surplus += [known] if known else []
        else:
            surplus.append(run)
    return found, surplus


def own_tags(run: Run) -> dict[str, str]:
    """The tags that this program wrote, without their prefix."""
    return {tag.removeprefix(PREFIX): value for tag, value in run.data.tags.items() if tag.startswith(PREFIX)}


def prices_of(searches: Iterable[Run]) -> dict[str, list[Price]]:
    """The measured prices of a step, by arm; each stands in a tag of one of the arm's searches.

    Args:
        searches: the runs of a study's searches.
    """
    found: dict[str, list[Price]] = {}
    for run in searches:
        tags = own_tags(run)
        for name in sorted(name for name in tags if name.startswith(PRICE)):
            found.setdefault(tags["arm"], []).extend(read(tags[name]))
    return found


def recorded_of(run: Run) -> Recorded:
    """Read a child run as the trial that it records."""
    tags = own_tags(run)
    status: Any = tags.get("status") if run.info.status in TERMINAL else None
    params = {name: value_of(text) for name, text in run.data.params.items() if name not in (ARM, RATE)}
    score = float(tags["score"]) if status else float("nan")
    rungs = tuple(Rung(*rung) for rung in json.loads(tags.get("rungs", "[]"))) if status else ()
    attempts, versions = int(tags.get("attempts", "0")), tags.get("versions", "")
    return Recorded(run.info.run_id, params, status, score, attempts, versions, rungs)


def is_reopened(run: Run) -> bool:
    """True for the run of a trial that had failed, and was marked as open when its study was given up."""
    return run.info.status not in TERMINAL and own_tags(run).get("status") == "failed"


def records_of(run: Run) -> float:
    """The number of records of a training that ended: those of an attempt that was given up may stand behind them.

    run: of the training; all count where it goes on, or does not say.
    """
    return float(own_tags(run).get("records", "inf")) if run.info.status in TERMINAL else float("inf")


def parameter_text(value: Any) -> str:
    """A parameter as MLflow keeps it: a text as it is, in quotes where it would be read as something else.

    >>> parameter_text("cosine"), parameter_text(0.1), parameter_text("18")
    ('cosine', '0.1', '"18"')
    """
    return value if isinstance(value, str) and value_of(value) == value else json.dumps(value)


def value_of(text: str) -> Any:
    """The inverse of `parameter_text`: numbers, truth values and null as themselves, anything else as text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
