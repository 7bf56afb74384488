"""Networks as functions, from the artifacts of a study's trials: distances of their labels, and averages."""

from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from study.answers.grids.labels import apart
from study.plan.study import Arm, Study
from trainables.oracle import Tensors
from trainables.refusal import Refusal
from trainables.run import artifacts
from trainables.run.loop import Run
from trainables.seeds import seed_of
from trainables.trial import Trial

MOMENTS = 8  # records, evenly spread, at which distances are told


class TrialArtifacts(NamedTuple):
    """The artifacts of one trial."""

    arm: str
    values: Mapping[str, Any]  # of the trial, by dotted key, its seed with them
    arrays: Mapping[str, np.ndarray]


def distances(every: list[TrialArtifacts], study: str) -> pd.DataFrame:
    """One row a (pair of arms, record): how far apart their runs' labels are, and how far one arm's would be.

    Args:
        every: the artifacts of all arms; an arm with a single run is left out.
        study: the study's name, part of the seed of the permutations.

    Returns:
        Columns first, second (arms), record (from 1), distance, expected, chance.
    """
    families = {arm: _labels(every, arm) for arm in dict.fromkeys(one.arm for one in every)}
    rows: list[dict[str, Any]] = []
    for first, second in combinations([arm for arm, labels in families.items() if len(labels) > 1], 2):
        records = min(families[first].shape[1], families[second].shape[1])
        for record in np.unique(np.linspace(0, records - 1, MOMENTS).round().astype(int)):
            ours, theirs = (families[arm][:, record] for arm in (first, second))
            generator = np.random.default_rng(seed_of("labels", study, first, second, int(record)))
            told = apart(ours, theirs, 1 + int(max(ours.max(), theirs.max())), generator)
            rows.append({"first": first, "second": second, "record": int(record) + 1, **told._asdict()})
    return pd.DataFrame(rows, columns=["first", "second", "record", "distance", "expected", "chance"])


def averages(every: list[TrialArtifacts], arm: Arm) -> pd.DataFrame:
    """Validation scores of one arm's runs: as they ended, averaged inside of each run, averaged across runs.

    BatchNorm's statistics are averaged anew for every network. Across runs means the final weights of two runs, each
    with the next, in the first one's network: what a task freezes at random is not averaged.

    Args:
        every: the artifacts of all arms.
        arm: the one whose networks are built and scored.

    Returns:
        Columns arm, weights (which of the three), score.

    Raises:
        Refusal: the networks of two runs are not alike.
    """
    mine = [one for one in every if one.arm == arm.name]
    finals, means = ([artifacts.weights(one.arrays, prefix) for one in mine] for prefix in _PREFIXES)
    across = [_mean(pair) for pair in pairwise(finals)]
    rows: list[dict[str, Any]] = []
    for what, networks in (("final", finals), ("mean inside a run", means), ("mean across runs", across)):
        for one, params in zip(mine, networks, strict=False):
            run = Run(_trial(arm, one.values))
            rows.append({"arm": arm.name, "weights": what, "score": run.scored(params).score})
    return pd.DataFrame(rows, columns=["arm", "weights", "score"])


_PREFIXES = artifacts.FINAL, artifacts.MEAN


def artifacts_of(study: Study, uri: str) -> list[TrialArtifacts]:
    """The artifacts of every finished trial of a recorded study, its arms in their order.

    Args:
        study: the study; its arms give the order.
        uri: of the MLflow store.

    Raises:
        Refusal: where no trial has kept any.
    """
    from study import tracking

    found = [TrialArtifacts(*each) for each in tracking.read_artifacts(study.name, uri, artifacts.FILE)]
    if not found:
        raise Refusal(f"no trial of study {study.name!r} has left anything behind: give its arms artifacts: true")
    order = [arm.name for arm in study.arms]  # those that the study file has no more come last
    return sorted(found, key=lambda one: order.index(one.arm) if one.arm in order else len(order))


def _trial(arm: Arm, values: Mapping[str, Any]) -> Trial:
    """The trial that was recorded, of the classes that the arm names."""
    own = {key: values[key] for key in (*arm.space, "seed")}
    return Trial.parse({**arm.fixed, **dict(arm.settled), **own})


def _labels(every: list[TrialArtifacts], arm: str) -> np.ndarray:
    """(runs, records, examples) those of the runs that were as long as the longest."""
    mine = [one.arrays[artifacts.LABELS] for one in every if one.arm == arm]
    most = max(len(labels) for labels in mine)
    return np.stack([labels for labels in mine if len(labels) == most])


def _mean(pair: tuple[Tensors, Tensors]) -> Tensors:
    shapes = [{name: tuple(tensor.shape) for name, tensor in params.items()} for params in pair]
    if shapes[0] != shapes[1]:
        raise Refusal("the networks of an arm have several shapes, of which there is no mean: fix what shapes them")
    return {name: (pair[0][name] + pair[1][name]) / 2 for name in pair[0]}
