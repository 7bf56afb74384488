"""The importance of the hyper-parameters of the arms that search several."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from study.records.material import Material, plain
from trainables.rates import lr_beside
from trainables.space import Choice, Derived, Domain, Value, domain_of

FEWEST_TRIALS = 20  # of which the best five are a quarter


@dataclass(frozen=True)
class Importance:
    """The shares of an arm's searched hyper-parameters in what makes a trial one of the best."""

    scheme: str
    trials: int
    shares: dict[str, float]


def importances(here: pd.DataFrame, rows: pd.DataFrame, mode: str, material: Material) -> list[Importance]:
    """The importances on one task, of the arms that search several hyper-parameters.

    Args:
        here: the record of the task.
        rows: its trials that ended, one row each (`study.answers.trials`).
        mode: of the scores, max or min.
        material: says what the arms search.

    Returns:
        One entry an arm of at least `FEWEST_TRIALS` trials.
    """
    found: list[Importance] = []
    for arm, mine in rows.groupby("arm", sort=False):
        told = material.contents.get(str(arm), {})
        space = {key: domain_of(value) for key, value in told.items() if isinstance(value, dict)}
        scored: Any = mine[mine["score"].notna()]
        if len(space) < 2 or len(scored) < FEWEST_TRIALS or not scored["score"].nunique() > 1:
            continue
        recorded: Any = here[here["arm"] == arm]
        first = recorded.drop_duplicates(["repetition", "k"]).set_index(["repetition", "k"])
        keys = zip(scored["repetition"], scored["trial"], strict=True)
        values = [_drawn(space, told | first.loc[key].dropna().to_dict()) for key in keys]
        from study.search.importance import importance  # with Optuna, which other pages need not wait for

        sign = -1.0 if mode == "min" else 1.0
        shares = importance(space, values, (sign * scored["score"]).tolist())
        found.append(Importance(str(mine["scheme"].iloc[0]), len(scored), {key: shares[key] for key in space}))
    return found


def _drawn(space: dict[str, Domain], flat: dict[str, Any]) -> dict[str, Value]:
    """The values of a trial as its searcher drew them, from those of its fields."""
    return {key: _value(key, domain, flat) for key, domain in space.items()}


def _value(key: str, domain: Domain, flat: dict[str, Any]) -> Value:
    if isinstance(domain, Derived):
        return _value(key, domain.inner, {key: domain.sampled(flat[key], lr_beside(key, domain, flat))})
    value = plain(flat[key])
    return next(option for option in domain.options if option == value) if isinstance(domain, Choice) else value
