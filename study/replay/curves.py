"""Recorded trials of one arm: the whole curve of each, and where its configuration lies."""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from study.plan.study import Arm
from study.records.ended import ended, is_lost
from study.records.own import RECORDED
from trainables.rates import lr_beside
from trainables.refusal import Refusal, unknown
from trainables.space import Choice, Derived, Domain, Integer, LogNormal, LogUniform, Uniform
from trainables.trial import Trial

Floats = NDArray[np.float64]
TRIAL = ["repetition", "k", "seed_number"]


class Curves(NamedTuple):
    """The recorded trials of one arm; scores are higher-is-better."""

    arm: Arm
    space: dict[str, Domain]  # that the trials are placed in
    places: Floats  # (num_trials, dimensions) in the unit cube of the arm's space
    scores: list[list[float]]  # (num_records,) each; the chance level last where it diverged
    costs: list[list[float]]  # (num_records,) each, cumulative
    lost: list[bool]  # those that diverged or failed: they count at chance, whatever they said before
    failed: list[bool]  # of them those that failed: no stopper is told of them
    strata: NDArray[np.intp]  # (num_trials,) trials of one number stand for each other: all of them, or a grid's cell

    def nearest(self, place: Floats, among: NDArray[np.intp], generator: np.random.Generator) -> int:
        """The recorded trial closest to a place in the unit cube; of equally close ones any, each as likely.

        Seeds of one configuration are equally close, and so are all trials of an arm that searches nothing.

        Args:
            place: (dimensions,) as `place` gives it.
            among: the numbers of the trials that may answer; one that stands there twice is twice as likely.
            generator: draws one of those that are equally close.

        Returns:
            The number of the trial.
        """
        distance = ((self.places[among] - place) ** 2).sum(axis=1)
        closest = among[distance == distance.min()]
        return int(closest[0] if len(closest) == 1 else generator.choice(closest))


def curves_of(record: pd.DataFrame, arm: Arm, unit: str, of: str | None = None) -> Curves:
    """The curves of an arm's recorded trials.

    Args:
        record: as `study.tracking.read` gives it.
        arm: whose space the trials are placed in.
        unit: of the costs.
        of: the recorded arm whose trials stand for this one's: those that have all its fixed values; None: its own.

    Raises:
        Refusal: for a unit that is none, where no trial has ended, and where one was stopped early.
    """
    if unit not in RECORDED:
        raise unknown("unit", unit, RECORDED)
    every: Any = ended(record)
    rows = every[every["arm"] == (arm.name if of is None else of)].sort_values([*TRIAL, "record"])
    if rows.empty:
        raise Refusal(f"the record holds no trial of arm {(of or arm.name)!r} that has ended")
    rows = _alike(rows, arm, of or arm.name)
    if (rows["status"] == "stopped").any():
        k = rows.loc[rows["status"] == "stopped", "k"].iloc[0]
        raise Refusal(f"arm {arm.name!r}: trial {k} was stopped early; only whole curves can be replayed")
    sign, chance = (1 if arm.task.mode == "max" else -1), arm.task.chance
    trials = [trial for _, trial in rows.groupby(TRIAL, sort=False)]
    lost = [bool(is_lost(trial).iloc[0]) for trial in trials]
    told = [(sign * trial["valid_score"]).tolist() for trial in trials]
    diverged, failed = ([(trial["status"] == status).iloc[0] for trial in trials] for status in ("diverged", "failed"))
    scores = [[*one[:-1], sign * chance] if bad else one for one, bad in zip(told, diverged, strict=True)]
    places = np.array([place(arm.space, arm.fixed | trial.iloc[0].to_dict()) for trial in trials])
    by_design = "searcher" in rows and (rows["searcher"] == "grid").all()  # its cells were chosen, only seeds drawn
    strata = np.unique(places, axis=0, return_inverse=True)[1] if by_design else np.zeros(len(trials), np.intp)
    costs = [trial[RECORDED[unit]].tolist() for trial in trials]
    return Curves(arm, arm.space, places, scores, costs, lost, failed, strata.reshape(-1))


def _alike(rows: Any, arm: Arm, of: str) -> Any:
    """The rows of trials that the arm could have drawn; refused where there are none.

    Of its own trials what it fixes is compared; of another arm's its defaults too.
    """
    if missing := [key for key in arm.space if key not in rows]:
        raise Refusal(f"the record does not have the {missing[0]} that arm {arm.name!r} searches")
    fixed = arm.fixed if of == arm.name else Trial.parse(arm.fixed).flat()
    for key, value in fixed.items():
        compared = key in rows and key not in {*arm.space, "seed"} and value != "auto"  # what it became is recorded
        kept = rows[_same(rows[key], value)] if compared else rows
        if kept.empty:
            raise Refusal(f"no recorded trial of arm {of!r} has the {key}={value} of arm {arm.name!r}")
        rows = kept
    return rows


def _same(column: Any, value: Any) -> Any:
    """Mark the rows of a column that hold a value, as records do: lists as JSON, none as nothing."""
    if value is None:
        return column.isna()
    told = json.dumps(list(value)) if isinstance(value, (tuple, list)) else value
    return (column == told) | (column.astype(str) == str(told))  # of a CSV with words in it, numbers are texts


def place(space: Mapping[str, Domain], flat: Mapping[str, Any]) -> Floats:
    """(dimensions,) where a configuration lies in the unit cube; options of a choice are all equally far apart.

    Args:
        space: the domain of every searched key.
        flat: the values of the configuration by dotted key, and the learning rate where a domain is over it.

    >>> place({"lr": LogUniform(1e-4, 1.0), "act": Choice(("relu", "tanh"))}, {"lr": 1e-2, "act": "tanh"}).round(3)
    array([0.5  , 0.   , 0.707])
    """
    coordinates: list[float] = []
    for key, given in space.items():
        derived = isinstance(given, Derived)
        value = given.sampled(flat[key], lr_beside(key, given, flat)) if derived else flat[key]
        domain = given.inner if derived else given
        if isinstance(domain, Choice):
            value = None if value != value else value  # null is an option, and no number of a table
            texts = isinstance(value, str)  # of a CSV with words in it, numbers too
            coordinates += [
                math.sqrt(0.5) * (value == (option if option is None or not texts else str(option)))
                for option in domain.options
            ]
        else:
            coordinates.append(_share(domain, float(value)))
    return np.array(coordinates)


def _share(domain: Uniform | LogUniform | LogNormal | Integer, value: float) -> float:
    if isinstance(domain, LogNormal):  # four standard deviations wide: a distance is one of logarithms, not of shares
        return math.log10(value / domain.median) / (4 * domain.decades) + 0.5
    if isinstance(domain, LogUniform):
        return math.log(value / domain.low) / math.log(domain.high / domain.low)
    return (value - domain.low) / (domain.high - domain.low)
