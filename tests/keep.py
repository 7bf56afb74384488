"""A record as it is kept in study/results/: a Parquet file, without columns that say nothing.

uv run python tests/keep.py RECORD.csv study/results/MINE.parquet [ARM …]

takes what `lr-study report STUDY --epochs --format csv` wrote, of all arms or of those that fit a pattern.
"""

import sys
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pandas as pd

from study.records.ended import OPEN
from study.records.material import NEEDED, of_file
from study.records.saved import with_study
from trainables.trial import Trial

READ = (*NEEDED, "study", "planned", "seed", "mode", "metric", "chance", "target", *Trial.__dataclass_fields__)
"""Columns that are kept whatever they say; and those of a task, which say how its scores are read."""


def kept(record: pd.DataFrame, contents: Mapping[str, Mapping[str, Any]] | None = None) -> pd.DataFrame:
    """The record without columns that are empty, and without settings of parts that are the same in every trial.

    Args:
        record: a row a record of a trial.
        contents: by arm, what it fixes and searches: that stays.
    """
    told = set(record.columns[record.nunique(dropna=False) > 1]) | set(READ)
    told |= {key for arm in set(record["arm"]) for key in (contents or {}).get(arm, ())}
    names = [name for name in record if name in told or str(name).startswith("task.")]
    return record[names].dropna(axis=1, how="all")


def main(source: str, target: str, *arms: str) -> None:
    """Save the record of one file in another; refused while trials run.

    Args:
        source: the record.
        target: the Parquet file.
        arms: patterns of those that are kept; none: all are.
    """
    told = of_file(Path(source))
    record = told.record[[any(fnmatch(arm, each) for each in arms or ["*"]) for arm in told.record["arm"]]]
    if record.empty:
        raise SystemExit(f"{source} holds no arm that fits {', '.join(arms) or '*'}")
    left = dict.fromkeys(record.loc[record["status"] == OPEN, "arm"])
    if left:
        raise SystemExit(f"{source} is not whole: trials of {', '.join(left)} run; `lr-study run` ends them")
    whole = with_study(kept(record, told.contents), told.text, told.contents, told.prices)
    whole.to_parquet(target, index=False, compression="zstd")


if __name__ == "__main__":
    main(*sys.argv[1:])
