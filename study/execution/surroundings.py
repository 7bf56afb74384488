"""Checks before Ray is joined or started: an address that answers, or folders that it can use."""

import os
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import ray._raylet
from ray._common.utils import get_default_system_temp_dir, get_ray_address_file
from ray._private import services
from ray.exceptions import RayError

from trainables.refusal import Refusal, first_line

_raylet: Any = ray._raylet  # compiled: no types
TIMED_OUT = "Timed out"  # Ray's words
NO_PLACE = "it is no host:port"
CLIENT = "ray://"  # before the address of Ray's client server, which has a port of its own
ANSWER_SECONDS = 10.0  # for a port to open: a cluster's head may be starting
LONGEST_SOCKET = 107 if sys.platform == "linux" else 103  # bytes in the path of a Unix socket
SOCKET = "ray/session_2026-01-01_00-00-00_000000_{}/sockets/plasma_store"  # the longest one of Ray's


class Address(NamedTuple):
    """The address at which a running Ray is said to be, and who says so."""

    written: str
    place: str  # host:port, where Ray looks for it
    source: str


def refuse_unusable(address: str | None, cpus: int | None = None) -> str | None:
    """Refuse surroundings in which Ray would wait for minutes or end in a traceback.

    Args:
        address: of a running Ray, as it was given; None where the environment decides.
        cpus: what a Ray that starts here may take; None where nobody said.

    Returns:
        The address of the Ray that is joined, as it is written; None where one starts here.

    Raises:
        Refusal: nothing answers at the address, or it is not the caller's to say what Ray takes there, or the folders
            that TMPDIR and HOME name cannot be used.
    """
    found = _address(address)
    if found and cpus is not None:
        raise Refusal(f"--cpus {cpus} is for a Ray that starts here, and {found.source} names one: leave out either")
    if found:
        _refuse_silent(found)
        return found.written
    _refuse_temporary_folder()
    _refuse_home()
    return None


def _address(given: str | None) -> Address | None:
    """The address that Ray will try, by its own rules; None where it starts one here."""
    variable = os.environ.get("RAY_ADDRESS", "")
    named = given not in (None, "auto") or not variable
    wanted, source = (given, "--address") if named else (variable, "RAY_ADDRESS")
    if wanted and wanted.startswith(CLIENT):
        return Address(wanted, wanted.removeprefix(CLIENT), source)
    try:
        asked: Any = wanted
        place = services.canonicalize_bootstrap_address(asked)
    except (ValueError, OSError) as error:  # a ConnectionError is one of the latter
        raise Refusal(f"no Ray is found at {wanted!r}, which comes from {source}: {error}") from error
    if place is None:
        return None
    if wanted in (None, "auto"):
        return Address(place, place, f"the last `ray start`, in {get_ray_address_file(None)}")
    return Address(wanted, place, source)


def _refuse_silent(address: Address) -> None:
    """Refuse an address at which nothing listens, or something that is no Ray."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while why := _closed(address.place):
        if why == NO_PLACE or time.monotonic() > deadline:
            raise Refusal(_silent(address, why))
        time.sleep(1)
    if address.written.startswith(CLIENT):
        return
    try:
        _raylet.GcsClient(address=address.place)  # gives up after 40 s
    except (RayError, RuntimeError) as error:
        if TIMED_OUT in str(error):  # anything else, such as a token that is missing, joining says better
            raise Refusal(_silent(address, "whatever listens there is no Ray")) from error


def _silent(address: Address, why: str) -> str:
    return f"no Ray answers at {address.written}, which comes from {address.source} ({why}): start it, or name another"


def _closed(place: str) -> str:
    """Try to open a connection to host:port; say why none opens, or nothing where one does."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
    except ValueError:
        return NO_PLACE
    except OSError as error:
        return error.strerror or first_line(error)
    return ""


def _refuse_temporary_folder() -> None:
    """Refuse a folder in which Ray cannot make its sockets."""
    name = "RAY_TMPDIR" if "RAY_TMPDIR" in os.environ else "TMPDIR"
    folder = get_default_system_temp_dir()
    if not Path(folder).is_absolute():
        raise Refusal(f"{name} names {folder!r}, and Ray needs a folder by its whole path: set RAY_TMPDIR=/tmp")
    spare = LONGEST_SOCKET - len(os.fsencode(Path(folder) / SOCKET.format(os.getpid())))
    if spare < 0:
        size = len(os.fsencode(folder))
        raise Refusal(
            f"{name} names a folder of {size} bytes ({folder}), and Ray's sockets need one of at most {size + spare}: "
            "set RAY_TMPDIR=/tmp"
        )
    _refuse_unwritable(folder, f"{name} names {folder}, where Ray cannot write", "set RAY_TMPDIR=/tmp")


def _refuse_home() -> None:
    """Refuse a home in which Ray cannot keep the token that it makes for itself."""
    if os.environ.get("RAY_AUTH_MODE", "token") != "token":  # as Ray has it where it starts
        return
    if _raylet.AuthenticationTokenLoader.instance().has_token(ignore_auth_mode=True):
        return
    home = str(Path.home())
    _refuse_unwritable(home, f"HOME names {home}, where Ray cannot keep its token", "set HOME, or RAY_AUTH_TOKEN")


def _refuse_unwritable(folder: str, what: str, remedy: str) -> None:
    """Refuse a folder in which no file can be made."""
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise Refusal(f"{what} ({error.strerror}): {remedy}") from error
