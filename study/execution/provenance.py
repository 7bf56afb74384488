"""Provenance of a number: commit, versions, device."""

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PARTS = ("lr-study", "torch", "ray", "optuna", "mlflow", "numpy")


@cache
def versions() -> str:
    """The versions of the parts, as one line."""
    found = [f"python {platform.python_version()}"]
    for part in PARTS:
        try:
            found.append(f"{part} {version(part)}")
        except PackageNotFoundError:
            found.append(f"{part} -")
    return ", ".join(found)


@cache
def tags() -> dict[str, str]:
    """Tags for every run: the commit of this program where it runs from a checkout, and the versions."""
    commit = _git("rev-parse", "HEAD")
    dirty = _git("status", "--porcelain", "--untracked-files=no") if commit else ""
    found = {"versions": versions(), "platform": platform.platform()}
    return {**found, "commit": commit, "dirty": str(bool(dirty)).lower()} if commit else found


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    try:
        done = subprocess.run(  # noqa: S603 — fixed arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607 — whichever git the user has
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
