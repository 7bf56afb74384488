"""The ends of trials in other people's tables, in our words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from trainables.refusal import Refusal, unknown

STATUSES = {
    **dict.fromkeys(("finished", "complete", "completed", "ok", ""), "finished"),
    "diverged": "diverged",
    **dict.fromkeys(("failed", "fail", "crashed", "error", "errored"), "failed"),
    **dict.fromkeys(("stopped", "pruned", "killed"), "stopped"),
    **dict.fromkeys(("running", "waiting", "scheduled", "pending", "queued", "paused"), "running"),
}
"""The meaning of every status: a failed trial missed, at what it used; a stopped one was cut short by a rule."""


def in_our_words(values: pd.Series) -> pd.Series:
    """The column in our words: finished, diverged, failed, stopped or running.

    Args:
        values: as they were told, in any case; blank is finished.

    Raises:
        Refusal: with its row, for a word that means nothing here.
    """
    lower = values.fillna("").astype(str).str.strip().str.lower()
    codes, names = pd.factorize(lower)
    strange = [name for name in names if name not in STATUSES]
    if strange:
        row = values.index[int(np.flatnonzero((lower == strange[0]).to_numpy())[0])] + 1
        raise Refusal(f"row {row}, column 'status': {unknown('status', strange[0], filter(None, STATUSES))}")
    return pd.Series(np.array([STATUSES[name] for name in names], dtype=object)[codes], index=values.index)


def of_trainings(table: pd.DataFrame, keys: Sequence[str]) -> pd.Series:
    """The status, in our words, of the training that each row is of: what its last row that says one says.

    Args:
        table: one row a training, or one an epoch of each; with a column status.
        keys: the columns that tell trainings apart.

    Raises:
        Refusal: for a word that means nothing here, and for a training that was lost and comes to another end.
    """
    statuses = pd.Series(table["status"])
    told, blank = in_our_words(statuses), statuses.fillna("").astype(str).str.strip() == ""
    epochs: Any = pd.to_numeric(table["epoch"], errors="coerce") if "epoch" in table else pd.Series(0, table.index)
    order = epochs.argsort(kind="stable")
    said: Any = told.mask(blank).iloc[order]
    last: Any = said.groupby([table[key].iloc[order] for key in keys], dropna=False, sort=False).transform("last")
    last = last.reindex(table.index)
    against = told.isin(["diverged", "failed"]) & ~blank & (told != last)
    if against.any():
        at = int(np.flatnonzero(against.to_numpy())[0])
        row, was, now = table.index[at] + 1, told.iloc[at], last.iloc[at]
        raise Refusal(f"row {row}, column 'status': a trial that has {was} here ends as {now}: give it one end")
    return last.fillna("finished")
