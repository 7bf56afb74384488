"""Trials that have ended, those that were lost, and the best of them."""

from typing import Any

import pandas as pd

OPEN = "running"
LOST = ("diverged", "failed")
"""The ends of trials that are worth no more than chance, whatever they said before."""


def ended(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of trials that have ended, however they did."""
    kept: Any = rows[rows["status"] != OPEN] if len(rows) and "status" in rows else rows
    return kept


def is_lost(rows: pd.DataFrame) -> pd.Series:
    """Mark the rows of trials that count at chance."""
    if "status" in rows:
        return pd.Series(rows["status"]).isin(list(LOST))
    return pd.Series(data=False, index=rows.index)


def has_scores(rows: pd.DataFrame) -> bool:
    """Tell a record with scores from one without: true too where every trial was lost."""
    sound = _sound(rows)
    return sound.empty or bool(sound["score"].notna().any())


def best_of(rows: pd.DataFrame, mode: str) -> pd.DataFrame:
    """The best trial of every scheme among those that neither diverged nor failed nor are still open.

    Where nothing was validated nothing may be selected: the first trial that ended stands for all.

    Args:
        rows: one a trial, as `trials` gives them, of one task.
        mode: max or min, the sense of their scores.

    Returns:
        One of these rows a scheme; none for a scheme of which every trial was lost.
    """
    if not has_scores(rows):
        return ended(rows).drop_duplicates("scheme")
    best: Any = ranked(rows, mode).drop_duplicates("scheme")
    met = pd.Index(_sound(rows)["scheme"].unique())
    return best.iloc[met.get_indexer(best["scheme"]).argsort()]


def ranked(rows: pd.DataFrame, mode: str) -> pd.DataFrame:
    """The trials that ended with a score of their own, the best first.

    Of equals the one whose score was told as the better one, for none counts for less than chance; then the one that
    came first.

    Args:
        rows: one a trial, as `trials` gives them, of one task.
        mode: max or min, the sense of their scores.
    """
    sound = _sound(rows)
    return sound[sound["score"].notna()].sort_values(["score", "told"], ascending=mode == "min", kind="stable")


def _sound(rows: pd.DataFrame) -> Any:
    """The rows of trials that ended with a worth of their own."""
    over: Any = ended(rows)
    return over[~is_lost(over)]
