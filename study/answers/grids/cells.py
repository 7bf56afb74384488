"""A record as grids over learning rate and weight decay: one row a training, one a training and tensor."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from study.answers.grids.collapse import anti_diagonals
from study.answers.grids.relaxation import relaxation_rate
from study.cost.quantities import NotDefined
from study.records import own
from study.records.ended import LOST, ended
from study.records.question import Question
from study.records.trials import trainings

RATE, DECAY, MOMENTUM = "scheme.lr", "decay.weight_decay", "direction.momentum"
SETTLED = 3.0  # times 1/(ηλ): what starts at e¹² times its equilibrium ‖w‖⁴ is twice as large as it then
FILLED = 0.25  # of rates × decays: trials drawn at random are no grid
TRIAL = ["arm", "repetition", "k", "seed_number"]
CELL = ("rate", "decay", "product", "momentum", "seed", "settled")
MEASURED = ("norm", "effective_lr", "angle", "angle_predicted")
SAME = 1e-6  # of a rate: the schedule is at 1


@dataclass(frozen=True)
class Grid:
    """One arm whose trials form a grid."""

    arm: str
    cells: pd.DataFrame  # a row a training: rate, decay, product, group, seed, score, test, status, steps, settled
    turning: pd.DataFrame  # a row a training that did not diverge and tensor, as it was when rates last were constant
    walks: pd.DataFrame  # the same at every record until then

    def mean(self, column: str, seeds: int | None = None) -> pd.DataFrame:
        """The mean of a column over the seeds of every cell.

        Args:
            column: of `cells`.
            seeds: how many seeds count, the first ones; None: all.

        Returns:
            One row a cell: rate, decay, group, the mean under the column's name, and `settled`, true where all seeds
            are.
        """
        rows: Any = self.cells if seeds is None else self.cells[self.cells["seed"] < seeds]
        groups = rows.groupby(["rate", "decay", "group"])
        return groups.agg({column: "mean", "settled": "all"}).reset_index()

    @property
    def seeds(self) -> int:
        """The trainings that every cell has at least."""
        counts: Any = self.cells.groupby(["rate", "decay"])["seed"].count()
        return int(counts.min())

    @cached_property
    def relaxations(self) -> pd.DataFrame:
        """One row a training and tensor whose relaxation can be seen: its time in steps, and (1−μ)/(4ηλ)."""
        rows: list[dict[str, Any]] = []
        names = ["rate", "decay", "product", "group", "seed", "tensor"]
        walks: Any = self.walks.groupby(names, sort=False)
        for key, walk in walks:
            found = relaxation_rate(walk["steps"], walk["norm"])
            if not isinstance(found, NotDefined):
                known = dict(zip(names, key, strict=True))
                left = 1 - float(walk["momentum"].iloc[0])
                rows.append({**known, "predicted": left / (4 * known["product"]), "steps": 1 / found})
        return pd.DataFrame(rows, columns=[*names, "predicted", "steps"])


def grids(record: pd.DataFrame, mode: str, chance: float) -> list[Grid]:
    """Every arm of one task that has both axes, in the order of the record; trials that are still open are left out.

    Args:
        record: the rows of one task.
        mode: max or min, the sense of its scores.
        chance: what a training that diverged or failed counts as.
    """
    if record.empty or not {RATE, DECAY} <= set(record.columns):
        return []
    found = [
        _grid(_scheme(rows), rows, mode, chance)
        for _, rows in ended(record).groupby("arm", sort=False)
        if _is_grid(rows)
    ]
    return [grid for grid in found if grid is not None]


def _scheme(rows: Any) -> str:
    """The scheme of an arm's rows."""
    return str(own.schemes(rows.iloc[:1]).iloc[0])


def _is_grid(rows: Any) -> bool:
    rate, decay = rows[RATE].astype(float), rows[DECAY].astype(float)
    if not (rate > 0).all() or not (decay >= 0).all():
        return False
    axes = rate.nunique(), decay[decay > 0].nunique()
    cells = len(set(zip(rate, decay, strict=True)))
    return min(axes) > 1 and cells >= FILLED * axes[0] * axes[1]


def _grid(arm: str, rows: Any, mode: str, chance: float) -> Grid | None:
    """The grid of one arm; cells without decay lie on no anti-diagonal and are left out."""
    rows = rows[rows[DECAY].astype(float) > 0].sort_values([*TRIAL, "record"])
    cells: list[dict[str, Any]] = []
    walks: list[dict[str, Any]] = []
    tensors = [name.removeprefix("norm.") for name in rows.columns if name.startswith("norm.")]
    worth = trainings(own.of_record(rows, "passes"), Question("min" if mode == "min" else "max", None, chance, "best"))
    worth = worth.set_index(["repetition", "trial", "seed"])
    for (_, *key), trial in rows.groupby(TRIAL, sort=False):
        constant = _constant(trial)
        cell = _cell(trial, constant, worth.loc[tuple(key)])
        seed = sum((cell["rate"], cell["decay"]) == (other["rate"], other["decay"]) for other in cells)
        cells.append({**cell, "seed": seed})
        if cells[-1]["status"] not in LOST:
            walks += [_walk(constant, tensor, cells[-1]) for tensor in tensors]
    if not cells:
        return None
    frame = pd.DataFrame(cells)
    frame["group"] = anti_diagonals(frame["rate"], frame["decay"])
    columns = [*CELL, "tensor", "steps", *MEASURED]
    joined = {name: np.concatenate([walk[name] for walk in walks]) for name in (walks[0] if walks else ())}
    walk: Any = pd.DataFrame(joined) if walks else pd.DataFrame(columns=columns)
    walk = walk.dropna(subset=["norm"]).merge(frame[["rate", "decay", "group"]].drop_duplicates())
    last = walk.groupby(["rate", "decay", "seed", "tensor"], sort=False).tail(1).reset_index(drop=True)
    return Grid(str(arm), frame, last, walk)


def _cell(trial: Any, constant: Any, worth: Any) -> dict[str, Any]:
    last = trial.iloc[-1]
    rate, decay = float(last[RATE]), float(last[DECAY])
    momentum = float(last.get(MOMENTUM, 0.0))
    momentum = 0.0 if np.isnan(momentum) else momentum  # of other directions
    steps = int(constant["steps"].max()) if len(constant) else 0
    product = rate * decay
    return {
        "rate": rate,
        "decay": decay,
        "product": product,
        "score": float(worth["score"]),
        "test": float(worth.get("test_score", np.nan)),
        "status": str(worth["status"]),
        "steps": steps,
        "momentum": momentum,
        "settled": bool(steps * product >= SETTLED * (1 - momentum)),
    }


def _constant(trial: Any) -> Any:
    """The records until the rate began to fall."""
    full = np.isclose(trial["lr"].astype(float), trial[RATE].astype(float), rtol=SAME)
    return trial[np.minimum.accumulate(full)] if len(trial) else trial


def _walk(rows: Any, tensor: str, cell: dict[str, Any]) -> dict[str, Any]:
    """The records of one training and tensor, column by column: a table of each would take longer than all else."""
    missing = np.full(len(rows), np.nan)
    measured = {name: rows.get(f"{name}.{tensor}", missing) for name in MEASURED} | {"steps": rows["steps"]}
    known = {name: np.full(len(rows), cell[name]) for name in CELL}
    numbers = {name: np.asarray(values, float) for name, values in measured.items()}
    return {**known, "tensor": np.full(len(rows), tensor, object), **numbers}
