"""The importance of searched hyper-parameters, by Optuna."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from study.search.samplers import optuna_distribution, quantiles, to_quantiles
from trainables.space import Domain, Value

BEST = 0.1  # the share of trials that count as good
FEWEST_BEST = 5  # of them, as Optuna's documentation asks for


def importance(
    space: Mapping[str, Domain], values: Sequence[Mapping[str, Value]], scores: Sequence[float]
) -> dict[str, float] | None:
    """The share of each hyper-parameter in what makes a trial one of the best: PED-ANOVA, interactions left out.

    Watanabe, Bansal & Hutter 2023 (arXiv 2304.10255): how far the density of the best tenth of the trials (five of them
    at least) is from that of all, by Pearson's divergence, along each axis.

    Args:
        space: the domain of every searched key.
        values: of every trial, by key, as its searcher drew them.
        scores: (n,) of the trials, higher is better.

    Returns:
        One share a key; they sum to 1. None where the best tenth cannot be told from all: its worst is nobody's better.

    Raises:
        ValueError: for fewer trials than are to be the best.
    """
    if len(scores) < FEWEST_BEST:
        raise ValueError(f"importance needs {FEWEST_BEST} trials, got {len(scores)}")
    share = max(BEST, FEWEST_BEST / len(scores))
    if sorted(scores)[-math.ceil(share * len(scores))] == min(scores):
        return None
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.WARNING)  # else it tells of the study that it makes below
    axes = {key: optuna_distribution(domain) for key, domain in quantiles(space).items()}
    study = optuna.create_study(direction="maximize")
    for drawn, score in zip(values, scores, strict=True):
        inside = to_quantiles(space, drawn)
        params = {key: _within(axis, inside[key]) for key, axis in axes.items()}
        study.add_trial(optuna.create_trial(params=params, distributions=axes, value=float(score)))
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator(target_quantile=share))


def _within(distribution: Any, value: Value) -> Any:
    """The value, put back where rounding has moved it out of its distribution; an option stays."""
    return min(max(value, distribution.low), distribution.high) if hasattr(distribution, "low") else value
