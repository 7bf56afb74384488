"""Other people's published numbers beside ours: what a study file says they reported, and what was measured here."""

from typing import Any

import pandas as pd

from study.plan.file import Published
from study.records.ended import is_lost

COLUMNS = ["arm", "number", "theirs", "ours", "difference", "farthest", "trials"]


def beside(record: pd.DataFrame, published: Published) -> pd.DataFrame:
    """One row an arm and number: theirs, our mean over the trials that ended, and the farthest trial's difference.

    Args:
        record: as `study.tracking.read` gives it.
        published: the numbers that the study file names.

    Returns:
        Columns `COLUMNS`. Differences are ours − theirs; NaN where a trial diverged or failed, or none ended.
    """
    if record.empty:
        return pd.DataFrame(columns=COLUMNS)
    ended: Any = record[record["status"] != "running"]
    last: Any = ended.groupby("run_id", sort=False).tail(1)
    rows: list[dict[str, Any]] = []
    for arm, numbers in published.finals.items():
        here = last[last["arm"] == arm]
        for number, theirs in numbers.items():
            ours: Any = here[number].where(~is_lost(here)) if number in here else pd.Series(dtype=float)
            apart = ours - theirs
            farthest = apart.loc[apart.abs().idxmax()] if apart.notna().all() and len(apart) else float("nan")
            row = [arm, number, theirs, ours.mean(skipna=False), ours.mean(skipna=False) - theirs, farthest, len(here)]
            rows.append(dict(zip(COLUMNS, row, strict=True)))
    return pd.DataFrame(rows, columns=COLUMNS)


def verdict(found: Any, published: Published) -> str:
    """Say how many numbers lie within the tolerance with all their trials, and which trial is farthest.

    Args:
        found: as `beside` gives it, not empty.
        published: the numbers, their source and the tolerance.

    Returns:
        One sentence.
    """
    near = found["farthest"].abs() <= published.within
    counts = f"{int(near.sum())} of {len(found)} numbers have all their trials within {published.within:g}"
    head = f"{counts} of {published.source}"
    known = found[found["farthest"].notna()]
    if known.empty:
        return f"{head}."
    worst = known.loc[known["farthest"].abs().idxmax()]
    return f"{head}; the farthest trial is {worst['arm']}'s {worst['number']}, by {worst['farthest']:+.4f}."
