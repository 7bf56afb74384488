"""One driver a study: the second is refused while the first lives, and takes over when it is dead.

What makes a lease is an experiment whose name only one driver can have: MLflow creates it or says that it is there.
Each driver of a study makes the next one, numbered, and deletes its predecessor's; so of two that take over at once
one is refused, and one that was taken for dead finds its own deleted and writes no more. A tag that its holder keeps
changing says that it lives. No clock of another machine is read: who waits looks whether the tag changes.
"""

import getpass
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from study.tracking.store import (
    CANCEL,
    LEASE,
    PREFIX,
    artifacts,
    client,
    experiment_of,
    is_away,
    shown,
    without_retries,
)
from trainables.refusal import Refusal, first_line

BEAT_SECONDS = 5.0
DEAD_SECONDS = 30.0  # without a beat
EXISTS = "RESOURCE_ALREADY_EXISTS"  # MLflow's word
LATEST = f"{PREFIX}lease"  # of the study's experiment: the number of a lease that there was


class Taken(Refusal):
    """Another driver has taken over."""


class Holder(NamedTuple):
    """Who holds a lease, as its tags say it."""

    who: str  # for people: user, host and process
    process: str  # empty where it cannot be told

    @property
    def is_known_dead(self) -> bool:
        """Tell if it was a process that this machine can see, and is no more."""
        place, _, process = self.process.rpartition("/")
        return bool(self.process) and place == _place() and process != _started(int(process.split("-")[0]))


def _me() -> Holder:
    pid = os.getpid()
    started = _started(pid)
    process = f"{_place()}/{started}" if started else ""
    return Holder(f"{_user()} on {socket.gethostname()}, process {pid}", process)


def _user() -> str:
    """The name of the user who runs this; in a container that knows none, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _place() -> str:
    """What says that two numbers of processes mean the same: the boot and the namespace."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}-{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115 — a name, not a path
    return ""


def _started(pid: int) -> str:
    """A process's number and when it began: numbers are used again. Empty where there is no such process."""
    with suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return "" if fields[0] == "Z" else f"{pid}-{fields[19]}"
    return ""


class Lease:
    """The right to drive a study; a context, in which it is kept."""

    def __init__(self, study: str, uri: str) -> None:
        """Take it; refused where another driver lives, after up to `DEAD_SECONDS` where one may have died."""
        self._client, self._study, self._uri = client(uri), study, uri
        self._experiment = experiment_of(self._client, study, uri)
        self.cancelled = self._client.get_experiment(self._experiment).tags.get(CANCEL, "")  # before this driver began
        number, active = self._before()
        for lease in active:
            self._refuse_while_alive(lease)
        self._held = self._take(number + 1)
        for lease in active:
            with suppress(MlflowException):  # of another user, whose experiments we may only read
                self._client.delete_experiment(lease.experiment_id)
        self._client.set_experiment_tag(self._experiment, LATEST, str(number + 1))
        self._beats, self._beat = 0, time.monotonic()
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        threading.Thread(target=self._keep, name="lease", daemon=True).start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._ended.set()
        with suppress(MlflowException, OSError), self._lock, without_retries():
            self._client.delete_experiment(self._held)

    def check(self) -> None:
        """Raises `Taken` where another driver has taken over; asks only where the last beat is long ago."""
        if time.monotonic() - self._beat > 2 * BEAT_SECONDS:
            self.beat()

    def beat(self) -> None:
        """Write that this driver lives; raises `Taken` where another has taken over."""
        with self._lock:
            self._beats += 1
            try:
                with without_retries():
                    self._client.set_experiment_tag(self._held, f"{PREFIX}beat", str(self._beats))
            except MlflowException as error:
                if is_away(error):
                    raise
                raise self._lost(error) from error
            self._beat = time.monotonic()

    def _lost(self, error: MlflowException) -> Refusal:
        """Why the store does not take a beat: who takes over deletes the lease; anything else it says itself."""
        with without_retries():
            held = self._client.get_experiment(self._held)
        if held.lifecycle_stage == "active":
            return self._refused(error)
        return Taken(f"another driver has taken over {self._study!r}: this one was silent for too long")

    def _refused(self, error: MlflowException) -> Refusal:
        return Refusal(f"the MLflow store {shown(self._uri)} refuses the lease of a driver: {shown(first_line(error))}")

    def _keep(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                self.beat()
            except Refusal:
                return  # the next write says so
            except (MlflowException, OSError):
                continue

    def _name(self, number: int) -> str:
        return f"{LEASE}{self._study}/{number}"

    def _before(self) -> tuple[int, list[Experiment]]:
        """The number of the last lease there was, 0 where there was none, and those that nobody has given back."""
        number = int(self._client.get_experiment(self._experiment).tags.get(LATEST, "0"))
        found = [self._client.get_experiment_by_name(self._name(number))]
        while (following := self._client.get_experiment_by_name(self._name(number + 1))) is not None:
            number += 1
            found.append(following)
        return number, [lease for lease in found if lease is not None and lease.lifecycle_stage == "active"]

    def _refuse_while_alive(self, last: Experiment) -> None:
        holder = Holder(last.tags.get(f"{PREFIX}who", "?"), last.tags.get(f"{PREFIX}process", ""))
        if holder.is_known_dead:
            return
        sys.stderr.write(f"{holder.who} may be running this study: looking for up to {DEAD_SECONDS:.0f} s\n")
        deadline = time.monotonic() + DEAD_SECONDS
        while time.monotonic() < deadline:
            now = self._client.get_experiment(last.experiment_id)
            if now.lifecycle_stage != "active":
                return
            if now.tags.get(f"{PREFIX}beat") != last.tags.get(f"{PREFIX}beat"):
                raise Refusal(
                    f"study {self._study!r} is being run by {holder.who}: `lr-study status {self._study}` shows it, "
                    f"`lr-study cancel {self._study}` ends it"
                )
            time.sleep(min(1.0, BEAT_SECONDS / 2))

    def _take(self, number: int) -> str:
        me = _me()
        tags = {f"{PREFIX}who": me.who, f"{PREFIX}process": me.process, f"{PREFIX}beat": "0"}
        try:
            return self._client.create_experiment(self._name(number), artifacts(self._uri), tags)
        except MlflowException as error:
            if is_away(error):
                raise
            if error.error_code != EXISTS:
                raise self._refused(error) from error
            raise Refusal(f"study {self._study!r} is being started by another driver at this moment") from error
