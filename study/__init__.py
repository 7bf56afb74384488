"""Ask questions of many trials: studies, searches, their record and what they cost.

import study

study.run("quickstart")
table = study.read("quickstart")  # a pandas DataFrame, one row per (trial, epoch)
print(study.report("quickstart"))
print(study.page("quickstart").path)  # everything about it, as one HTML file
"""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from study.answers.winners import Winner
    from study.plan.study import Study
    from study.records.material import Material
    from study.reports.kept import Written

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing of a study goes anywhere unasked
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a server's, after every trial
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

URI = "sqlite:///mlflow.db"


def run(
    study: "str | Study",
    *,
    tracking_uri: str = URI,
    storage: str | Path = ".lr-study",
    address: str | None = None,
    gpus_per_trial: float | None = None,
    cpus: int | None = None,
    yes: bool = False,
    verbose: bool = False,
    check: bool = True,
    arms: "Sequence[str]" = (),
    live: bool = False,
) -> bool:
    """Run what is missing of a study.

    Args:
        study: a shipped study's name, a path to a study file, or a `Study`.
        tracking_uri: the MLflow store that holds the record.
        storage: the folder for checkpoints; on a cluster, one that every node sees.
        address: a running Ray cluster, 'auto' or host:port; None: RAY_ADDRESS, else one that runs on this machine, else
            Ray starts here.
        gpus_per_trial: GPUs, or a share of one; None: one where there are any.
        cpus: cores of this machine that trials may take, where Ray starts here; None: all.
        yes: grids of more than 10,000 cells are meant; without it they are refused.
        verbose: show what Ray and MLflow say, and tracebacks of the user's code.
        check: make one step of every task or rule that comes from outside before Ray starts.
        arms: names of those that are run now, in which `*` stands for anything; all where there is none.
        live: rewrite the page now and then while trials run, below `storage`.

    Returns:
        True where the record of these arms is complete afterwards.

    Raises:
        Refusal: where the study cannot run, in one line.
    """
    from study.execution import runner
    from study.plan import checks, parse
    from study.reports.live import LivePage

    read_study = parse.load(study) if isinstance(study, str) else study
    if not yes:
        checks.check_size(read_study)
    cluster = runner.Cluster(address, gpus_per_trial, verbose, cpus)
    beside = LivePage(read_study.name, Path(storage), tracking_uri) if live else nullcontext()
    return runner.run(read_study, tracking_uri, Path(storage), cluster, arms=arms, check=check, beside=beside)


def read(study: str, *, tracking_uri: str = URI) -> "pd.DataFrame":
    """One row per (trial, epoch) of a recorded study, sorted by key and epoch.

    Args:
        study: the study's name.
        tracking_uri: the MLflow store that holds its record.

    Raises:
        Refusal: where the study is not there.
    """
    from study import tracking

    return tracking.read(study, tracking_uri)


def report(study: "str | Material", form: str = "text", *, tracking_uri: str = URI) -> str:
    """The table of a recorded study, one row an arm.

    Args:
        study: its name, or its material that has been read already.
        form: text, markdown, json or csv; the first two with what the study file asks for besides: published numbers
            beside ours, a heat map.
        tracking_uri: the MLflow store that holds its record.

    Raises:
        Refusal: where the study is not there, and for any other form.
    """
    from study.records.material import Material, of_study
    from study.reports import summary as reporting

    material = study if isinstance(study, Material) else of_study(study, tracking_uri)
    return reporting.whole(material, form)


def best(
    study: "str | Path | Material",
    arm: str | None = None,
    *,
    top: int = 1,
    seeds: int = 0,
    tracking_uri: str = URI,
    show: "Callable[[str], None] | None" = None,
) -> "list[Winner]":
    """The best trials of a recorded study by their validation scores, task by task.

    Each has its `configuration`, as `yaml` for a study file, and as `python` for a training loop of one's own. Nothing
    is imported but our own members, unless it is trained again.

    Args:
        study: its name or its file, or a saved record (.csv, .parquet).
        arm: only this arm's trials, or this scheme's; None: all of them.
        top: how many a task.
        seeds: train each again, here, on so many fresh seeds: its `luck` says what its score owes to chance. Code of
            your own is run where `study` is the file that names it.
        tracking_uri: the MLflow store that holds the record.
        show: is told a line after each fresh seed.

    Raises:
        Refusal: where nothing can be chosen, or the configuration cannot be read here.
    """
    from study.answers import winners
    from study.records.material import Material

    material = study if isinstance(study, Material) else winners.material_of(study, tracking_uri)
    found = winners.winners(material, arm, top)
    if not seeds:
        return found
    source = material.name if isinstance(study, Material) else study
    told = show or (lambda line: None)
    return [winners.with_luck(winner, source, tracking_uri, seeds, told) for winner in found]


