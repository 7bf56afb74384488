"""Failed trials: tried again, recorded as failed, or the end of a study that fails as a whole."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, TypeAlias

from trainables.refusal import Refusal

ATTEMPTS = 3  # a trial that fails this often by itself is recorded as failed
GIVE_UP = 20  # a study whose first trials all fail, so many of them, stops

RAISED, TRACEBACK = "RuntimeError: ", "Traceback (most recent call last):"  # as the trial's process raises it again

Cause: TypeAlias = Literal["node", "process", "trial"]

# Ray's words; the exceptions themselves hold no more than these, once they have been through Tune.
NODE = ("its node has died", "node was preempted", "node was forcibly preempted", " is unavailable: ")
PROCESS = ("its worker process has died", "its owner has died", "killed by `ray.kill`", "references to the actor")
TRIAL = ("raytaskerror", ".train() (pid=")  # the class, and where it was raised: there the user's own words follow


def cause_of(error: str) -> Cause:
    """Name what failed, by Ray's words: the machine, the process, or what the trial did.

    >>> cause_of("The actor died because its node has died. Node Id: 1f")
    'node'
    >>> cause_of("RayTaskError(ValueError): negative variance")
    'trial'
    >>> cause_of("ray.exceptions.RayTaskError(RuntimeError): the data server is unavailable: HTTP 404")
    'trial'
    """
    text = error.lower()
    if any(words in text for words in TRIAL):
        return "trial"
    if any(words in text for words in NODE):
        return "node"
    return "process" if any(words in text for words in PROCESS) else "trial"


def line_of(error: str) -> str:
    """The line of an error that says what went wrong: a traceback's last; of what Ray tells of a death, the cause."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    causes = [line for line in lines if cause_of(line) != "trial"] if cause_of(error) != "trial" else []
    return (causes or lines or ["no error was told"])[-1]


def traceback_of(error: str) -> str:
    """The user's own traceback in what Ray tells of a failure; all of it where there is none."""
    before, found, own = error.rpartition(f"{RAISED}{TRACEBACK}")
    return (TRACEBACK + own if found else before + own).strip() + "\n"


class Hopeless(Refusal):
    """A study that is given up because every trial failed; its input was not refused."""

    exit_code = 1


class Failures:
    """Counts, for each trial, how often it failed by itself, and how many trials failed before any did not.

    A machine that goes away, by accident or because somebody else paid more for it, is no failure of the trial. A
    process that dies is one (memory, a fault in a library) only where it got no further than the one before it: so a
    trial that takes days is not given up because its machine is restarted every night.
    """

    def __init__(self, failed_first: Sequence[str] | None = ()) -> None:
        """`failed_first` are the trials that have failed under an earlier driver; None: one has not."""
        self._times: defaultdict[str, int] = defaultdict(int)
        self._far: defaultdict[str, int] = defaultdict(int)
        self._failed_first = None if failed_first is None else [*failed_first]

    def may_go_on(self, trial: str, error: str, num_records: int) -> bool:
        """Tell if a trial that failed is tried again.

        Args:
            trial: its key as text.
            error: its traceback, or what Ray tells of a death.
            num_records: how many records it has made so far.

        Returns:
            False once it has failed by itself as often as it may. A machine that goes away counts for nothing, a
            process that
            dies only where there are no more records than at the last failure.
        """
        cause = cause_of(error)
        further, self._far[trial] = num_records > self._far[trial], max(num_records, self._far[trial])
        if cause == "trial" or (cause == "process" and not further):
            self._times[trial] += 1
        return self._times[trial] < ATTEMPTS

    def ended(self, trial: str, *, failed: bool) -> None:
        """Forget the failures of a trial whose outcome is in.

        Args:
            trial: its key as text.
            failed: whether it failed for good.
        """
        self._times.pop(trial, None)
        self._far.pop(trial, None)
        if not failed:
            self._failed_first = None
        elif self._failed_first is not None:
            self._failed_first.append(trial)

    @property
    def hopeless(self) -> list[str]:
        """The trials of a study that is to be given up: its first `GIVE_UP`, which all failed; else none."""
        return self._failed_first if self._failed_first and len(self._failed_first) >= GIVE_UP else []
