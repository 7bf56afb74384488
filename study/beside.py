"""Other people's published numbers beside ours: what a study file says they reported, and what was measured here."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from study.printing import Sheet
from trainables.refusal import unknown
from trainables.trial import Record

COLUMNS = ["arm", "number", "theirs", "ours", "difference", "farthest", "trials"]
NUMBERS = [*(entry.name for entry in fields(Record) if entry.name != "extras"), "test_loss", "test_score"]


class Published(BaseModel):
    """What somebody published of a study's arms: numbers of the last record of a training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Annotated[str, Field(min_length=1, description="who published the numbers, and where")]
    within: Annotated[float, Field(gt=0, description="how far a trial may be from them")]
    finals: Annotated[dict[str, dict[str, float]], Field(min_length=1, description="arm: {train_loss: …, …}")]

    def check(self, arms: Iterable[str]) -> None:
        """Refuses arms that the study does not have, and numbers that no record has."""
        known = list(arms)
        for arm, numbers in self.finals.items():
            if arm not in known:
                raise unknown("arm in published.finals:", arm, known)
            for number in numbers:
                if number not in NUMBERS:
                    raise unknown(f"number in published.finals.{arm}:", number, NUMBERS)


def beside(record: pd.DataFrame, published: Published) -> pd.DataFrame:
    """One row an arm and number: theirs, our mean over the trials that ended, and the farthest trial's difference.

    record: as `study.tracking.read` gives it. Differences are ours − theirs; NaN where a trial diverged or none ended.
    """
    if record.empty:
        return pd.DataFrame(columns=COLUMNS)
    ended: Any = record[record["status"] != "running"]
    last: Any = ended.groupby("run_id", sort=False).tail(1)
    rows: list[dict[str, Any]] = []
    for arm, numbers in published.finals.items():
        here = last[last["arm"] == arm]
        for number, theirs in numbers.items():
            ours: Any = here[number] if number in here else pd.Series(dtype=float)
            apart = ours - theirs
            farthest = apart.loc[apart.abs().idxmax()] if apart.notna().all() and len(apart) else float("nan")
            row = [arm, number, theirs, ours.mean(skipna=False), ours.mean(skipna=False) - theirs, farthest, len(here)]
            rows.append(dict(zip(COLUMNS, row, strict=True)))
    return pd.DataFrame(rows, columns=COLUMNS)


def sheet(record: pd.DataFrame, published: Published) -> Sheet:
    """The table for people, and in one sentence whether every trial is as near as the study asks."""
    found: Any = beside(record, published)
    rows = [
        [str(row.arm), str(row.number), *(f"{n:.4f}" for n in (row.theirs, row.ours)),
         *(f"{n:+.4f}" for n in (row.difference, row.farthest)), str(row.trials)]
        for row in found.itertuples()
    ]  # fmt: skip
    return Sheet("Published beside ours", COLUMNS, rows, [verdict(found, published)])


def verdict(found: Any, published: Published) -> str:
    """Whether every number of every trial is within the tolerance, and which one is farthest."""
    near = found["farthest"].abs() <= published.within
    counts = f"{int(near.sum())} of {len(found)} numbers have all their trials within {published.within:g}"
    head = f"{counts} of {published.source}"
    known = found[found["farthest"].notna()]
    if known.empty:
        return f"{head}."
    worst = known.loc[known["farthest"].abs().idxmax()]
    return f"{head}; the farthest trial is {worst['arm']}'s {worst['number']}, by {worst['farthest']:+.4f}."