def forget(study: str, *, tracking_uri: str = URI, storage: str | Path | None = None) -> str:
    """Delete the record of a study that nobody is running, its pages and its checkpoints.

    Args:
        study: its name.
        tracking_uri: the MLflow store that holds the record.
        storage: the folder with its pages and checkpoints; None: the one that it ran with.

    Returns:
        The name under which MLflow keeps the deleted runs until its garbage collection.

    Raises:
        Refusal: where the store has no such study, or somebody is running it.
    """
    import shutil

    from study import tracking
    from study.reports.kept import folder_of

    place = Path(storage) if storage else _storage_of(tracking.about(study, tracking_uri).storage)
    with tracking.Lease(study, tracking_uri):
        folders = tracking.search_folders(study, tracking_uri)
        kept = tracking.forget(study, tracking_uri)
    for folder in [*(place / folder for folder in folders), folder_of(place, study)]:
        shutil.rmtree(folder, ignore_errors=True)
    return kept


def _storage_of(recorded: str) -> Path:
    """The folder that a study ran with, where this machine has it."""
    return Path(recorded) if recorded and Path(recorded).is_dir() else Path(".lr-study")


def page_folder(study: str, tracking_uri: str = URI) -> Path:
    """The folder where `run` and `report` write the page of a recorded study, where they are told no other.

    Args:
        study: its name.
        tracking_uri: the MLflow store that holds its record.

    Raises:
        Refusal: where the study is not there.
    """
    from study import tracking
    from study.reports.kept import folder_of

    return folder_of(_storage_of(tracking.about(study, tracking_uri).storage), study)


def page(
    study: "str | Path | Material",
    folder: str | Path | None = None,
    *,
    tracking_uri: str = URI,
    baseline: str | None = None,
    target: "Mapping[str, float] | None" = None,
    unit: str = "passes",
    record: bool = False,
) -> "Written":
    """Write the page of a recorded study, or of a saved record, into a folder of its own.

    Args:
        study: its name, the path of a .csv or .parquet file, or its material that has been read already.
        folder: made if it is not there; None: below the study's storage folder.
        tracking_uri: the MLflow store that holds its record.
        baseline: the scheme that others are compared with; None: the study file's.
        target: by task, '' for all others; what is not given is the task's own.
        unit: of the costs: passes, gradients (the same, measured), flops, steps, epochs or seconds.
        record: write its numbers and files into MLflow too.

    Returns:
        The files, and what the page says first. Where a page of the same record, options and program stands there,
        nothing is computed or written, and it says `unchanged`.

    Raises:
        Refusal: where the study is not there, the folder cannot be written, or something is asked for that it has not.
    """
    from study.answers.asked import ReportOptions
    from study.records.material import Material, of
    from study.reports import kept

    material = study if isinstance(study, Material) else of(study, tracking_uri)
    place = Path(folder) if folder else kept.folder_of(_storage_of(material.storage), material.name)
    asked = ReportOptions(baseline, dict(target or {}), unit)
    written = kept.find(place, kept.key_of(material, asked))
    if written is None:
        from study.reports import writing

        written = writing.write(material, place, asked)
    if record and material.run:  # else from a file
        _publish(written, material.name, tracking_uri)
    return written


def _publish(written: "Written", name: str, tracking_uri: str) -> None:
    """Write a page into MLflow, where that has not got it as it is."""
    from study import tracking
    from study.reports import kept

    folder, store = written.path.parent, tracking.shown(tracking_uri)
    if not (written.unchanged and kept.is_published(folder, store)):
        tracking.publish(name, tracking_uri, written.metrics, written.files)
        kept.publish(folder, store)
