"""From trials to arms: score, cost, hit and learning rate of every trial, one arm a (task, scheme)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from study.cost import NotDefined
from study.records.curves import COSTS
from study.records.drawn import FIELD, HIGH, LOW, VALUE, Drawn
from study.records.ended import ended, is_lost
from study.records.question import Question
from study.search.samplers import GIVEN_FIRST
from trainables.refusal import Refusal

Floats = NDArray[np.float64]

INDEPENDENT = {"random", "grid", "qmc", "sobol", "halton", "brute_force"}
"""Searchers whose next trial does not depend on the results so far."""
SPACED = {"qmc", "sobol", "halton"}
"""Those of them whose points keep their distance from each other."""
TRIALS = "trials"  # the unit in which every trial costs one
ROUNDING = 1e-9  # by which a rate may lie outside of its ends
UNTOLD = NotDefined("nobody says from where to where its rates were drawn (--rates)")


class Costs(NamedTuple):
    """The costs of n trials in one unit."""

    full: Floats  # (n,) of the whole trial
    charged: Floats  # (n,) to the target of a hit, the whole of a miss
    dearest: float | None  # the most that a trial can cost; None where nobody knows


@dataclass(frozen=True)
class Trials:
    """The n trials of one (task, scheme), search by search, in order; scores are higher-is-better."""

    task: str
    scheme: str
    score: Floats  # (n,) higher is better; chance where it diverged or was worse, NaN where that level is not known
    full: Floats  # (n,) cost of the whole trial
    charged: Floats  # (n,) cost to the target of a hit, the whole of a miss
    hit: NDArray[np.bool_]  # (n,)
    search: NDArray[np.intp]  # (n,) which repetition
    searches: int
    depends: str  # why the formulas of independent trials do not hold; empty where they do
    spaced: NotDefined | None = None  # why no interval of a best of k holds, though they do
    lr: Floats | None = None  # (n,) as they were given
    found: Floats | None = None  # (n,) where its rule finds its rate
    dearest: float | None = None  # the most that a trial can cost; None where nobody knows
    test: Floats | None = None  # (n,) higher is better
    drawn: Drawn | NotDefined = UNTOLD  # the field that whoever knows more would search less of
    value: Floats | None = None  # (n,) of that field
    key: NDArray[np.str_] = field(default_factory=lambda: np.array([], str))  # (n,) repetition and trial
    same_points: bool = False  # whether trials of one key are one configuration on all tasks that say so
    notes: list[str] = field(default_factory=list)
    beside: Mapping[str, Costs] = field(default_factory=dict)  # what they cost in every unit that their record tells

    @property
    def costs(self) -> Costs:
        """Its costs in the unit of the table."""
        return Costs(self.full, self.charged, self.dearest)

    def in_unit(self, unit: str) -> "Trials":
        """The same trials with their costs in another unit; as they are where the record does not tell that."""
        return replace(self, **self.beside[unit]._asdict()) if unit in self.beside else self


def arms(rows: pd.DataFrame, question: Question) -> list[Trials]:
    """The arms of a table's trials, in order of first appearance; trials that are still open are left out.

    Args:
        rows: one a trial, as `study.records.trials.trials` gives them.
        question: the sense of scores, target and chance level.

    Returns:
        One entry a (task, scheme).

    Raises:
        Refusal: where the cost of a trial is above what is given as the dearest.
    """
    return [_arm(part, question) for _, part in ended(rows).groupby(["task", "scheme"], sort=False)]


def _arm(part: Any, question: Question) -> Trials:
    search = part["repetition"].to_numpy() if "repetition" in part else np.zeros(len(part), int)
    optional = {name: part[name].to_numpy() for name in ("lr", "found", "test_score", VALUE) if name in part}
    found, test = optional.get("found"), optional.get("test_score")
    depends = _dependence(part, question)
    score = part["score"].fillna(pd.Series(question.levels("chance", part["task"]), index=part.index))
    return Trials(
        task=str(part["task"].iloc[0]),
        scheme=str(part["scheme"].iloc[0]),
        score=question.sign() * score.to_numpy(),
        full=part["full"].to_numpy(),
        charged=part["charged"].to_numpy(),
        hit=part["hit"].to_numpy(),
        search=np.unique(search, return_inverse=True)[1],
        searches=np.unique(search).size,
        depends=depends,
        spaced=_spacing(part),
        lr=optional.get("lr"),
        found=None if found is None or np.isnan(found).all() else found,
        drawn=_drawn(part, depends),
        value=optional.get(VALUE),
        dearest=_dearest(part, question),
        test=None if test is None or np.isnan(test).any() else question.sign() * test,
        key=np.array([f"{repetition}\0{trial}" for repetition, trial in zip(search, part["trial"], strict=True)], str),
        same_points="same_points" in part and bool(part["same_points"].all()),
        notes=_unscored(part, score, test),
        beside={TRIALS: _each_one(len(part))}
        | {unit: _in_unit(part, unit) for unit in COSTS if unit in part and np.isfinite(part[unit]).all()},
    )


def _unscored(part: Any, score: Any, test: Floats | None) -> list[str]:
    """Say of the trials without a score, on validation or test data, what becomes of them."""
    notes = list[str]()
    if test is not None and np.isnan(test).any() and not np.isnan(test).all():
        notes.append("expected_test is not defined, because a trial has no test score")
    silent = int((part["score"].isna() & ~is_lost(part) | (part.get("untold", 0) > 0)).sum())
    if score.isna().any():
        notes.append("a trial has no score and no chance level stands for it: give --chance")
    elif silent:
        why = "trials whose last row has no score, and that count at chance"
        notes.append(f"{why}: {silent}; leave out rows that nobody scored")
    return notes


def _each_one(n: int) -> Costs:
    return Costs(np.ones(n), np.ones(n), 1.0)


def _in_unit(part: Any, unit: str) -> Costs:
    full, charged = (part[name].to_numpy() for name in (unit, f"charged_{unit}"))
    planned = part[f"dearest_{unit}"]
    return Costs(full, charged, max(float(full.max()), float(planned.max())) if planned.notna().any() else None)


def _dearest(part: Any, question: Question) -> float | None:
    """The most that a trial can cost: as given, else as planned; every trial costs one where nobody tells costs."""
    most, seen = question.of("dearest", str(part["task"].iloc[0])), float(part["full"].max())
    if most is None and "dearest" in part and part["dearest"].notna().any():
        most = max(seen, float(part["dearest"].max()))
    if most is None and "cost" not in part and "epoch" not in part:
        most = 1.0
    if most is not None and most < seen:
        raise Refusal(f"--dearest {most:g}, and a trial of {part['scheme'].iloc[0]} cost {seen:g}: give at least that")
    return most


def _spacing(part: pd.DataFrame) -> NotDefined | None:
    """Say of points that keep their distance that their best of k varies less than that of independent draws."""
    names = sorted(_searchers(part) & SPACED)
    if not names:
        return None
    return NotDefined(f"the points of {names[0]} do not depend on results, but on each other: they keep their distance")


def _drawn(part: Any, depends: str) -> Drawn | NotDefined:
    """The field that was drawn log-uniformly by chance alone, or why there is none such."""
    if FIELD not in part or part[FIELD].isna().any():
        return UNTOLD
    found = Drawn(*(part[name].iloc[0] for name in (FIELD, LOW, HIGH)))
    if not found.field:
        return found
    searchers = _searchers(part) - {"random"}
    value = part[VALUE]
    whys = {
        depends: bool(depends),
        f"the searcher {min(searchers, default='')} does not draw at random": bool(searchers),
        f"{found.field} was not drawn log-uniformly": found.low != found.low,
        f"a trial has no {found.field}": value.isna().any(),
        f"a trial's {found.field} is not within {found.low:g} … {found.high:g}, where it is said to have been drawn": (
            (value < found.low * (1 - ROUNDING)) | (value > found.high * (1 + ROUNDING))
        ).any(),
    }
    return next((NotDefined(why) for why, true in whys.items() if true), found)


def _dependence(part: pd.DataFrame, question: Question) -> str:
    """Why these trials depend on each other, in words; empty where they do not."""
    if "status" in part and "stopped" in set(part["status"]):
        return "trials were stopped early, by comparison with others"
    if question.learns is not None:
        return "the searcher learns from earlier trials" if question.learns else ""
    names = sorted(_searchers(part) - INDEPENDENT)
    if any(name.endswith(GIVEN_FIRST) for name in names):
        return "the first configurations of a search were given, not drawn"
    return f"the searcher {names[0]} learns from earlier trials" if names else ""


def _searchers(part: Any) -> set[str]:
    """The searchers that suggested the trials, as far as the record says it."""
    names = {str(name).strip().lower() for name in part["searcher"].dropna().unique()} if "searcher" in part else set()
    return names - {""}
