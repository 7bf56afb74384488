"""The values that searchers drew for the trials of the arms that search several hyper-parameters."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from study.plan.plain_yaml import read_plain
from study.records.material import Material, plain
from trainables.rates import lr_beside
from trainables.space import Choice, Derived, Domain, Value, domain_of


@dataclass(frozen=True)
class Configurations:
    """The trials of one arm, and the value of each hyper-parameter as its searcher drew it."""

    scheme: str
    space: dict[str, Domain]
    trials: pd.DataFrame  # those of `rows` that have a score, in their order
    values: list[dict[str, Value]]  # one a trial


def configurations(here: pd.DataFrame, rows: pd.DataFrame, material: Material) -> list[Configurations]:
    """The configurations of one task's trials, of every arm that searches several hyper-parameters.

    Args:
        here: the record of the task.
        rows: its trials that ended, one row each (`study.answers.trials`).
        material: says what the arms search.
    """
    found: list[Configurations] = []
    for arm, mine in rows.groupby("arm", sort=False):
        told = material.contents.get(str(arm)) or material.searched.get(str(arm), {})
        space = {key: domain_of(value) for key, value in told.items() if isinstance(value, dict)}
        scored: Any = mine[mine["score"].notna()]
        if len(space) < 2 or scored.empty:
            continue
        recorded: Any = here[here["arm"] == arm]
        first = recorded.drop_duplicates(["repetition", "k"]).set_index(["repetition", "k"])
        keys = zip(scored["repetition"], scored["trial"], strict=True)
        fixed = {key: value for key, value in told.items() if key not in space}
        values = [_drawn(space, fixed | first.loc[key].dropna().to_dict()) for key in keys]
        found.append(Configurations(str(mine["scheme"].iloc[0]), space, scored, values))
    return found


def _drawn(space: dict[str, Domain], flat: dict[str, Any]) -> dict[str, Value]:
    """The values of a trial as its searcher drew them, from those of its fields."""
    return {key: _value(key, domain, flat) for key, domain in space.items()}


def _value(key: str, domain: Domain, flat: dict[str, Any]) -> Value:
    if isinstance(domain, Derived):
        return _value(key, domain.inner, {key: domain.sampled(flat[key], lr_beside(key, domain, flat))})
    value = plain(flat.get(key))  # null is one of the options, and no number of a table
    text = isinstance(value, str)  # in CSV a number is one where its column holds words too
    if isinstance(domain, Choice):
        return next(option for option in domain.options if option == value or (text and str(option) == value))
    return read_plain(value) if text else value
