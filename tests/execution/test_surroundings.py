"""Surroundings in which Ray would wait for minutes or end in a traceback are refused in one line."""

import os
import time

import pytest
from ray._raylet import AuthenticationTokenLoader

from study.execution import surroundings
from study.execution.surroundings import refuse_unusable
from trainables.refusal import Refusal

NOWHERE = "127.0.0.1:9"


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    for name in ("RAY_ADDRESS", "RAY_TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", "/tmp")  # noqa: S108 — Ray's own
    monkeypatch.setattr(surroundings, "ANSWER_SECONDS", 0.5)


def refused(address=None, cpus=None):
    """The one line of the refusal."""
    before = time.monotonic()
    with pytest.raises(Refusal) as told:
        refuse_unusable(address, cpus)
    assert time.monotonic() - before < 10
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_a_folder_whose_sockets_would_have_too_long_a_path_is_named_with_its_variable(variable, tmp_path, monkeypatch):
    long = tmp_path / ("x" * (90 - len(str(tmp_path)) - 1) if len(str(tmp_path)) < 88 else "x")
    long.mkdir()
    monkeypatch.setenv(variable, str(long))
    told = refused()
    assert told.startswith(f"{variable} names a folder of {len(str(long))} bytes ({long})")
    most = int(told.partition("at most ")[2].partition(":")[0])
    longest = "/" + "y" * (most - 1)
    assert len(f"{longest}/{surroundings.SOCKET.format(os.getpid())}") == surroundings.LONGEST_SOCKET


@pytest.mark.parametrize(
    ("folder", "why"),
    [("", "by its whole path"), ("tmp", "by its whole path"), ("/nowhere", "No such file"), ("/proc", "cannot write")],
)
def test_a_temporary_folder_that_cannot_be_used_is_named(folder, why, monkeypatch):
    monkeypatch.setenv("TMPDIR", folder)
    assert why in (told := refused())
    assert told.replace("'", "").startswith(f"TMPDIR names {folder}, ")


def test_a_home_that_does_not_exist_is_named_where_ray_needs_it(monkeypatch):
    monkeypatch.setenv("HOME", "/proc/nowhere")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    AuthenticationTokenLoader.instance().reset_cache()  # a test before this one may have started Ray
    assert refused().startswith("HOME names /proc/nowhere, where Ray cannot keep its token")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    refuse_unusable("local")


@pytest.mark.parametrize(
    ("given", "variable", "source"),
    [
        (None, NOWHERE, "RAY_ADDRESS"),
        ("auto", NOWHERE, "RAY_ADDRESS"),
        (NOWHERE, "", "--address"),
        (NOWHERE, "10.0.0.1:6379", "--address"),
        (f"ray://{NOWHERE}", "", "--address"),
    ],
)
def test_an_address_at_which_nobody_is_is_named_with_where_it_came_from(given, variable, source, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", variable)
    assert f"{NOWHERE}, which comes from {source} (Connection refused)" in refused(given)


@pytest.mark.parametrize(("given", "variable"), [(NOWHERE, ""), (None, NOWHERE)])
def test_cores_of_this_machine_are_not_asked_of_a_ray_that_runs_elsewhere(given, variable, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", variable)
    source = "--address" if given else "RAY_ADDRESS"
    told = refused(given, cpus=2)
    assert told == f"--cpus 2 is for a Ray that starts here, and {source} names one: leave out either"


@pytest.mark.parametrize("address", ["nowhere", "nowhere:port", "nowhere.invalid:6379"])
def test_an_address_that_is_none_is_named(address):
    assert f"{address}, which comes from --address" in refused(address).replace("'", "")
