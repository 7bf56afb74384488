"""Names of numbers that a loop of the user's may add to its records."""

import posixpath
import re

from trainables.refusal import Refusal
from trainables.trial import Record, Trial

COLUMNS = {
    "study", "arm", "repetition", "k", "seed_number", "planned", "run_id", "status", "error", "searcher", "mode",
    "metric", "chance", "target", "record", "best_valid_score", "scheme", "trial", "score", "cost", "worth",
}  # fmt: skip
"""Columns that the table of a study has beside those of its trials and records."""
PARTS = {*Trial.__dataclass_fields__, "scheme", "direction", "decay", "optimizer", "schedule", "hidden", "rest"}
TAKEN = re.compile(r"[\w\-. :/]{1,250}")  # by MLflow, as it takes no path that is not whole


def check_name(name: str) -> None:
    """Refuse a name that a record has already, or could not have.

    Args:
        name: as `session.log` is told it.
    """
    if name in Record.__dataclass_fields__ or name == "test_score":
        raise Refusal(f"session.log: {name} is a number of every record; tell session.report")
    if name in COLUMNS or name.partition(".")[0] in PARTS:
        raise Refusal(f"session.log: {name} is a column of every study's table: choose another name")
    if not TAKEN.fullmatch(name) or posixpath.normpath(name) != name or name[0] in "/.":
        raise Refusal(
            f"session.log: the name {name!r} cannot be recorded: take letters, digits, spaces and _-.:/ alone"
        )
