"""The levels by which trials are judged: target, chance, and the sense of scores."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """Levels that trials are judged by, in the table's sense. target, chance, dearest: one, or by task ('' = rest)."""

    mode: Literal["max", "min"] = "max"
    target: float | dict[str, float] | None = None
    chance: float | dict[str, float] | None = None
    score_at: Literal["last", "best"] = "last"
    learns: bool | None = None
    dearest: float | dict[str, float] | None = None  # the most that a trial can cost

    def sign(self) -> float:
        """The factor of scores that makes higher better."""
        return 1.0 if self.mode == "max" else -1.0

    def of(self, name: Literal["target", "chance", "dearest"], task: str) -> float | None:
        """The target or chance level of a task in the table's own sense, or the most that a trial of it can cost.

        Args:
            name: which of the three.
            task: whose.

        Returns:
            The number; None where nobody gave one.
        """
        value = getattr(self, name)
        return value.get(task, value.get("")) if isinstance(value, dict) else value

    def levels(self, name: Literal["target", "chance"], tasks: pd.Series) -> Floats:
        """The target or chance level of every row's task.

        Args:
            name: which of the two.
            tasks: (rows,) names of tasks.

        Returns:
            (rows,) in the table's own sense; NaN where there is none.
        """
        names = tasks.astype(str)
        return names.map({task: self.of(name, task) for task in names.unique()}).to_numpy(float)

    def floored(self, scores: Floats, chance: Floats) -> Floats:
        """The scores, none of them worth less than chance; those that nobody told stay so.

        Args:
            scores: (n,) in the table's own sense.
            chance: (n,) likewise; where it is not known, the score stands.
        """
        worth = self.sign() * np.fmax(self.sign() * scores, self.sign() * chance)
        return np.where(np.isnan(scores), scores, worth)


def reaches(score: Floats, target: Floats) -> NDArray[np.bool_]:
    """Mark scores that reach their target; one that equals it in single precision does.

    Args:
        score: (n,) higher is better.
        target: (n,) likewise; NaN where there is none.

    Returns:
        (n,) true where the score is finite and reaches it.

    >>> reaches(np.array([np.float32(0.9), 0.9 - 1e-6, np.nan]), np.array([0.9, 0.9, 0.9]))
    array([ True, False, False])
    """
    with np.errstate(invalid="ignore"):
        return np.isfinite(score) & (score >= least(target))


def least(target: Floats) -> Floats:
    """The least score that reaches a target: a unit in the last place of its single precision below it.

    Scores are means, often of numbers in single precision, and nine tenths of ten may be told as 0.8999999762.

    Args:
        target: (n,) higher is better; NaN where there is none.
    """
    return target - np.spacing(np.abs(target).astype(np.float32)).astype(float)
