"""The importance of the hyper-parameters of the arms that search several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from study.answers.configurations import Configurations

FEWEST_TRIALS = 20  # of which the best five are a quarter


@dataclass(frozen=True)
class Importance:
    """The shares of an arm's searched hyper-parameters in what makes a trial one of the best."""

    scheme: str
    trials: int
    shares: dict[str, float]


def importances(told: Sequence[Configurations], mode: str) -> list[Importance]:
    """The importances on one task, of the arms that search several hyper-parameters.

    Args:
        told: their trials and what was drawn for them.
        mode: of the scores, max or min.

    Returns:
        One entry an arm of at least `FEWEST_TRIALS` trials whose best can be told from all.
    """
    found: list[Importance] = []
    for one in told:
        scores: Any = one.trials["score"]
        if len(scores) < FEWEST_TRIALS:
            continue
        from study.search.importance import importance  # with Optuna, which other pages need not wait for

        shares = importance(one.space, one.values, ((-1.0 if mode == "min" else 1.0) * scores).tolist())
        if shares is not None:
            found.append(Importance(one.scheme, len(scores), {key: shares[key] for key in one.space}))
    return found
