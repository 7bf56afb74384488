"""What the networks of a study compute, from the artifacts of its trials: distances of their labels, and averages."""

from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from study.grids.labels import apart
from study.printing import Sheet
from study.spec import Arm, Study
from trainables import artifacts
from trainables.oracle import Tensors
from trainables.refusal import Refusal
from trainables.run import Run
from trainables.seeds import seed_of

MOMENTS = 8  # records, evenly spread, at which distances are told


class Left(NamedTuple):
    """What one trial left behind."""

    arm: str
    seed: int  # of the trial
    arrays: Mapping[str, np.ndarray]


def distances(left: list[Left], study: str) -> pd.DataFrame:
    """One row a (pair of arms, record): how far apart their runs' labels are, and how far one arm's would be."""
    families = {arm: _labels(left, arm) for arm in dict.fromkeys(one.arm for one in left)}
    rows: list[dict[str, Any]] = []
    for first, second in combinations([arm for arm, labels in families.items() if len(labels) > 1], 2):
        records = min(families[first].shape[1], families[second].shape[1])
        for record in np.unique(np.linspace(0, records - 1, MOMENTS).round().astype(int)):
            ours, theirs = (families[arm][:, record] for arm in (first, second))
            generator = np.random.default_rng(seed_of("labels", study, first, second, int(record)))
            told = apart(ours, theirs, 1 + int(max(ours.max(), theirs.max())), generator)
            rows.append({"first": first, "second": second, "record": int(record) + 1, **told._asdict()})
    return pd.DataFrame(rows, columns=["first", "second", "record", "distance", "expected", "chance"])


def averages(left: list[Left], arm: Arm) -> pd.DataFrame:
    """Validation scores of one arm's runs: as they ended, averaged inside of each run, averaged across runs.

    BatchNorm's statistics are averaged anew for every network. Across runs means the final weights of two runs, each
    with the next, in the first one's network: what a task freezes at random is not averaged.
    """
    mine = [one for one in left if one.arm == arm.name]
    finals, means = ([artifacts.weights(one.arrays, prefix) for one in mine] for prefix in _PREFIXES)
    across = [_mean(pair) for pair in pairwise(finals)]
    rows: list[dict[str, Any]] = []
    for what, every in (("final", finals), ("mean inside a run", means), ("mean across runs", across)):
        for one, params in zip(mine, every, strict=False):
            run = Run(arm.trial({}, one.seed))
            rows.append({"arm": arm.name, "weights": what, "score": run.scored(params).score})
    return pd.DataFrame(rows, columns=["arm", "weights", "score"])


_PREFIXES = artifacts.FINAL, artifacts.MEAN


def read(study: Study, uri: str) -> list[Left]:
    """The artifacts of every finished trial of a recorded study, its arms in their order; refused without any."""
    from study import tracking

    found = [Left(*each) for each in tracking.left_behind(study.name, uri, artifacts.FILE)]
    if not found:
        raise Refusal(f"no trial of study {study.name!r} has left anything behind: give its arms artifacts: true")
    order = [arm.name for arm in study.arms]
    return sorted(found, key=lambda left: order.index(left.arm))


def sheets(distance: pd.DataFrame, average: pd.DataFrame) -> list[Sheet]:
    """Both as tables of words."""
    made: list[Sheet] = []
    moments = list(dict.fromkeys(distance["record"]))
    pairs: Any = distance.groupby(["first", "second"], sort=False)
    rows = [[f"{first}, {second}", *(_told(one) for one in of_pair.itertuples())] for (first, second), of_pair in pairs]
    title = "Distance of predicted labels, and what it would be of one family (* where chance is below 0.01)"
    made.append(Sheet(title, ["arms", *(f"record {moment}" for moment in moments)], rows, []))
    groups: Any = average.groupby(["arm", "weights"], sort=False)["score"]
    scores = [
        [arm, what, f"{mean:.4f}", f"{low:.4f} to {high:.4f}"] for (arm, what), mean, low, high in _spread(groups)
    ]
    made.append(Sheet("Averages of weights, on validation", ["arm", "weights", "mean", "range"], scores, []))
    return made


def fallen(drops: pd.DataFrame) -> Sheet:
    """What falls of the rate did to effective rates, the median of the seeds, beside theory."""
    groups: Any = drops.groupby(["arm", "tensor"], sort=False)
    columns = ["arm", "tensor", "at once", "theory", "in the end", "theory", "settled"]
    rows = [
        [arm, tensor, *(f"{value:.3f}" for value in _beside(rows)), "yes" if rows["settled"].all() else "no"]
        for (arm, tensor), rows in groups
    ]
    return Sheet("Effective rate after a fall of the rate, over the one before", columns, rows, [])


def _beside(rows: Any) -> list[float]:
    factor = float(rows["factor"].median())
    return [float(rows["at_once"].median()), 1 / factor, float(rows["in_the_end"].median()), factor**-0.5]


def _spread(groups: Any) -> Iterable[tuple[Any, float, float, float]]:
    for name, scores in groups:
        yield name, float(scores.mean()), float(scores.min()), float(scores.max())


def _told(one: Any) -> str:
    return f"{one.distance:.3f} ({one.expected:.3f}){'*' if one.chance < 0.01 else ''}"


def _labels(left: list[Left], arm: str) -> np.ndarray:
    """(runs, records, examples) those of the runs that were as long as the longest."""
    every = [one.arrays[artifacts.LABELS] for one in left if one.arm == arm]
    most = max(len(labels) for labels in every)
    return np.stack([labels for labels in every if len(labels) == most])


def _mean(pair: tuple[Tensors, Tensors]) -> Tensors:
    return {name: (pair[0][name] + pair[1][name]) / 2 for name in pair[0]}
