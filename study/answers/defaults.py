"""The worth of a scheme's default configuration, untuned: found among the trials by its hyper-parameters."""

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from study import cost
from study.cost import NotDefined
from study.plan.plain_yaml import read_plain
from study.records.material import plain
from trainables.components import slots
from trainables.plugins import is_outside
from trainables.refusal import Refusal
from trainables.trial import Trial

NOT_RUN = NotDefined("the default configuration was not run: give it an arm, with scheme.lr: default")


def regret(
    first: Any, rows: Any, arm: str, searched: Collection[str] | None, tuned: float | None, sign: float
) -> float | NotDefined:
    """The score that an arm's default loses against the tuned baseline.

    The default is the arm's configuration with everything that it searches left at its default; any arm may have run
    it.

    Args:
        first: of one task, the first row of every training.
        rows: its trials (`study.answers.trials`).
        arm: the arm whose default is meant.
        searched: what the arm searches; None where nobody knows, and it is what differs between its trials.
        tuned: the baseline's expected best, in the table's own sense; None where there is none.
        sign: 1 where higher scores are better, −1 where lower ones are.

    Returns:
        The loss, below 0 where the default is the better, or why it is not defined.
    """
    if tuned is None:
        return NotDefined("the baseline has no expected best")
    mine = (first["arm"] == arm).to_numpy()
    if searched is None and len(first.loc[mine, ["repetition", "k"]].drop_duplicates()) < 2:
        return NotDefined("one configuration does not tell what the arm searches")
    told = _flat(first.iloc[int(mine.argmax())])
    if is_outside(told.get("task")):  # whose defaults nobody reads; all rows have this task
        told = {key: value for key, value in told.items() if key.split(".")[0] != "task"}
        if any(first[key].nunique(dropna=False) > 1 for key in first if str(key).startswith("task.")):
            return NotDefined("trials differ in their task, and the defaults of other people's tasks are not recorded")
    try:
        known = slots(Trial, told)
    except Refusal:
        return NotDefined("its defaults are those of other people's code, or of another version")
    params = [key for key in known if key in first and key != "seed" and (key != "task" or key in told)]
    moved = {key for key in params if first.loc[mine, key].nunique(dropna=False) > 1} if searched is None else searched
    default = {key: told[key] if key in told and key not in moved else known[key].default for key in params}
    same = np.arange(len(first))
    for key in sorted(params, key=lambda key: key not in moved):  # what is searched tells most of them apart
        same = same[_equal(first[key].iloc[same], default.get(key))]
        if not same.size:
            return NOT_RUN
    keys = ["arm", "repetition", "k"]
    named = rows.rename(columns={"trial": "k"})
    scores = named.merge(first[keys].iloc[same].drop_duplicates(), on=keys)["score"].dropna().to_numpy(float)
    if scores.size == 0:
        return NOT_RUN
    return cost.default_regret(sign * scores, sign * tuned)


def _flat(row: Any) -> dict[str, Any]:
    """What a trial's row says of its hyper-parameters."""
    return {key: plain(value) for key, value in row.items() if value == value}


def _equal(column: Any, other: Any) -> NDArray[np.bool_]:
    """Mark the rows of a column with that value; each of its values is compared once."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    return np.array([_same(value, other) for value in values], bool)[codes]


def _same(value: Any, other: Any) -> bool:
    if value is None or value != value:
        return other is None
    as_text = isinstance(value, str) and not isinstance(other, str)  # in CSV, where its column holds words too
    return (read_plain(value) if as_text else plain(value)) == other
