"""A saved record's study: the file and the arms' contents travel in two columns of the table, filled where needed."""

import json
from typing import Any, NamedTuple

import pandas as pd

from trainables.refusal import Refusal

FILE = "study_file"  # its text, in the first row
CONTENTS = "contents"  # what an arm fixes and searches, as JSON, in the arm's first row


class Saved(NamedTuple):
    """A record that was read from a file, and what it says of its study."""

    record: pd.DataFrame  # without the two columns
    text: str  # the study file; empty where the record does not have it
    contents: dict[str, dict[str, Any]]  # by arm; empty where the record does not have it


def with_study(record: pd.DataFrame, text: str, contents: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """The record as it is saved, which says by itself what its arms search.

    Args:
        record: as `study.tracking.read` gives it.
        text: the study file.
        contents: by arm, what `Arm.contents` gave when it was run.

    Returns:
        The record with two columns more; itself where nothing is known, or nothing is recorded.
    """
    if record.empty or not (text and contents):
        return record
    first = ~record["arm"].duplicated()
    pairs = zip(record["arm"], first, strict=True)
    told = [json.dumps(contents[arm]) if new and arm in contents else None for arm, new in pairs]
    return record.assign(**{FILE: [text, *[None] * (len(record) - 1)], CONTENTS: told})


def without_study(record: pd.DataFrame) -> Saved:
    """Take apart what `with_study` put together; the record alone where it says nothing of one of its arms.

    Raises:
        Refusal: where the contents of an arm are not what such a column holds.
    """
    if not {FILE, CONTENTS, "arm"} <= set(record.columns):
        return Saved(record, "", {})
    texts = [text for text in record[FILE] if isinstance(text, str)]
    told = record[["arm", CONTENTS]].dropna().itertuples(index=False)
    contents = {str(arm): _read(str(arm), written) for arm, written in told}
    plain = record.drop(columns=[FILE, CONTENTS])
    return Saved(plain, texts[0], contents) if texts and {*plain["arm"]} <= {*contents} else Saved(plain, "", {})


def _read(arm: str, written: Any) -> dict[str, Any]:
    try:
        read = json.loads(written)
    except (ValueError, TypeError):
        read = None
    if not isinstance(read, dict):
        raise Refusal(
            f"the column {CONTENTS!r} of arm {arm!r} is no JSON object: save the record again, or leave it out"
        )
    return read
