"""Runs a study: makes its record complete, whatever happened before. Ray is imported where something is missing."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import product
from pathlib import Path
from typing import NamedTuple

from study.dispatch.dispatcher import Dispatcher
from study.execution import provenance
from study.execution.progress import Progress
from study.execution.rehearsal import answerable, rehearse
from study.execution.settings import Cluster
from study.plan import recipes
from study.plan.checks import check_validation
from study.plan.key import Key
from study.plan.study import Arm, Study
from study.tracking import Lease, OtherContents, Tracker, is_recorded, search_folders
from study.tracking import forget as forget_record
from trainables.data import Split
from trainables.refusal import Refusal
from trainables.run.course import Course
from trainables.space import Value, corner, ends
from trainables.tasks import Task

STEPS = "batch_size", "accumulate", "record_every"  # what decides how many steps and records there are
STORAGE = Path(".lr-study")


def run(
    study: Study,
    tracking_uri: str,
    storage: Path = STORAGE,
    cluster: Cluster = Cluster(),  # noqa: B008 — immutable
    show: Callable[[Study, int], Progress] = Progress,
    *,
    arms: Sequence[str] = (),
    check: bool = True,
    beside: AbstractContextManager[object] = nullcontext(),  # noqa: B008 — reusable
) -> bool:
    """Run what is missing of a study, or of some of its arms.

    Args:
        study: what is asked.
        tracking_uri: the MLflow store that holds its record.
        storage: the folder for checkpoints; on a cluster, one that every node sees.
        cluster: the Ray that its trials run on.
        show: makes what shows the progress, from the study and the number of trials that have ended.
        arms: names of those that are run now, in which `*` stands for anything; all where there is none.
        check: make one step of what comes from outside before Ray starts.
        beside: is entered while trials run.

    Returns:
        True where the record of these arms is complete afterwards, False where somebody has ended the study.

    Raises:
        Refusal: before anything starts, where the study cannot run.
    """
    fresh = not is_recorded(study.name, tracking_uri)
    part = study.part(arms)
    if fresh:  # else the record says first if anything is missing
        part = settled(part, verbose=cluster.verbose)
    asked = RunOptions(study, part, tracking_uri, storage.resolve(), cluster, show, check, fresh, beside)
    with Lease(study.name, tracking_uri) as lease:
        return _complete(asked, lease)


def settled(study: Study, *, verbose: bool = False) -> Study:
    """The part of a study that is to run, its data verified, and with what its file leaves open settled; or refused.

    Args:
        study: as its file says it.
        verbose: show tracebacks of the user's code.
    """
    verify_data(study, verbose=verbose)
    arms = list[Arm]()
    for arm in study.arms:
        with answerable(arm, study.source, verbose=verbose):
            check_validation(arm)
            arms.append(recipes.settled(arm))
    return study._replace(arms=tuple(arms))


def verify_data(part: Study, *, verbose: bool = False) -> None:
    """Download and verify every task's data and lay out every arm's course, or refuse them, before anything starts.

    Args:
        part: the arms that are to run.
        verbose: show tracebacks of the user's code.

    Raises:
        Refusal: where data are not there, or a course does not work out.
    """
    read: dict[Task, Split] = {}
    for arm in part.arms:
        if isinstance(arm.task, Task):  # whatever a loop of its own reads, that reads
            with answerable(arm, part.source, verbose=verbose):
                if arm.task not in read:
                    read[arm.task] = arm.task.splits().train
                for values in _courses(arm):
                    Course(arm.trial(values, seed=0), read[arm.task])


def check_storage(folder: Path) -> None:
    """Make the folder of checkpoints, or refuse one that cannot be made or written.

    Args:
        folder: as it was named.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise Refusal(f"--storage {folder} cannot be written ({error.strerror}): mount it, or give another") from error


def _courses(arm: Arm) -> Iterator[dict[str, Value]]:
    """Points of an arm's space, with each option or both ends of what decides how many steps and records there are."""
    values = {key: corner(domain) for key, domain in arm.space.items()}
    searched = [[(key, value) for value in ends(arm.space[key])] for key in STEPS if key in arm.space]
    yield from ({**values, **dict(chosen)} for chosen in product(*searched))


class RunOptions(NamedTuple):
    """The options of `run`."""

    study: Study
    part: Study  # what of it is run now
    uri: str
    storage: Path
    cluster: Cluster
    show: Callable[[Study, int], Progress]
    check: bool
    settled: bool = False  # that part is
    beside: AbstractContextManager[object] = nullcontext()


def _complete(asked: RunOptions, lease: Lease) -> bool:
    storage, cluster = asked.storage, asked.cluster

    def forgotten(key: Key) -> None:
        shutil.rmtree(storage / tracker.searches.folder(key), ignore_errors=True)

    tracker = _tracker(asked, forgotten, lease)
    tracker.remember_storage(storage)
    recorded = tracker.recorded()
    for key, known in recorded.items():
        if known.status is not None:  # a driver may die between the end of a trial and this
            forgotten(key)
    try:
        ended = [key for key, known in recorded.items() if known.status is not None]
        if not asked.settled and asked.part.missing(ended).total():
            asked = asked._replace(part=settled(asked.part, verbose=cluster.verbose))
        dispatcher = Dispatcher(asked.part, recorded, tracker.measured)
        if dispatcher.done:
            tracker.searches.keep_files()
        else:
            if asked.check:
                rehearse(asked.part, verbose=cluster.verbose)
            _train(asked, tracker, dispatcher)
    except BaseException:  # a refusal, an error, or Ctrl-C: nothing may look as if it still ran
        with suppress(Exception):  # the first error is the one to be told
            tracker.close(complete=False)
        raise
    tracker.close(complete=dispatcher.done)
    return dispatcher.done


def _train(asked: RunOptions, tracker: Tracker, dispatcher: Dispatcher) -> None:
    """Train what is missing, on Ray."""
    from study.execution import tuner
    from study.execution.cluster import connect, resources_of_a_trial

    check_storage(asked.storage)
    cluster = connect(asked.cluster)
    resources = resources_of_a_trial(asked.part, cluster)
    tracker.searches.open(asked.part.searches())
    with asked.beside, asked.show(asked.part, dispatcher.num_ended) as progress:
        tuner.fit(tuner.Bridge(tracker, dispatcher, progress, asked.storage), tracker, resources, cluster)


def _tracker(asked: RunOptions, forgotten: Callable[[Key], None], lease: Lease) -> Tracker:
    """The study's record; a new one where its file has changed and nothing of it has succeeded yet."""
    try:
        return Tracker(asked.study, asked.uri, provenance.tags(), forgotten, lease.check, lease.cancelled)
    except OtherContents as refusal:
        if refusal.succeeded:
            raise
    name = asked.study.name
    sys.stderr.write(f"no trial of {name} has succeeded yet, and its file has changed: it starts anew\n")
    folders = search_folders(name, asked.uri)
    forget_record(name, asked.uri)
    for folder in folders:  # the checkpoints of trials that were broken off
        shutil.rmtree(asked.storage / folder, ignore_errors=True)
    return Tracker(asked.study, asked.uri, provenance.tags(), forgotten, lease.check, lease.cancelled)
