"""The rivals under a cleverer searcher and under early stopping, by replay of their recorded trials.

uv run python tests/replays.py [TASK …]

writes study/results/rivals-replay.csv, or the rows of some tasks in it: ten minutes a task. tests/results.py makes a
table and a figure a task of it.
"""

import math
import sys
from functools import partial
from typing import Any

import pandas as pd
from rivals import RESULTS, interval_text, shipped

from study import replay
from study.answers.results import Quantity
from study.figures import looks, ranked, vega
from study.plan.tasks import entry_of
from study.reports.terminal import TextTable

RECORD = RESULTS / "rivals"
REPLAYED = RESULTS / "rivals-replay.csv"
REPETITIONS, TRIALS = 200, 16
SETTINGS = {"TPE": None, "TPE and ASHA": "asha", "TPE and Hyperband": "hyperband", "TPE and median": "median"}
"""By their title: the stopper; each first judges a trial at a tenth of it, its first record."""


def replayed(record: pd.DataFrame, study: Any, task: str, setting: str) -> pd.DataFrame:
    """The searches of all arms on one task that the record holds, one row an arm.

    Args:
        record: a row a record of a trial.
        study: that it is of.
        task: whose arms.
        setting: one of SETTINGS.
    """
    here: Any = record[record["task"] == task]
    stopper, tenth = SETTINGS[setting], float(here["record_every"].iloc[0])
    fields = {"min_epochs": tenth} if stopper else {}
    asked = replay.ReplayOptions(
        searcher="tpe", stopper=stopper, stopper_fields=fields, trials=TRIALS, repetitions=REPETITIONS
    )
    (rows,) = replay.replay(here, study, asked).values()
    told = [
        (
            row.reached,
            row.searches,
            row.cost.estimate,
            row.share.estimate,
            row.share.low,
            row.share.high,
            row.share.bound,
        )
        for row in rows
    ]
    names = "reached", "searches", "cost", "share", "low", "high", "bound"
    made = pd.DataFrame(told, columns=list(names)).round(6)
    made.insert(0, "scheme", [entry_of(row.arm, task) for row in rows])
    return made.assign(task=task, setting=setting)


def tasks() -> list[str]:
    """Those of which trials were replayed."""
    rows: Any = pd.read_csv(REPLAYED)
    return [*dict.fromkeys(rows["task"])]


def table(task: str) -> TextTable:
    """Shares of the baseline's cost on a task, a row a scheme and a column a setting; the cheapest under TPE first.

    task: of which trials were replayed.
    """
    rows, order = _of(task)
    cells = {(row.scheme, row.setting): _text(row) for row in rows.itertuples()}
    lines = [[scheme, *(cells[scheme, setting] for setting in SETTINGS)] for scheme in order]
    return TextTable("", [f"on {task}", *SETTINGS], lines, [])


def figure(task: str) -> vega.Chart:
    """The same shares drawn: a panel a setting.

    task: of which trials were replayed.
    """
    rows, order = _of(task)
    told: Any = rows[rows["share"].notna()].set_index(["setting", "scheme"])
    places = [(setting, scheme) for setting in SETTINGS for scheme in order if (setting, scheme) in told.index]
    data = ranked.table({place: _quantity(told.loc[place]) for place in places}, "share")
    data[["quantity", "scheme"]] = [*data["scheme"]]
    drawn = partial(ranked.drawn, value="share", title="share of the baseline's cost", rule=1.0, look=looks(order))
    panels = vega.in_panels(data, lambda rows: drawn(rows) | {"width": 150}, columns=len(SETTINGS), each=300)
    title = f"What the target costs under other searches: {task}"
    spec = vega.spec_of(panels | {"resolve": {"scale": {"x": "shared"}}}, title)
    return vega.Chart(task, title, "", title, spec, spec, data)


def _of(task: str) -> tuple[pd.DataFrame, list[str]]:
    """A task's rows, and its schemes: the baseline, the cheapest under TPE, those that never got there."""
    rows: Any = pd.read_csv(REPLAYED)
    rows = rows[rows["task"] == task]
    first: Any = rows[rows["setting"] == "TPE"].assign(missed=rows["bound"] != "=")
    first = first.assign(other=first["scheme"] != _baseline())
    return rows, [*first.sort_values(["other", "missed", "share", "scheme"], na_position="last")["scheme"]]


def _baseline() -> str:
    """The scheme that others are compared with."""
    return shipped(RECORD.name).baseline


def _quantity(row: Any) -> Quantity:
    """A share with its interval; no end is one that nothing bounds."""
    return Quantity(row.share, row.low, math.inf if row.high != row.high else row.high, bound=row.bound)


def _text(row: Any) -> str:
    share = "baseline" if row.scheme == _baseline() else "—"
    if row.share == row.share:
        share = interval_text(row.share, row.low, None if row.high != row.high else row.high, row.bound)
    return f"{share}; {row.reached} of {row.searches}"


def main(asked: list[str]) -> None:
    """Replay tasks under every setting, and write the table.

    asked: their names; empty: all of the record.
    """
    told, study = replay.read_record(str(RECORD), None, "")
    every = [*dict.fromkeys(told["task"])]
    unknown = [task for task in asked if task not in every]
    if unknown:
        raise SystemExit(f"the record has no task {unknown[0]!r}: it has {', '.join(every)}")
    kept: Any = pd.read_csv(REPLAYED) if asked else pd.DataFrame({"task": []})
    new = {task: [replayed(told, study, task, one) for one in SETTINGS] for task in every if task in asked or not asked}
    parts = [part for task in every for part in new.get(task, [kept[kept["task"] == task]])]
    pd.concat(parts, ignore_index=True).to_csv(REPLAYED, index=False)


if __name__ == "__main__":
    main(sys.argv[1:])
