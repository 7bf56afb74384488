"""A saved record's study: its file, the arms' contents and measured prices travel in columns, filled where needed."""

import json
from typing import Any, NamedTuple

import pandas as pd

from study.records.prices import Prices
from trainables import price
from trainables.price import Price
from trainables.refusal import Refusal
from trainables.trial import Trial

PARTS = ("task", "rule", "direction", "scheme", "decay", "optimizer", "schedule", "hidden", "rest")
"""The fields of a training that are parts with fields of their own."""
FILE = "study_file"  # its text, in the first row
CONTENTS = "contents"  # what an arm fixes and searches, as JSON, in the arm's first row
PRICES = "prices"  # of a step of the arm, as JSON, in its first row; no column where none was measured


class Saved(NamedTuple):
    """A record that was read from a file, and what it says of its study."""

    record: pd.DataFrame  # without these columns
    text: str  # the study file; empty where the record does not have it
    contents: dict[str, dict[str, Any]]  # by arm; empty where the record does not have it
    prices: dict[str, list[Price]]  # by arm; likewise


def with_study(
    record: pd.DataFrame, text: str, contents: dict[str, dict[str, Any]], priced: Prices | None = None
) -> pd.DataFrame:
    """The record as it is saved, which says by itself what its arms search.

    Args:
        record: as `study.tracking.read` gives it.
        text: the study file.
        contents: by arm, what `Arm.contents` gave when it was run.
        priced: by arm, the measured prices of a step.

    Returns:
        The record with two columns more, with three where there are prices; itself where nothing is known, or nothing
        is recorded.
    """
    if record.empty or not (text and contents):
        return record
    first = ~record["arm"].duplicated()
    firsts = [str(arm) if new else "" for arm, new in zip(record["arm"], first, strict=True)]
    told = [json.dumps(contents[arm]) if arm in contents else None for arm in firsts]
    columns = {FILE: [text, *[None] * (len(record) - 1)], CONTENTS: told}
    if priced:
        columns[PRICES] = [price.written(priced[arm]) if arm in priced else None for arm in firsts]
    return record.assign(**columns)


def without_study(record: pd.DataFrame) -> Saved:
    """Take apart what `with_study` put together; the record alone where it says nothing of one of its arms.

    Raises:
        Refusal: where the contents or prices of an arm are not what such a column holds.
    """
    if not {FILE, CONTENTS, "arm"} <= set(record.columns):
        return Saved(record, "", {}, {})
    texts = [text for text in record[FILE] if isinstance(text, str)]
    told = record[["arm", CONTENTS]].dropna().itertuples(index=False)
    contents = {str(arm): _read(str(arm), written) for arm, written in told}
    priced = record[["arm", PRICES]].dropna().itertuples(index=False) if PRICES in record else ()
    found = {str(arm): price.read(text) for arm, text in priced}
    plain = record.drop(columns=[FILE, CONTENTS, PRICES], errors="ignore")
    known = texts and {*plain["arm"]} <= {*contents}
    return Saved(_filled(plain, contents), texts[0], contents, found) if known else Saved(plain, "", {}, found)


def _filled(record: pd.DataFrame, contents: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """The record with what each arm fixes, where its part of the record was kept without what all its trials share."""
    fields = {*PARTS, *Trial.__dataclass_fields__}
    columns: dict[str, Any] = {}
    for arm, told in contents.items():
        mine = record["arm"] == arm
        for key, value in told.items():
            if key.split(".")[0] not in fields or value is None or isinstance(value, dict):
                continue
            column = columns.get(key, record[key] if key in record else pd.Series(None, record.index, dtype=object))
            empty = mine & column.isna()
            if empty.any():
                text = json.dumps(value) if isinstance(value, list) else value
                columns[key] = column.astype(object).mask(empty, text).infer_objects()
    return record.assign(**columns)


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
