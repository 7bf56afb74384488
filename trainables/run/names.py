"""Names of numbers that a loop of the user's, or a scheme, may add to its records."""

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


def check_name(name: str, where: str = "session.log") -> None:
    """Refuse a name that a record has already, or could not have.

    Args:
        name: of the number.
        where: it is told.
    """
    if name in Record.__dataclass_fields__ or name in ("test_score", "test_loss"):
        remedy = "tell session.report" if where == "session.log" else "choose another name"
        raise Refusal(f"{where}: {name} is a number of every record; {remedy}")
    if name in COLUMNS or name.partition(".")[0] in PARTS:
        raise Refusal(f"{where}: {name} is a column of every study's table: choose another name")
    if not TAKEN.fullmatch(name) or posixpath.normpath(name) != name or name[0] in "/.":
        raise Refusal(f"{where}: the name {name!r} cannot be recorded: take letters, digits, spaces and _-.:/ alone")
